"""A shard: the directives of one worker, and what it has to report. Raw events in, a report out.

May live here: what is done and counted for a batch of events, at once, with `now` as its clock. May
not: processes, pipes, and the event loop (worker.py).
"""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.alarm import PublishedAlarm
from engine.asset import Asset, NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.directives.directive import Directive
from engine.errors import InvalidEventError
from engine.event import NormalizedEvent, decode_event
from engine.options import Options
from shards.histograms import CHECKPOINT_BOUNDS, LAG_BOUNDS, PROCESSING_BOUNDS, Timings, observe
from shards.ipc.messages import WorkerDetails, WorkerReport
from shards.ledger import Ledger
from shards.logs import InvalidEventLog
from shards.settings.settings import Settings

if TYPE_CHECKING:  # places without lookups do without their libraries
    from shards.lookups.source_config import LookupSource
    from shards.worker.enrichment import Enrichment

NANOSECONDS = 1_000_000_000


class WorkerSetup(Struct, frozen=True):
    """What a worker is started with. `directives`: a list of them in MessagePack.

    `sources`: those of lookups.
    """

    settings: Settings
    options: Options
    directives: bytes
    assets: tuple[Asset, ...]
    sources: "tuple[LookupSource, ...]" = ()


class Shard:
    """The directives of one worker, and what it has to report."""

    def __init__(self, setup: WorkerSetup) -> None:
        directives = msgspec.msgpack.decode(setup.directives, type=list[Directive])
        self.directives = {directive.id: directive for directive in directives}
        self.correlator = Correlator(directives, NetworkAssets(setup.assets), setup.options)
        self._max_future = setup.settings.max_future or sys.maxsize
        self._max_delay = setup.settings.max_delay
        self._invalid = InvalidEventLog()
        self._encoder = msgspec.json.Encoder()
        self._ledger = Ledger()
        self._outputs = Outputs()
        """What has come out since the last report."""
        self.enrichment: Enrichment | None = None
        """Set by the owner if there are lookup sources; every published alarm is passed to it."""
        self._noted = 0
        """Number of publishes in `_outputs` already passed to enrichment."""
        self._done: Counter[int] = Counter()
        self._from_future = self._late = 0
        self.saved = 0
        """As many of the consumed deliveries as a checkpoint holds the effect of."""
        self._busy = 0.0
        self._active = 0
        self._timings = Timings()
        self._alarms: Counter[str] = Counter()
        """Lines by risk class, as the timings since the last details."""
        self._checkpoint_at = 0.0

    @property
    def has_lines(self) -> bool:
        """Whether there are lines that have not been reported."""
        return bool(self._outputs.alarm_events or self._outputs.publishes)

    def take(self, link: int, events: Sequence[bytes], now: int) -> None:
        """Correlate a batch."""
        started = time.perf_counter()
        take, latest, outputs = self.correlator.take, now + self._max_future, self._outputs
        late_before = (now - self._max_delay) * NANOSECONDS if self._max_delay else 0
        consumed = invalid = received = 0
        for raw in events:
            try:
                event = decode_event(raw)
            except InvalidEventError as error:
                self._refuse(error, raw)
                invalid += 1
                continue
            if not received:
                received = event.rcvd_time
            if event.time > latest:
                event = self._brought_back(event, now)
            if event.rcvd_time < late_before and event.rcvd_time:
                before = len(outputs.alarm_events)
                consumed += take(event, now, outputs)
                self._late += len(outputs.alarm_events) > before
            elif take(event, now, outputs):
                consumed += 1
        self._ledger.deliveries.consumed += consumed
        self._ledger.deliveries.unmatched += len(events) - consumed - invalid
        self._done[link] += len(events)
        self._time(time.perf_counter() - started, len(events), received)
        self._request_lookups()

    def _time(self, seconds: float, events: int, received: int) -> None:
        """Note how long a batch took, whose first event the frontend received then."""
        self._busy += seconds
        if not events:
            return
        observe(self._timings.processing, PROCESSING_BOUNDS, seconds / events, events)
        if received > 0:
            lag = time.time() - received / NANOSECONDS
            observe(self._timings.lag, LAG_BOUNDS, max(0.0, lag), events)

    def checkpointed(self, seconds: float) -> None:
        """A checkpoint has been written, which took so long."""
        observe(self._timings.checkpoints, CHECKPOINT_BOUNDS, seconds)
        self._checkpoint_at = time.time()

    @property
    def consumed(self) -> int:
        """How many deliveries were consumed."""
        return self._ledger.deliveries.consumed

    def restored(self, number: int) -> None:
        """Count backlogs that were taken up from disk."""
        self._ledger.backlogs["restored"] += number

    def _refuse(self, error: InvalidEventError, raw: bytes) -> None:
        self._ledger.deliveries.invalid[error.reason] += 1
        self._invalid.report(error.reason, raw, time.monotonic())

    def _brought_back(self, event: NormalizedEvent, now: int) -> NormalizedEvent:
        """An event of a clock that is wrong, as of now."""
        self._from_future += 1
        return replace(event, time=now)

    def tick(self, now: int) -> None:
        """Let time pass."""
        self.correlator.on_tick(now, self._outputs)
        self._active = self.correlator.active_directives
        self._request_lookups()

    def _request_lookups(self) -> None:
        """Pass new publishes to enrichment."""
        publishes = self._outputs.publishes
        if self.enrichment is not None and len(publishes) > self._noted:
            new, self._noted = publishes[self._noted :], len(publishes)
            self.enrichment.note(new)

    def publish_enriched(self, publishes: Iterable[PublishedAlarm]) -> None:
        """Add alarms from `Enrichment.apply` to the next report."""
        self._outputs.publishes += publishes
        self._noted = len(self._outputs.publishes)

    def report(self, ended: Sequence[int], *, details: bool = True) -> WorkerReport:
        """All counts, and the lines since the last report; `ended`: links at their end of file."""
        deliveries, ledger = self._ledger.deliveries, self._ledger
        outputs, self._outputs = self._outputs, Outputs()
        self._noted = 0
        self._alarms.update(publish.alarm.risk_class for publish in outputs.publishes)
        ledger.note(outputs.counts)
        counts = ledger.backlogs
        begun = counts["opened"] + counts["restored"]
        counts["open"] = begun - counts["finished"] - counts["expired"]
        return WorkerReport(
            alarm_events=self._encoder.encode_lines(outputs.alarm_events),
            alarms=self._encoder.encode_lines([publish.alarm for publish in outputs.publishes]),
            done=dict(self._done),
            ended=list(ended),
            consumed=deliveries.consumed,
            saved=self.saved,
            unmatched=deliveries.unmatched,
            invalid=dict(deliveries.invalid),
            outcomes=dict(ledger.outcomes),
            backlogs=dict(ledger.backlogs),
            from_future=self._from_future,
            late=self._late,
            busy=self._busy,
            active=self._active,
            lookups=self.enrichment.counts if self.enrichment is not None else {},
            details=self._details() if details else None,
        )

    def _details(self) -> WorkerDetails:
        timings, self._timings = self._timings, Timings()
        alarms, self._alarms = self._alarms, Counter()
        matches = dict(self.correlator.take_matches())
        return WorkerDetails(timings, dict(alarms), matches, self._checkpoint_at)

    def close(self, now: int) -> None:
        """Let time pass once more, and say what is left to say."""
        self.tick(now)
        self._invalid.close()
