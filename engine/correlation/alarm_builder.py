"""Builds alarm records from backlogs, with the lookups to make for them."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeVar

from msgspec.structs import replace

from engine.alarm import (
    MAX_ITEMS,
    UNSPECIFIED_ADDRESSES,
    AlarmRecord,
    LookupRequest,
    PublishedAlarm,
    RuleRecord,
)
from engine.correlation import compact_set
from engine.correlation.any_order_backlog import AnyOrderBacklog
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import UNBOUND, BoundValues, ReferencePlaces

A = TypeVar("A", bound=AlarmRecord)
R = TypeVar("R", bound=RuleRecord)


def publish(
    backlog: Backlog, *, with_lookups: bool = False, timed_out: bool = False
) -> PublishedAlarm:
    """The alarm to write, with its lookups if wanted.

    The first publish sets created_time. `timed_out`: the current stage has timed out.
    """
    if backlog.created is None:
        backlog.created = backlog.updated
    backlog.published = len(backlog.starts) - 1
    wanted = with_lookups and backlog.compiled.options.lookups
    lookups = _lookup_request(backlog) if wanted else None
    rules = build_rules(backlog, backlog.compiled.printed_rules, timed_out=timed_out)
    alarm = build_alarm(backlog, AlarmRecord, rules)
    return PublishedAlarm(backlog.key, alarm, lookups)


def _lookup_request(backlog: Backlog) -> LookupRequest:
    addresses = dict.fromkeys(backlog.addresses())
    known = tuple(address for address in addresses if address not in UNSPECIFIED_ADDRESSES)
    return LookupRequest(known, backlog.pairs)


def build_alarm(backlog: Backlog, record_type: type[A], rules: tuple[RuleRecord, ...]) -> A:
    """The present alarm record of a backlog with these rules, even if it was never published.

    `record_type`: AlarmRecord, or a subclass of it.
    """
    directive, options = backlog.compiled.directive, backlog.compiled.options
    return record_type(
        alarm_id=backlog.alarm_id,
        title=backlog.title,
        status=options.status,
        tag=options.tag,
        kingdom=directive.kingdom,
        category=directive.category,
        created_time=backlog.created or 0,
        update_time=backlog.updated,
        risk=backlog.risk,
        risk_class=options.risk_class(backlog.risk),
        rules=rules,
        src_ips=tuple(compact_set.items(backlog.src_ips)),
        dst_ips=tuple(compact_set.items(backlog.dst_ips)),
        networks=_networks(backlog),
        intel_hits=backlog.hits_of_kind("intel"),
        vulnerabilities=backlog.hits_of_kind("vuln"),
        custom_data=tuple(compact_set.items(backlog.custom_data)),
    )


def _networks(backlog: Backlog) -> tuple[str, ...]:
    address_info = backlog.compiled.assets.address_info
    found = [
        network for address in backlog.addresses() for network in address_info(address).networks
    ]
    return tuple(islice(dict.fromkeys(found), MAX_ITEMS))


def build_rules(
    backlog: Backlog, printed: Iterable[tuple[R, ReferencePlaces]], *, timed_out: bool = False
) -> tuple[R, ...]:
    """The rules with the times, status and bound values of a backlog.

    `printed`: rules with the places of their references, as `CompiledDirective.printed_rules`.
    """
    if isinstance(backlog, AnyOrderBacklog):
        return _rules_in_any_order(backlog, printed, timed_out=timed_out)
    current, starts = backlog.stage, backlog.starts
    records = []
    for stage, (record, places) in enumerate(printed, 1):
        changes = _bound_texts(backlog.bound, places) if places else {}
        if stage < current:
            changes["start_time"] = starts[stage - 1]
            changes["end_time"] = starts[stage]
            changes["status"] = "finished"
        elif stage == current:
            changes["start_time"] = starts[stage - 1]
            if timed_out:
                changes["status"] = "timeout"
        records.append(replace(record, **changes) if changes else record)
    return tuple(records)


def _rules_in_any_order(
    backlog: AnyOrderBacklog, printed: Iterable[tuple[R, ReferencePlaces]], *, timed_out: bool
) -> tuple[R, ...]:
    """As build_rules."""
    ends = dict(zip(backlog.finished_stages, backlog.starts[1:], strict=True))
    records = []
    for stage, (record, places) in enumerate(printed, 1):
        changes = _bound_texts(backlog.bound, places) | {"start_time": backlog.starts[0]}
        if stage in ends:
            changes |= {"end_time": ends[stage], "status": "finished"}
        elif timed_out and stage == backlog.expiring_stage:
            changes["status"] = "timeout"
        records.append(replace(record, **changes))
    return tuple(records)


def _bound_texts(bound: BoundValues, places: ReferencePlaces) -> dict[str, Any]:
    """The bound values of references as texts, by the field in which the alarm prints them."""
    return {
        field: text_of(bound[slot])
        for field, slot, text_of in places
        if slot < len(bound) and bound[slot] is not UNBOUND
    }
