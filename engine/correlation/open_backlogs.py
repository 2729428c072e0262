"""The open backlogs of one directive, oldest first, for those who only read them."""

from collections.abc import Collection, Iterator

from engine.correlation.backlog import Backlog
from engine.correlation.pending_lines import PendingLines
from engine.correlation.snapshot import BacklogSnapshot, HeldItems, take_snapshot


class OpenBacklogs:
    """Open backlogs by `opened_by`; `next_order`: that of the next one."""

    __slots__ = ("_backlogs", "_first_order", "_pending", "next_order")

    def __init__(self, pending: PendingLines[Backlog], order: int) -> None:
        """`pending`: the backlogs whose alarms wait to be written; `order`: of the first one."""
        self._backlogs: dict[str, Backlog] = {}
        self._pending = pending
        self._first_order = self.next_order = order

    def __contains__(self, opened_by: str) -> bool:
        return opened_by in self._backlogs

    @property
    def opened(self) -> int:
        """Number of backlogs opened or restored so far."""
        return self.next_order - self._first_order

    @property
    def opened_by(self) -> tuple[str, ...]:
        """`opened_by` of the open backlogs, oldest first."""
        return tuple(self._backlogs)

    def backlogs(self) -> Collection[Backlog]:
        """The open backlogs, oldest first."""
        return self._backlogs.values()

    def snapshots(self) -> Iterator[BacklogSnapshot]:
        """Snapshots of the open backlogs, oldest first."""
        return map(self._snapshot, self._backlogs.values())

    def _snapshot(self, backlog: Backlog, held: HeldItems | None = None) -> BacklogSnapshot:
        return take_snapshot(backlog, held, line_pending=backlog in self._pending)

    def snapshot(self, opened_by: str, held: HeldItems | None) -> BacklogSnapshot | None:
        """The snapshot of the backlog of this key; None if it is not open."""
        backlog = self._backlogs.get(opened_by)
        return None if backlog is None else self._snapshot(backlog, held)
