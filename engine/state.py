"""All of an open backlog as plain data, to be kept somewhere and restored from there."""

from msgspec import Struct

from engine import bag
from engine.alarm import CustomData
from engine.backlog import Backlog
from engine.compiled import UNBOUND, Bound, CompiledDirective

Value = int | str


class BacklogState(Struct, frozen=True, omit_defaults=True):
    """An open backlog. Times in seconds since the epoch.

    `starts`: of the stages up to the current one; each ends when the next one starts. `ids` and
    `sticky`: event ids and sticky values of the current stage. `earlier_ids`: ids of each earlier
    stage (all_rules_always_active only). `bound`: (stage, event field, value) of first events.
    """

    directive: int
    opened_by: str
    alarm_id: str
    title: str
    risk: int
    starts: tuple[int, ...]
    expires_at: int
    updated: int
    created: int | None = None
    ids: tuple[str, ...] = ()
    earlier_ids: tuple[tuple[str, ...], ...] = ()
    sticky: tuple[Value, ...] = ()
    bound: tuple[tuple[int, str, Value], ...] = ()
    src_ips: tuple[str, ...] = ()
    dst_ips: tuple[str, ...] = ()
    custom_data: tuple[CustomData, ...] = ()
    pairs: tuple[tuple[str, int], ...] = ()


def state_of(backlog: Backlog) -> BacklogState:
    """The state of a backlog."""
    slots = zip(backlog.compiled.slots, backlog.bound, strict=False)
    return BacklogState(
        directive=backlog.compiled.directive.id,
        opened_by=backlog.opened_by,
        alarm_id=backlog.alarm_id,
        title=backlog.title,
        risk=backlog.risk,
        starts=backlog.starts,
        expires_at=backlog.expires_at,
        updated=backlog.updated,
        created=backlog.created,
        ids=tuple(bag.items(backlog.ids)),
        earlier_ids=tuple(tuple(bag.items(ids)) for ids in backlog.earlier_ids),
        sticky=tuple(bag.items(backlog.sticky)),
        bound=tuple((slot.stage, slot.field, v) for slot, v in slots if v is not UNBOUND),
        src_ips=tuple(bag.items(backlog.src_ips)),
        dst_ips=tuple(bag.items(backlog.dst_ips)),
        custom_data=tuple(bag.items(backlog.custom_data)),
        pairs=tuple(bag.items(backlog.pairs)),
    )


def restored(compiled: CompiledDirective, order: int, state: BacklogState) -> Backlog:
    """The backlog that has this state."""
    backlog = Backlog(compiled, order)
    backlog.opened_by = state.opened_by
    backlog.alarm_id = state.alarm_id
    backlog.title = state.title
    backlog.risk = state.risk
    backlog.starts = state.starts
    backlog.expires_at = state.expires_at
    backlog.updated = state.updated
    backlog.created = state.created
    backlog.ids = bag.collect(state.ids)
    backlog.earlier_ids = tuple(bag.collect(ids) for ids in state.earlier_ids)
    backlog.sticky = bag.collect(state.sticky)
    backlog.bound = _bound(compiled, state)
    backlog.src_ips = bag.collect(state.src_ips)
    backlog.dst_ips = bag.collect(state.dst_ips)
    backlog.custom_data = bag.collect(state.custom_data)
    backlog.pairs = bag.collect(state.pairs)
    return backlog


def _bound(compiled: CompiledDirective, state: BacklogState) -> Bound:
    """The values of all slots whose stage has had its first event; UNBOUND where one is lost."""
    known = {(stage, field): value for stage, field, value in state.bound}
    stage = len(state.starts)
    begun = stage if state.ids else stage - 1
    return tuple(
        known.get((slot.stage, slot.field), UNBOUND)
        for slot in compiled.slots
        if slot.stage <= begun
    )
