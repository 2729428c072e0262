"""The backlogs of one directive, and how to find those that an event concerns.

`Stages` files the open backlogs under the values that the references of the stage where they wait
are bound to, so an event finds its backlogs with one lookup per stage.
"""

from collections.abc import Collection, Iterable, Iterator

from engine.alarm import AlarmEvent, Hit, LookupKind, PublishedAlarm
from engine.asset import AddressInfo
from engine.correlation.alarm_builder import publish
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.expiry import ExpiryQueue
from engine.correlation.outputs import Outputs
from engine.correlation.snapshot import (
    BacklogSnapshot,
    UnusableBacklogError,
    restore_backlog,
    take_snapshot,
)
from engine.correlation.stages import Stages
from engine.event import NormalizedEvent

Offer = tuple[Backlog, int]
"""A backlog that consumes an event, and the stage at which it does."""


class DirectiveBacklogs:
    """One directive and its open backlogs, oldest first."""

    __slots__ = ("_backlogs", "_changed", "_compiled", "_expiry", "_next_order", "_stages")

    def __init__(self, compiled: CompiledDirective, expiry: ExpiryQueue) -> None:
        self._compiled = compiled
        self._expiry = expiry
        self._stages = Stages(compiled)
        self._backlogs: dict[str, Backlog] = {}
        """By the id of the event that opened them: it can have only one open at a time."""
        self._next_order = 0
        self._changed: set[str] | None = set() if compiled.options.track_changes else None
        """`opened_by` of what was opened, changed or closed since it was last asked for."""

    def __len__(self) -> int:
        return len(self._backlogs)

    def on_event(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int, outputs: Outputs
    ) -> bool:
        """Offer an event to the backlogs that it concerns; if none consumes it, it may open one.

        Returns whether it was consumed.
        """
        offers = self._offers(event, src, dst)
        if offers:
            for backlog, stage in offers:
                self._offer(backlog, stage, event, now, outputs)
        elif self._stages.opening.matches(event, src, dst):
            self._open(event, src, dst, now, outputs)
        else:
            return False
        return True

    def _offers(self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo) -> list[Offer]:
        """The backlogs that will consume the event, oldest first, and at which stage each."""
        found: list[Offer] = []
        for stage in self._stages.searched:
            waiting = stage.waiting.get(stage.key_of_event(event)) if stage.waiting else None
            if waiting and stage.rule.matches(event, src, dst):
                if isinstance(waiting, dict):
                    found += [(backlog, stage.number) for backlog in waiting]
                else:  # as mostly
                    found.append((waiting, stage.number))
        if len(found) > 1:
            found = _one_each(found) if self._compiled.directive.always_active else found
            found.sort(key=lambda offer: offer[0].order)
        return found

    def _offer(
        self, backlog: Backlog, stage: int, event: NormalizedEvent, now: int, outputs: Outputs
    ) -> None:
        if stage == len(backlog.starts):  # the current one
            answer = backlog.offer(event, now)
        else:
            answer = backlog.revisit(stage, event, now)
            if answer == "taken":
                outputs.publishes += publish(backlog)
        if answer in ("taken", "finished"):
            if self._changed is not None:
                self._changed.add(backlog.opened_by)
            outputs.count("taken")
            outputs.alarm_events.append(AlarmEvent(backlog.alarm_id, stage, event.event_id))
        else:
            outputs.count(answer)
        if answer == "finished":
            self._advance(backlog, stage, now, outputs)

    def _advance(self, backlog: Backlog, finished: int, now: int, outputs: Outputs) -> None:
        """After its stage was finished: the backlog waits at the next one, or is closed."""
        self._expiry.remove(backlog)
        if backlog.closed:
            self._unfile(backlog, finished)
            outputs.count("finished")
        else:
            self._stages.advance(backlog, finished)
            backlog.set_expiry(now)
            self._expiry.add(backlog)
        outputs.publishes += publish(backlog, due=True)

    def _open(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int, outputs: Outputs
    ) -> None:
        if event.event_id in self._backlogs:
            outputs.count("repeated")
            return
        backlog = Backlog(self._compiled, self._next_order)
        backlog.open(event, src, dst, now)
        backlog.set_expiry(now)
        self._file(backlog)
        outputs.count("opened")
        outputs.alarm_events.append(AlarmEvent(backlog.alarm_id, 1, event.event_id))
        if backlog.risk:
            outputs.publishes += publish(backlog, due=True)

    def expire(self, backlog: Backlog, outputs: Outputs) -> None:
        """Close a backlog whose current stage has timed out; `Expiry` has let go of it already."""
        self._unfile(backlog, backlog.stage)
        if self._changed is not None:
            self._changed.add(backlog.opened_by)
        outputs.count("expired")
        outputs.publishes += publish(backlog, timed_out=True)

    def enrich(
        self, opened_by: str, kind: LookupKind, hits: Iterable[Hit]
    ) -> Iterable[PublishedAlarm] | None:
        """Take up what a lookup found for an open backlog, to be published if it is new.

        None when no backlog is open that this event opened.
        """
        backlog = self._backlogs.get(opened_by)
        if backlog is None:
            return None
        if not backlog.enrich(kind, hits):
            return ()
        if self._changed is not None:
            self._changed.add(opened_by)
        return publish(backlog)

    def backlogs(self) -> Iterable[Backlog]:
        """The open backlogs, oldest first."""
        return self._backlogs.values()

    def states(self) -> Iterator[BacklogSnapshot]:
        """The open backlogs as plain data, oldest first."""
        return map(take_snapshot, self._backlogs.values())

    def state(self, opened_by: str) -> BacklogSnapshot | None:
        """The open backlog that this event opened, as plain data."""
        backlog = self._backlogs.get(opened_by)
        return None if backlog is None else take_snapshot(backlog)

    def take_changes(self) -> Collection[str]:
        """By which events those were opened that have changed since this was last asked."""
        if not self._changed:
            return ()
        changed, self._changed = self._changed, set()
        return changed

    def restore(self, state: BacklogSnapshot) -> None:
        """Take up a backlog, younger than all that there are; Unfit when it cannot be."""
        if state.opened_by in self._backlogs:
            raise UnusableBacklogError("another one was opened by the same event")
        compiled = self._stages.compiled_for(state.rules)
        self._file(restore_backlog(compiled, self._next_order, state))

    def _file(self, backlog: Backlog) -> None:
        """Put a backlog where it will be found."""
        self._next_order = backlog.order + 1
        self._backlogs[backlog.opened_by] = backlog
        if self._changed is not None:
            self._changed.add(backlog.opened_by)
        self._stages.file(backlog)
        self._expiry.add(backlog)

    def _unfile(self, backlog: Backlog, stage: int) -> None:
        """Take a closed backlog, last at this stage, out from everywhere but the expiry."""
        del self._backlogs[backlog.opened_by]
        self._stages.unfile(backlog, stage)


def _one_each(offers: list[Offer]) -> list[Offer]:
    """Each backlog once: at its current stage, else at the earliest that matches."""
    chosen: dict[Backlog, int] = {}
    for backlog, stage in offers:
        if backlog not in chosen or stage == backlog.stage:
            chosen[backlog] = stage
    return list(chosen.items())
