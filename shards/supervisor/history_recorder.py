"""Notes in the history what happens to the service: incidents once a second, samples each minute.

It compares the state of the service with that of the second before; so no other part of the
supervisor has to tell it anything.
"""

import time
from collections.abc import Callable, Iterator

from shards.file_position import FilePositions
from shards.history.history import History
from shards.history.service_rows import Incident, Sample
from shards.ops.overview import Overview, ProcessStatus

SAMPLE_SECONDS = 60
POSITION_SECONDS = 10.0


class HistoryRecorder:
    """Records one service."""

    def __init__(
        self,
        history: History,
        ends: Callable[[], FilePositions | None],
        hold_seconds: float,
        tell: Callable[[Incident], None],
    ) -> None:
        """`ends`: where the alarm files end now; `tell`: is called with each incident.

        `hold_seconds`: without a late event, until overload is over.
        """
        self._history = history
        self._ends = ends
        self._hold_seconds = hold_seconds
        self._tell = tell
        self._last: Overview | None = None
        self._was_connected = True
        """Whether the source has been connected since the start."""
        self._sampled: Overview | None = None
        self._counts: dict[str, dict[str, int]] = {}
        """By process: its counts at the last sample."""
        self._late_at: float | None = None
        """When events were late, as long as that is an overload."""
        self._refused = 0
        """Number of refused reloads."""
        self._position_at = 0.0

    def begin(self, overview: Overview) -> None:
        """The service has started, and this is its state."""
        self._last = overview
        self._was_connected = overview.source_connected
        self._note("start", "", f"the service has started, version {overview.version}")
        for process in _processes(overview):
            if process.restarts:  # it has died before this recorder began
                self._note(*_restart(process.name))
        self._note_position()

    def end(self) -> None:
        """The service stops."""
        self._note("stop", "", "the service has stopped")

    def note(self, overview: Overview) -> None:
        """Note what has changed; to be called once a second."""
        before, self._last = self._last, overview
        if before is not None:
            for kind, process, text in self._changes(before, overview):
                self._note(kind, process, text)
        if time.monotonic() - self._position_at >= POSITION_SECONDS:
            self._note_position()
        sampled = self._sampled
        if sampled is None:
            self._sampled = overview
            self._counts = {sample.process: counts for sample, counts in _samples(overview, {}, 1)}
        elif overview.now // SAMPLE_SECONDS != sampled.now // SAMPLE_SECONDS:
            self._sample(overview, max(1.0, overview.now - sampled.now))

    def _note(self, kind: str, process: str, text: str) -> None:
        incident = Incident(time.time(), kind, process, text)
        self._history.add_incident(incident)
        self._tell(incident)

    def _note_position(self) -> None:
        self._position_at = time.monotonic()
        if (ends := self._ends()) is not None:
            self._history.add_position(ends.alarm_events)

    def _sample(self, overview: Overview, seconds: float) -> None:
        self._sampled = overview
        samples = list(_samples(overview, self._counts, seconds))
        self._counts = {sample.process: counts for sample, counts in samples}
        self._history.add_samples([sample for sample, _ in samples])

    def _changes(self, old: Overview, new: Overview) -> Iterator[tuple[str, str, str]]:
        """What has changed within a second: kind, process, text."""
        for before, now in zip(_processes(old), _processes(new), strict=True):
            if now.restarts > before.restarts:
                yield _restart(now.name)
        if old.source_connected != new.source_connected and not new.stopping:
            if self._was_connected:
                yield _source_incident(connected=new.source_connected)
            self._was_connected = True
        yield from _trouble("output", "", old.output_trouble, new.output_trouble)
        for worker in sorted(old.checkpoint_troubles.keys() | new.checkpoint_troubles.keys()):
            before_trouble = old.checkpoint_troubles.get(worker, "")
            now_trouble = new.checkpoint_troubles.get(worker, "")
            yield from _trouble("checkpoint", worker, before_trouble, now_trouble)
        yield from self._reloads(old, new)
        yield from self._overload(old, new)

    def _reloads(self, old: Overview, new: Overview) -> Iterator[tuple[str, str, str]]:
        """The reloads of a second; of those before the last one only whether they were refused."""
        outcome = new.last_reload
        if outcome is None or outcome == old.last_reload:
            return
        before, self._refused = self._refused, new.reloads.get("failed", 0)
        if self._refused - before > (not outcome.successful):
            yield "reload_refused", "", "a reload was refused, and tried again"
        if not outcome.successful:
            yield "reload_refused", "", outcome.trouble
        elif outcome.result == "changed":
            changes = outcome.changes
            counts = (
                f"{len(changes.added)} directives added, {len(changes.changed)} changed, "
                f"{len(changes.removed)} removed"
            )
            yield (
                "reload",
                "",
                f"generation {outcome.generation} runs ({outcome.trigger}): {counts}",
            )

    def _overload(self, old: Overview, new: Overview) -> Iterator[tuple[str, str, str]]:
        if new.ledger.late > old.ledger.late:
            if self._late_at is None:
                yield "overload", "", "events are taken later than --max-delay after their receipt"
            self._late_at = new.now
        elif self._late_at is not None and new.now - self._late_at >= self._hold_seconds:
            self._late_at = None
            yield "overload_end", "", "events are taken in time again"


def _processes(overview: Overview) -> tuple[ProcessStatus, ...]:
    return (overview.router, *overview.workers)


def _restart(process: str) -> tuple[str, str, str]:
    return "restart", process, f"{process} has died, and was started again"


def _source_incident(*, connected: bool) -> tuple[str, str, str]:
    if connected:
        return "source_back", "router", "events can arrive again"
    return "source_lost", "router", "events cannot arrive"


def _trouble(what: str, process: str, old: str, new: str) -> Iterator[tuple[str, str, str]]:
    texts = {
        "output": ("alarms cannot be written", "alarms are written again"),
        "checkpoint": ("no checkpoints are written", "checkpoints are written again"),
    }
    failed, back = texts[what]
    if new and new != old:
        yield f"{what}_failed", process, f"{failed}: {new}"
    elif old and not new:
        yield f"{what}_back", process, back


def _samples(
    overview: Overview, before: dict[str, dict[str, int]], seconds: float
) -> Iterator[tuple[Sample, dict[str, int]]]:
    """The samples of the service and of each worker, each with its counts as they are now."""
    ledger, deliveries = overview.ledger, overview.ledger.deliveries
    dropped = ledger.events.dropped.total() + deliveries.dropped.total()
    counts = {
        "events": ledger.events.received,
        "alarms": sum(overview.alarms_written.values()),
        "dropped": dropped,
        "lost": deliveries.lost.total(),
        "rolled_back": ledger.rolled_back,
        "late": ledger.late,
    }
    saved = overview.oldest_checkpoint_at
    at = int(overview.now) // SAMPLE_SECONDS * SAMPLE_SECONDS
    service = Sample(
        at=at,
        process="",
        seconds=seconds,
        queue=max((shard.queue for shard in overview.shards), default=0),
        lag=overview.stream_lag,
        backlogs=sum(shard.backlogs for shard in overview.shards),
        checkpoint_age=max(0.0, overview.now - saved) if saved else None,
        **_differences(counts, before.get("", {})),
    )
    yield service, counts
    for shard in overview.shards:
        name = overview.workers[shard.worker].name
        worker = Sample(
            at=at,
            process=name,
            seconds=seconds,
            events=round(shard.events_per_second * seconds),
            queue=shard.queue,
            backlogs=shard.backlogs,
        )
        yield worker, {}


def _differences(counts: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: max(0, number - before.get(name, 0)) for name, number in counts.items()}
