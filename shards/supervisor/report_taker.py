"""Takes the reports of the workers: their counts, their lines, and what checkpoints hold.

The lines of a worker's reports are written one report after the other; meanwhile it waits. A
checkpoint is committed only when the lines that it rests on are on the disk, and only then does the
router forget the deliveries.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from shards.ipc.messages import AlarmLines, Ready, Saved, Synced, WorkerReport
from shards.ledger import Ledger
from shards.positions import life_of
from shards.router.start import ShardStart
from shards.supervisor.alarm_writer import AlarmWriter
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.line_filter import LineFilter
from shards.supervisor.observer import Observer
from shards.supervisor.written_lines import WrittenLines
from shards.worker.start import Written

if TYPE_CHECKING:
    from shards.supervisor.overload_signals import OverloadSignals


_CLOCKS_DIFFER_SECONDS = 60
"""The clock of a stream is that of its server: by so much it may be ahead of the one here."""


class ReportTaker:
    """The reports of all workers, over all their deaths."""

    def __init__(
        self,
        workers: int,
        aggregator: LedgerAggregator,
        observer: Observer,
        alarm_writer: AlarmWriter,
        overload_signals: "OverloadSignals | None",
        written: WrittenLines | None = None,
    ) -> None:
        """`workers`: their number. `overload_signals`: where late events are announced.

        `written`: the lines of the run before this one.
        """
        self._aggregator = aggregator
        self._observer = observer
        self._alarm_writer = alarm_writer
        self._overload_signals = overload_signals
        self._written = written or WrittenLines()
        self._former_until = int(time.time()) + _CLOCKS_DIFFER_SECONDS
        """The time by which the run before this one has ended, by any clock; 0: it is forgotten."""
        self._clocks = [0] * workers
        """By worker: its time, with a stream."""
        self._filters = [LineFilter() for _ in range(workers)]
        self._saved = [(0, 0)] * workers
        """By worker: the position, and generation, up to which the router keeps nothing."""
        self._starts = [ShardStart()] * workers
        self._starting = [True] * workers
        """By worker: whether it has not been ready since its start."""
        self.writing: set[int | None] = set()
        """Workers that wait until their lines are written."""

    @property
    def starts(self) -> tuple[ShardStart, ...]:
        """By worker: where it would begin after a death, as its last checkpoint says."""
        return tuple(self._starts)

    def worker_is_ready(self, worker: int, ready: Ready) -> None:
        """A worker has started, or has read its data pipe to the end."""
        if self._starting[worker] and ready.position:
            start = ShardStart(ready.position, ready.stream, ready.generation)
            self._note_start(worker, start, ready.processed)
        self._starting[worker] = False

    def _note_start(self, worker: int, start: ShardStart, processed: int) -> None:
        before = self._starts[worker]
        if not start.stream and life_of(start.position) == life_of(before.position):
            # A worker that was started again does not know the stream yet.
            start = start._replace(stream=before.stream)
        self._starts[worker] = start
        self._aggregator.checkpoint_holds(worker, processed)

    def written(self, worker: int) -> Written:
        """Which lines of a worker are written."""
        return self._filters[worker].written

    async def take(
        self,
        worker: int,
        report: AlarmLines,
        to_worker: Callable[[Synced], None],
        to_router: Callable[[Saved], None],
    ) -> None:
        """Count a report, write its new lines, and confirm that to the worker and the router."""
        if isinstance(report, WorkerReport):
            took_late = self._aggregator.worker_reported(worker, report)
            if took_late and self._overload_signals is not None:
                self._overload_signals.report_late()
        self._observer.heard(worker)
        self.writing.add(worker)
        new = self._without_known_lines(worker, report)
        if await self._alarm_writer.write(new):
            self._filters[worker].note(report)
            self._forget_former_run(worker, report)
            self._observer.wrote(worker, new)
            if isinstance(report, WorkerReport):
                if report.sync:
                    await self._sync(worker, report.sync, to_worker)
                self._take_saved(worker, report, to_router)
        self.writing.discard(worker)

    def _forget_former_run(self, worker: int, report: AlarmLines) -> None:
        """Forget its lines once all workers have done all that it can have done, and more.

        Otherwise the lines that the next run has to know would be those of all runs, if each is
        short.
        """
        if not self._former_until or not isinstance(report, WorkerReport):
            return
        self._clocks[worker] = max(self._clocks[worker], report.clock)
        if min(self._clocks) > self._former_until:
            self._former_until = 0
            self._written.forget()

    def _without_known_lines(self, worker: int, report: AlarmLines) -> AlarmLines:
        """The report without lines that this run, or the one before it, has written already."""
        lines = self._filters[worker]
        alarm_events = self._written.new_alarm_events(lines.new_lines(report.alarm_events))
        alarms, outdated = self._written.new_alarms(lines.new_lines(report.alarms))
        if outdated:
            self._aggregator.add(Ledger(outdated=outdated))
        return replace(report, alarm_events=alarm_events, alarms=alarms)

    async def _sync(self, worker: int, number: int, to_worker: Callable[[Synced], None]) -> None:
        """Sync the lines written so far, and tell the worker where in the files they end.

        No later line of the worker is before that, whatever others write meanwhile. That cannot be
        said of a worker that has not come as far as the one before it.
        """
        positions = self._written.positions or self._alarm_writer.ends()
        if not self._filters[worker].is_settled:
            positions = None
        if await self._alarm_writer.sync():
            files = msgspec.msgpack.encode(positions) if positions else b""
            to_worker(Synced(number, files))

    def _take_saved(
        self, worker: int, report: WorkerReport, to_router: Callable[[Saved], None]
    ) -> None:
        """Note the last checkpoint of a worker.

        While none can be written, the router forgets all that the worker has processed: events go
        on, and a death loses what it loses, counted.
        """
        self._filters[worker].note_saved(report.saved_sync)
        if report.saved:
            start = ShardStart(report.saved, report.stream, report.saved_generation)
            self._note_start(worker, start, report.saved_processed)
        saved = report.saved, report.saved_generation
        if report.details is not None and report.details.checkpoint_trouble:
            saved = report.position, report.generation
        if saved > self._saved[worker]:
            self._saved[worker] = saved
            position, generation = saved
            to_router(Saved(worker, position, report.saved, generation))

    def worker_ended(self, worker: int, *, clean: bool) -> None:
        """A worker has ended and all its reports have been taken; `clean`: after a Stop."""
        self._aggregator.worker_ended(worker, clean=clean)
        self._filters[worker].worker_died()
        self._starting[worker] = True
