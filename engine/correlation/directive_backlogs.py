"""The open backlogs of one directive, and how an event finds those that consume it.

`Stages` keys them by the values that references are bound to: one dictionary lookup per stage.
"""

from collections.abc import Iterable

from engine.alarm import AlarmEvent, Hit, LookupKind
from engine.asset import AddressInfo
from engine.correlation.any_order_backlog import backlog_type
from engine.correlation.backlog import Backlog, EventOutcome
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.open_backlogs import OpenBacklogs
from engine.correlation.outputs import Outputs
from engine.correlation.restoration import definition_of, restore_backlog
from engine.correlation.shared_parts import SharedParts
from engine.correlation.snapshot import BacklogSnapshot
from engine.correlation.stages import Stages
from engine.directives.directive import Directive
from engine.event import NormalizedEvent


class DirectiveBacklogs(OpenBacklogs):
    """The open backlogs of one directive, oldest first."""

    __slots__ = (
        "_activity",
        "_expiry",
        "_id",
        "_memory",
        "_new_backlog",
        "_publisher",
        "_salt",
        "_saved_ids",
        "_stamp",
        "_taken_stamps",
        "_written_stamps",
        "compiled",
        "stages",
    )

    def __init__(self, compiled: CompiledDirective, shared: SharedParts, order: int = 0) -> None:
        """`order`: of the first backlog that is opened."""
        super().__init__(shared.pending, order)
        self._id = compiled.directive.id
        self.compiled = compiled
        self._expiry = shared.expiry
        self._activity = shared.activity
        self._memory = memory = shared.memory
        self._publisher = shared.publisher
        self._taken_stamps = memory.taken.stamps
        self._written_stamps = memory.written.stamps
        self._saved_ids = memory.saved_ids.stamps
        self._salt = compiled.salt
        self._stamp = (0, self._id)
        """Of what is taken now."""
        self._new_backlog = backlog_type(compiled)
        self.stages = Stages(compiled, shared.former)

    def process_event(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int, outputs: Outputs
    ) -> bool:
        """Let the matching backlogs consume an event; if there are none, it may open a backlog.

        `src` and `dst`: the asset information of its addresses. Returns whether it was consumed.
        """
        key = event.identity ^ self._salt
        if (key in self._taken_stamps or self._saved_ids) and self.is_repeat(event, now):
            outputs.count("repeated")
            return True
        consumers = self.stages.find_consumers(event, src, dst)
        if consumers:
            taken = False
            for backlog, stage in consumers:
                taken |= self._consume(backlog, stage, event, now, outputs)
        elif self.stages.opening.matches(event, src, dst):
            taken = self._open(event, src, dst, now, outputs)
        else:
            return False
        if taken:
            stamp = self._stamp
            if stamp[0] != now:
                stamp = self._stamp = (now, self._id)
            if self._memory.remember(event, key, stamp):
                outputs.count("id_reused")
        return True

    def is_repeat(self, event: NormalizedEvent, now: int) -> bool:
        """Whether a backlog has taken the event before, as far as that is known."""
        memory = self._memory
        return memory.taken.get(event.identity ^ self._salt, now) is not None or (
            bool(self._saved_ids) and memory.is_saved(self._id, event.event_id, now)
        )

    def is_suppressed(self, event: NormalizedEvent, now: int) -> bool:
        """Whether an event that would open a backlog does not, since its values cool down."""
        compiled = self.compiled
        return compiled.suppress is not None and self._memory.cool_downs.is_active(
            compiled.cool_down_key(event), now
        )

    def _consume(
        self, backlog: Backlog, stage: int, event: NormalizedEvent, now: int, outputs: Outputs
    ) -> bool:
        """Let a backlog consume an event; returns whether it took it."""
        if self._activity.cut:
            self._activity.before_change(self._id, backlog.opened_by)
        outcome = backlog.consume(stage, event, now)
        is_taken = outcome == "taken"  # the usual case
        if not is_taken and outcome in {"sticky_seen", "out_of_order", "too_late"}:
            outputs.count(outcome)
            return False
        self._activity.add_changed(self._id, backlog.opened_by)
        outputs.counts["taken"] += 1
        outputs.alarm_events.append(AlarmEvent(backlog.alarm_id, stage, event.event_id))
        if is_taken:
            return True
        if outcome != "revisited":
            self._complete(backlog, stage, outcome, now, outputs)
        elif backlog.risk:
            self._pending.add(backlog, now)
        return True

    def _complete(
        self, backlog: Backlog, stage: int, outcome: EventOutcome, now: int, outputs: Outputs
    ) -> None:
        """Do what follows from the last event of a stage."""
        self._expiry.remove(backlog)
        if outcome == "finished":
            self._advance(backlog, stage, now, outputs)
        else:
            self._close(backlog, stage, "averted", now, outputs)

    def _advance(self, backlog: Backlog, finished: int, now: int, outputs: Outputs) -> None:
        """Move a backlog that has finished a stage to the next one, or close it.

        It has left the expiry queue.
        """
        if backlog.closed:
            self._remove(backlog, finished)
        else:
            self.stages.advance(backlog, finished)
            backlog.set_expiry(now)
            self._expiry.add(backlog)
        self._pending.discard(backlog)
        self._publisher.publish(backlog, now, outputs, with_lookups=True)
        if backlog.closed:
            self._finish(backlog, now, outputs)

    def _open(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int, outputs: Outputs
    ) -> bool:
        """Open a backlog, unless a cool-down prevents it; returns whether it was opened."""
        if self.is_suppressed(event, now):
            outputs.count("suppressed")
            return False
        backlog = self._new_backlog(self.compiled, self.next_order)
        backlog.open(event, src, dst, now)
        if backlog.alarm_id in self._written_stamps or backlog.opened_by in self._backlogs:
            self._find_predecessor(backlog, now)
        if backlog.closed:  # its only stage is finished
            self.next_order += 1
        else:
            backlog.set_expiry(now)
            self._add(backlog)
        outputs.count("opened")
        outputs.alarm_events.append(AlarmEvent(backlog.alarm_id, 1, event.event_id))
        self._publisher.publish(backlog, now, outputs, with_lookups=True)
        if backlog.closed:
            self._finish(backlog, now, outputs)
        return True

    def _finish(self, backlog: Backlog, now: int, outputs: Outputs) -> None:
        """Do what follows from the end of the last stage, whose alarm is published."""
        outputs.count("finished")
        self._publisher.finish(backlog, now)

    def expire(self, backlog: Backlog, now: int, outputs: Outputs) -> bool:
        """Pass the timeout of an open stage of a backlog, which has left the expiry queue.

        Finishes the stage if it is absent, else closes the backlog, and returns True. What follows
        from the finish follows from when it was due: after a death it may be noticed later.
        """
        self._activity.before_change(self._id, backlog.opened_by)
        self._activity.add_changed(self._id, backlog.opened_by)
        stage = backlog.expiring_stage
        if backlog.pass_timeout():
            self._advance(backlog, stage, backlog.expires_at, outputs)
            return False
        self._close(backlog, stage, "expired", now, outputs)
        return True

    def _close(self, backlog: Backlog, stage: int, why: str, now: int, outputs: Outputs) -> None:
        """Close a backlog at this stage, which is not finished; it has left the expiry queue."""
        self._remove(backlog, stage)
        self._pending.discard(backlog)
        outputs.count(why)
        if why == "expired":
            self._publisher.publish(backlog, now, outputs, timed_out=True)
        self._publisher.remember(backlog, now)

    def _find_predecessor(self, backlog: Backlog, now: int) -> None:
        self._publisher.find_predecessor(backlog, self._backlogs.get(backlog.opened_by), now)

    def close_all(self, now: int, outputs: Outputs) -> None:
        """Close all backlogs without a line, since the directive is not there any more."""
        for backlog in self._backlogs.values():
            self._activity.before_change(self._id, backlog.opened_by)
            self._activity.add_changed(self._id, backlog.opened_by)
            self._expiry.remove(backlog)
            self._pending.discard(backlog)
            self._publisher.remember(backlog, now)
            outputs.count("removed")
        self._backlogs.clear()
        self._activity.active.discard(self._id)
        self.stages.clear()

    def change_definition(self, definition: Directive) -> None:
        """Open backlogs under this definition from now on; those that are open go on under theirs.

        All of them count as changed, since their snapshots say so.
        """
        for opened_by in self._backlogs:
            self._activity.before_change(self._id, opened_by)
            self._activity.add_changed(self._id, opened_by)
        self.compiled = self.stages.change_definition(definition)
        self._new_backlog = backlog_type(self.compiled)

    def write_pending(self, backlog: Backlog, now: int, outputs: Outputs) -> None:
        """Write the alarm of a backlog that has left the pending lines."""
        if self._activity.cut:
            self._pending.add(backlog)  # as it was
            self._activity.before_change(self._id, backlog.opened_by)
            self._pending.discard(backlog)
        self._activity.add_changed(self._id, backlog.opened_by)
        self._publisher.publish(backlog, now, outputs)

    def follow_clock_back(self, now: int, latest: int) -> None:
        """As `Correlator.follow_clock_back`."""
        for backlog in self._backlogs.values():
            self._activity.before_change(self._id, backlog.opened_by)
            ahead = backlog.follow_clock_back(now, latest)
            expires_at = backlog.expiry_since(now)
            if expires_at < backlog.expires_at:
                self._expiry.move(backlog, expires_at)
            elif not ahead:
                continue
            self._activity.add_changed(self._id, backlog.opened_by)

    def enrich(self, opened_by: str, kind: LookupKind, hits: Iterable[Hit]) -> bool:
        """Add the hits of a lookup to the backlog of this key; False if it is closed."""
        backlog = self._backlogs.get(opened_by)
        if backlog is None:
            return False
        self._activity.before_change(self._id, opened_by)
        if backlog.enrich(kind, hits):
            if backlog.risk:
                self._pending.add(backlog)
            self._activity.add_changed(self._id, opened_by)
        return True

    def restore(self, state: BacklogSnapshot) -> None:
        """Restore a backlog as the youngest; UnusableBacklogError if it does not fit."""
        definition = definition_of(state, self.compiled.directive)
        backlog = restore_backlog(self.stages.find_definition(definition), self.next_order, state)
        self._find_predecessor(backlog, state.updated)
        if state.ids_only:
            for ids in ((state.opening_id,), state.ids, *state.earlier_ids):
                self._memory.remember_saved(self._id, ids, state.updated)
        self._add(backlog)
        if state.line_pending and backlog.risk:
            self._pending.add(backlog, backlog.updated)

    def _add(self, backlog: Backlog) -> None:
        """Add a backlog where events and the expiry find it."""
        self.next_order = backlog.order + 1
        self._backlogs[backlog.opened_by] = backlog
        self._activity.add_changed(self._id, backlog.opened_by)
        self._activity.active.add(self._id)
        self.stages.add(backlog)
        self._expiry.add(backlog)

    def _remove(self, backlog: Backlog, stage: int) -> None:
        """Remove a closed backlog, which was at this stage; not from the expiry queue."""
        del self._backlogs[backlog.opened_by]
        if not self._backlogs:
            self._activity.active.discard(self._id)
        self.stages.remove(backlog, stage)
