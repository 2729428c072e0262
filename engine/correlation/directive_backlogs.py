"""The open backlogs of one directive, and how an event finds those that consume it.

`Stages` keys the backlogs of a stage by the values that its references are bound to. So an event
finds its backlogs with one dictionary lookup per stage, however many are open.
"""

from collections.abc import Collection, Iterable, Iterator

from engine.alarm import AlarmEvent, Hit, LookupKind
from engine.asset import AddressInfo
from engine.correlation.activity import Activity
from engine.correlation.alarm_builder import publish
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.expiry import ExpiryQueue
from engine.correlation.outputs import Outputs
from engine.correlation.pending_lines import PendingLines
from engine.correlation.snapshot import (
    BacklogSnapshot,
    HeldItems,
    UnusableBacklogError,
    restore_backlog,
    take_snapshot,
)
from engine.correlation.stages import Stages
from engine.event import NormalizedEvent

Consumer = tuple[Backlog, int]
"""A backlog that will consume an event, and the stage at which it will."""


class DirectiveBacklogs:
    """The open backlogs of one directive, oldest first."""

    __slots__ = (
        "_activity",
        "_backlogs",
        "_compiled",
        "_expiry",
        "_id",
        "_next_order",
        "_pending",
        "_stages",
    )

    def __init__(
        self,
        compiled: CompiledDirective,
        expiry: ExpiryQueue,
        pending: PendingLines[Backlog],
        activity: Activity,
    ) -> None:
        """`expiry`, `pending`, `activity`: those of all directives."""
        self._id = compiled.directive.id
        self._compiled = compiled
        self._expiry = expiry
        self._pending = pending
        self._activity = activity
        self._stages = Stages(compiled)
        self._backlogs: dict[str, Backlog] = {}
        """By the id of the opening event, which can have only one open backlog."""
        self._next_order = 0

    def __len__(self) -> int:
        return len(self._backlogs)

    def __contains__(self, opened_by: str) -> bool:
        return opened_by in self._backlogs

    def process_event(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int, outputs: Outputs
    ) -> bool:
        """Let the matching backlogs consume an event; if there are none, it may open a backlog.

        `src` and `dst`: the asset information of its addresses. Returns whether it was consumed.
        """
        consumers = self._find_consumers(event, src, dst)
        if consumers:
            for backlog, stage in consumers:
                self._consume(backlog, stage, event, now, outputs)
        elif self._stages.opening.matches(event, src, dst):
            self._open(event, src, dst, now, outputs)
        else:
            return False
        return True

    def _find_consumers(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo
    ) -> list[Consumer]:
        """The backlogs that will consume the event, oldest first, with their stages."""
        found: list[Consumer] = []
        for stage in self._stages.searched:
            waiting = stage.waiting.get(stage.event_key(event)) if stage.waiting else None
            if waiting and stage.rule.matches(event, src, dst):
                if isinstance(waiting, dict):
                    found += [(backlog, stage.number) for backlog in waiting]
                else:  # the usual case
                    found.append((waiting, stage.number))
        if len(found) > 1:
            found = _one_stage_each(found) if self._compiled.directive.always_active else found
            found.sort(key=lambda consumer: consumer[0].order)
        return found

    def _consume(
        self, backlog: Backlog, stage: int, event: NormalizedEvent, now: int, outputs: Outputs
    ) -> None:
        if stage == len(backlog.starts):  # the current one
            outcome = backlog.consume(event, now)
        else:
            outcome = backlog.consume_at_earlier_stage(stage, event, now)
            if outcome == "taken" and backlog.risk:
                self._pending.add(backlog, now)
        if outcome in ("taken", "finished"):
            self._activity.add_changed(self._id, backlog.opened_by)
            outputs.count("taken")
            outputs.alarm_events.append(AlarmEvent(backlog.alarm_id, stage, event.event_id))
        else:
            outputs.count(outcome)
        if outcome == "finished":
            self._advance(backlog, stage, now, outputs)

    def _advance(self, backlog: Backlog, finished: int, now: int, outputs: Outputs) -> None:
        """Move a backlog that has finished a stage to the next one, or close it."""
        self._expiry.remove(backlog)
        if backlog.closed:
            self._remove(backlog, finished)
            outputs.count("finished")
        else:
            self._stages.advance(backlog, finished)
            backlog.set_expiry(now)
            self._expiry.add(backlog)
        self._pending.discard(backlog)
        outputs.published += publish(backlog, with_lookups=True)

    def _open(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int, outputs: Outputs
    ) -> None:
        if event.event_id in self._backlogs:
            outputs.count("repeated")
            return
        backlog = Backlog(self._compiled, self._next_order)
        backlog.open(event, src, dst, now)
        backlog.set_expiry(now)
        self._add(backlog)
        outputs.count("opened")
        outputs.alarm_events.append(AlarmEvent(backlog.alarm_id, 1, event.event_id))
        if backlog.risk:
            outputs.published += publish(backlog, with_lookups=True)

    def expire(self, backlog: Backlog, outputs: Outputs) -> None:
        """Close a backlog whose current stage has timed out; it has left the expiry queue."""
        self._remove(backlog, backlog.stage)
        self._activity.add_changed(self._id, backlog.opened_by)
        outputs.count("expired")
        self._pending.discard(backlog)
        outputs.published += publish(backlog, timed_out=True)

    def write_pending(self, backlog: Backlog, outputs: Outputs) -> None:
        """Write the alarm of a backlog that has left the pending lines."""
        self._activity.add_changed(self._id, backlog.opened_by)
        outputs.published += publish(backlog)

    def follow_clock_back(self, now: int, latest: int) -> None:
        """As `Correlator.follow_clock_back`."""
        for backlog in self._backlogs.values():
            ahead = max(backlog.starts) > latest
            if ahead:
                starts = backlog.starts
                backlog.starts = tuple(now if start > latest else start for start in starts)
            expires_at = backlog.expiry_since(now)
            if expires_at < backlog.expires_at:
                self._expiry.move(backlog, expires_at)
            elif not ahead:
                continue
            self._activity.add_changed(self._id, backlog.opened_by)

    def enrich(self, opened_by: str, kind: LookupKind, hits: Iterable[Hit]) -> bool:
        """Add the hits of a lookup to the backlog that this event opened; False if it is closed."""
        backlog = self._backlogs.get(opened_by)
        if backlog is None:
            return False
        if backlog.enrich(kind, hits):
            if backlog.risk:
                self._pending.add(backlog)
            self._activity.add_changed(self._id, opened_by)
        return True

    @property
    def opened_by(self) -> tuple[str, ...]:
        """The ids of the events that have opened the open backlogs."""
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
        """The snapshot of the backlog that this event opened; None if it is not open."""
        backlog = self._backlogs.get(opened_by)
        return None if backlog is None else self._snapshot(backlog, held)

    def restore(self, state: BacklogSnapshot) -> None:
        """Restore a backlog as the youngest; UnusableBacklogError if it does not fit."""
        if state.opened_by in self._backlogs:
            raise UnusableBacklogError("another one was opened by the same event")
        compiled = self._stages.compile_rules(state.rules)
        backlog = restore_backlog(compiled, self._next_order, state)
        self._add(backlog)
        if state.line_pending and backlog.risk:
            self._pending.add(backlog, backlog.updated)

    def _add(self, backlog: Backlog) -> None:
        """Add a backlog where events and the expiry find it."""
        self._next_order = backlog.order + 1
        self._backlogs[backlog.opened_by] = backlog
        self._activity.add_changed(self._id, backlog.opened_by)
        self._activity.active.add(self._id)
        self._stages.add(backlog)
        self._expiry.add(backlog)

    def _remove(self, backlog: Backlog, stage: int) -> None:
        """Remove a closed backlog, which was at this stage; not from the expiry queue."""
        del self._backlogs[backlog.opened_by]
        if not self._backlogs:
            self._activity.active.discard(self._id)
        self._stages.remove(backlog, stage)


def _one_stage_each(consumers: list[Consumer]) -> list[Consumer]:
    """Each backlog once: at its current stage, else at the earliest matching one."""
    chosen: dict[Backlog, int] = {}
    for backlog, stage in consumers:
        if backlog not in chosen or stage == backlog.stage:
            chosen[backlog] = stage
    return list(chosen.items())
