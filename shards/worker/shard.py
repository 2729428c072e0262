"""A shard: the directives of one worker. Batches of raw events in, reports out.

Synchronous, with `now` as an argument; pipes and the event loop belong to process.py.
"""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from engine.alarm import PublishedAlarm
from engine.correlation.correlator import Correlator
from engine.correlation.directive_set import DirectiveSet
from engine.correlation.outputs import Outputs
from engine.errors import InvalidEventError
from engine.event import NormalizedEvent, decode_event
from engine.options import Options
from shards.checkpoint.stats import CheckpointStats, ShardProgress
from shards.ipc.messages import WorkerReport
from shards.ledger import ENDED, encode_ledger
from shards.logs import EventLog
from shards.settings.settings import Settings
from shards.worker.alarm_details import about_alarms
from shards.worker.deliveries import Deliveries
from shards.worker.measurements import NANOSECONDS, Measurements
from shards.worker.start import NOTHING_WRITTEN, Written

if TYPE_CHECKING:  # places without lookups do without their libraries
    from shards.worker.enrichment import Enrichment
    from shards.worker.shard_tracer import ShardTracer

ALARMS_PER_TURN = 100
"""Alarms that time alone causes, per turn of the event loop: some milliseconds."""


class Shard:
    """Correlates the events of one worker, and counts the results."""

    def __init__(
        self,
        settings: Settings,
        options: Options,
        directives: DirectiveSet,
        progress: ShardProgress | None = None,
        written: Written = NOTHING_WRITTEN,
    ) -> None:
        """`progress`: kept up to date, and set by a restore from a checkpoint.

        `written`: the lines that are written already, by a worker that died.
        """
        self.directives = directives
        """Those of the configuration that runs."""
        self.correlator = Correlator.of(directives, options)
        self._max_future = settings.max_future or sys.maxsize
        self._max_delay = settings.max_delay
        self._has_console = settings.has_console
        self.has_stream = settings.source_keeps_events
        self.now = sys.maxsize
        """The latest `now`; the first one corrects restored backlogs like a clock set back."""
        self._last_event = 0
        """The position of the last event."""
        self._done = 0, 0
        """The last event and the time when all was done that time alone causes until then."""
        self._event_log = EventLog()
        self._encoder = msgspec.json.Encoder()
        self.progress = progress or ShardProgress()
        self.ledger = self.progress.ledger
        self.ledger.capped = self.correlator.capped
        self.deliveries = Deliveries(
            self.progress, self.correlator, written, has_stream=self.has_stream
        )
        self.life = 0
        """Number of the router whose deliveries are processed."""
        self._outputs = Outputs()
        """Outputs since the last report."""
        self.recent_events: Sequence[bytes] = ()
        """The events of the last batch that had some."""
        self.enrichment: Enrichment | None = None
        """Set by the owner if there are lookup sources; it gets every published alarm."""
        self.tracer: ShardTracer | None = None
        """Set by the owner if tracing is on."""
        self._requested = 0
        """Number of published alarms in `_outputs` already passed to enrichment."""
        self._measurements = Measurements(self.correlator)

    def resume(self, ahead: Mapping[int, int]) -> None:
        """Begin after a restore; `ahead`: as in Deliveries.put_ahead.

        With a position in a stream the clock goes on where it was.
        """
        if self.has_stream and self.progress.position:
            self.now = 0
            self.deliveries.put_ahead(ahead)

    def begin_life(self, life: int) -> None:
        """Note that a router begins to deliver, after all deliveries of the one before."""
        self.life = life
        self.deliveries.begin_life(life)

    def reload(self, generation: int, directives: DirectiveSet, *, lookups: bool) -> None:
        """Use another configuration from now on; `lookups`: whether there are sources for them."""
        now = self.now if self.now < sys.maxsize else int(time.time())
        self.directives = directives
        self.correlator.reload(directives, now, self._outputs, lookups=lookups)
        self.progress.generation = generation

    @property
    def has_lines(self) -> bool:
        """Whether there are unreported lines."""
        return bool(self._outputs.alarm_events or self._outputs.published)

    def process_batch(self, last: int, events: Sequence[bytes], now: int) -> None:
        """Correlate a batch of raw events; `now` in seconds since the epoch.

        `last`: the position of the last event; without events, where the shard is now.
        """
        started = time.perf_counter()
        now = self._follow_clock(now)
        correlate, outputs = self.correlator.process_event_into, self._outputs
        lines_before = len(outputs.alarm_events), len(outputs.published)
        latest = now + self._max_future
        # A stream may be behind the wall clock, which is what overload means.
        present = int(time.time()) if self.has_stream else now
        late_before = (present - self._max_delay) * NANOSECONDS if self._max_delay else 0
        consumed = invalid = received = 0
        repaired: list[str] = []
        for raw in events if self.tracer is None else self.tracer.watch(events, outputs):
            try:
                event = decode_event(raw, repaired)
            except InvalidEventError as error:
                self._count_invalid(error, raw)
                invalid += 1
                continue
            if repaired:
                self._count_repaired(repaired, raw)
            if not received:
                received = event.rcvd_time
            if event.time > latest:
                self.ledger.from_future += 1
                event = self.with_possible_time(event, now)
            if event.rcvd_time < late_before and event.rcvd_time:
                before = len(outputs.alarm_events)
                consumed += correlate(event, now, outputs)
                self.ledger.late += len(outputs.alarm_events) > before
            elif correlate(event, now, outputs):
                consumed += 1
        self.ledger.deliveries.consumed += consumed
        self.ledger.deliveries.unmatched += len(events) - consumed - invalid
        self.recent_events = events or self.recent_events
        self._last_event = last if events else self._last_event
        self.deliveries.reach(last)
        self._measurements.observe_batch(time.perf_counter() - started, len(events), received)
        self._request_lookups()
        self._drop_lines(*lines_before, are_written=self.deliveries.are_written(last))

    def _drop_lines(self, alarm_events: int, published: int, *, are_written: bool) -> None:
        """Drop the lines after these numbers, and the counts, if a worker before wrote them."""
        if are_written:
            self.correlator.take_counts()
            del self._outputs.alarm_events[alarm_events:]
            del self._outputs.published[published:]
            self._requested = len(self._outputs.published)

    def _count_invalid(self, error: InvalidEventError, raw: bytes) -> None:
        self.ledger.count_invalid(self.ledger.deliveries.invalid, error)
        self._event_log.log_invalid(error, raw, time.monotonic())

    def _count_repaired(self, fields: list[str], raw: bytes) -> None:
        self.ledger.repaired.update(fields)
        self._event_log.log_repaired(fields, raw, time.monotonic())
        fields.clear()

    def with_possible_time(self, event: NormalizedEvent, now: int) -> NormalizedEvent:
        """The event, with `now` as its time if that is too far in the future."""
        return replace(event, time=now) if event.time > now + self._max_future else event

    def _follow_clock(self, now: int) -> int:
        """Note `now`; correct the backlogs if it is earlier than before.

        Returns it. The time of a stream never goes back.
        """
        if now < self.now:
            if self.has_stream and self.now < sys.maxsize:
                return self.now
            self.correlator.follow_clock_back(now, now + self._max_future)
        self.now = self.progress.clock = now
        return now

    def advance_time(self, now: int) -> bool:
        """Close backlogs that have expired by `now`, and write alarms that wait for this second.

        At most ALARMS_PER_TURN of them; returns whether that was all. Before a batch it has to be
        repeated until it was: an event must not find a backlog that has expired.
        """
        written = self.deliveries.written_clock
        if 0 < written < now and not self._advance_time(written):
            return False  # the lines until then are to be told from others
        return self._advance_time(now)

    def _advance_time(self, now: int) -> bool:
        now = self._follow_clock(now)
        lines_before = len(self._outputs.alarm_events), len(self._outputs.published)
        self.correlator.advance_time(now, self._outputs, ALARMS_PER_TURN)
        self._request_lookups()
        self._drop_lines(*lines_before, are_written=self.deliveries.is_time_written(now))
        is_done = not self.correlator.is_due(now)
        if self.enrichment is not None:
            self._add_enriched(self.enrichment.pop_changed(now, ALARMS_PER_TURN))
            is_done = is_done and not self.enrichment.is_due(now)
        if is_done:
            self._done = self._last_event, now
        return is_done

    def _request_lookups(self) -> None:
        """Pass new published alarms to enrichment."""
        published = self._outputs.published
        if self.enrichment is not None and len(published) > self._requested:
            new, self._requested = published[self._requested :], len(published)
            self.enrichment.request_lookups(new)

    def _add_enriched(self, published: Iterable[PublishedAlarm]) -> None:
        """Add alarms from enrichment, which knows them."""
        self._outputs.published += published
        self._requested = len(self._outputs.published)

    def make_report(
        self, checkpoints: CheckpointStats, *, details: bool = True, sync: int = 0
    ) -> WorkerReport:
        """The counts so far, and the lines since the last report.

        `details`: with the measurements since the last ones; `sync`: see WorkerReport.
        """
        if reused := self.correlator.memory.take_reused():
            self._event_log.log_reused(reused, time.monotonic())
        ledger = self.ledger
        is_time_done = self._done == (self._last_event, self.progress.clock)
        outputs, self._outputs = self._outputs, Outputs()
        self._requested = 0
        self._measurements.count_lines(outputs.published)
        ledger.add_outputs(outputs.counts)
        backlogs = ledger.backlogs
        begun = backlogs["opened"] + backlogs["restored"]
        backlogs["open"] = begun - sum(backlogs[name] for name in ENDED)
        taken = self._measurements.take_details(checkpoints) if details else None
        if self.enrichment is not None:
            ledger.lookups = self.enrichment.counts
        return WorkerReport(
            alarm_events=self._encoder.encode_lines(outputs.alarm_events),
            alarms=self._encoder.encode_lines([publish.alarm for publish in outputs.published]),
            encoded_ledger=encode_ledger(ledger),
            late=ledger.late,
            position=self.progress.position,
            last_event=self._last_event,
            clock=self.progress.clock if self.has_stream else 0,
            is_time_done=is_time_done,
            life=self.life,
            sync=sync,
            saved=checkpoints.position,
            saved_processed=checkpoints.processed,
            saved_sync=checkpoints.synced,
            stream=checkpoints.stream,
            generation=self.progress.generation,
            saved_generation=checkpoints.generation,
            busy_seconds=self._measurements.busy_seconds,
            active_directives=self._measurements.active_directives,
            details=taken,
            about=about_alarms(self.directives.assets, outputs.published)
            if self._has_console
            else {},
        )

    def close(self) -> None:
        """Write the alarms that wait for another second; log the number of suppressed log lines."""
        self.correlator.write_pending(self._outputs)
        self._request_lookups()
        if self.enrichment is not None:
            self._add_enriched(self.enrichment.pop_all_changed())
        self._event_log.close()
