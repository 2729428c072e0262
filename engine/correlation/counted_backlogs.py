"""The open backlogs of a directive that counts what it does. Used only if that is wanted."""

from collections import defaultdict

from engine.asset import AddressInfo
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.directive_backlogs import DirectiveBacklogs
from engine.correlation.outputs import Outputs
from engine.correlation.shared_parts import SharedParts
from engine.directive_counts import DirectiveCounts
from engine.event import NormalizedEvent

CountsByDirective = defaultdict[int, DirectiveCounts]


class CountedBacklogs(DirectiveBacklogs):
    """Open backlogs as in DirectiveBacklogs, counted."""

    __slots__ = ("_counts",)

    def __init__(
        self,
        compiled: CompiledDirective,
        shared: SharedParts,
        order: int,
        counts: CountsByDirective,
    ) -> None:
        """`counts`: those of all directives, to be added to."""
        super().__init__(compiled, shared, order)
        self._counts = counts

    def process_event(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int, outputs: Outputs
    ) -> bool:
        """As in DirectiveBacklogs; counts the event if it is consumed."""
        is_consumed = super().process_event(event, src, dst, now, outputs)
        if is_consumed:
            self._counts[self._id].events += 1
        return is_consumed

    def _open(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int, outputs: Outputs
    ) -> bool:
        is_opened = super()._open(event, src, dst, now, outputs)
        if is_opened:
            self._counts[self._id].opened += 1
            self._reach(1)
        return is_opened

    def _consume(
        self, backlog: Backlog, stage: int, event: NormalizedEvent, now: int, outputs: Outputs
    ) -> bool:
        is_taken = super()._consume(backlog, stage, event, now, outputs)
        if is_taken:
            self._reach(stage)
        return is_taken

    def _reach(self, stage: int) -> None:
        counts = self._counts[self._id]
        counts.furthest_stage = max(counts.furthest_stage, stage)

    def _finish(self, backlog: Backlog, now: int, outputs: Outputs) -> None:
        super()._finish(backlog, now, outputs)
        self._count_alarm(backlog)

    def _close(self, backlog: Backlog, stage: int, why: str, now: int, outputs: Outputs) -> None:
        super()._close(backlog, stage, why, now, outputs)
        self._count_alarm(backlog)

    def _count_alarm(self, backlog: Backlog) -> None:
        if backlog.published:
            risk_class = backlog.compiled.options.risk_class(backlog.risk)
            self._counts[self._id].add_alarms(risk_class)
