"""Finds the first of a shard's open backlogs in some order, in short steps.

There may be hundreds of thousands: only as many as are asked for are kept on the way, and between
two steps events can be correlated.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import nlargest, nsmallest
from ipaddress import ip_network
from itertools import islice

from engine.address import packed_bytes
from engine.alarm import CustomData
from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.options import Options
from shards.ipc.queries import (
    MAX_SHOWN,
    MAX_TEXT,
    Address,
    BacklogRow,
    BacklogRows,
    FindBacklogs,
)
from shards.worker.shard import Shard

PER_STEP = 500
"""Backlogs that are looked at in one step: a fraction of a millisecond."""
_RISKS = range(1001)
"""All risks that a backlog can have: they are priority × reliability × asset value / 25."""

Test = Callable[[Backlog], bool]
Rank = Callable[[Backlog], float]


def find_backlogs(
    shard: Shard, query: FindBacklogs, now: int, in_time: Callable[[], bool]
) -> Iterator[BacklogRows | None]:
    """The answer as the last item, after None for each step; `in_time`: whether to go on.

    Backlogs that close meanwhile may still be among the rows.
    """
    rank = _RANKS[query.sort]
    first = nlargest if query.descending else nsmallest
    tests = list(_tests(query, shard))
    is_after = _after_test(query, rank)
    best: list[Backlog] = []
    matching, complete = 0, True
    by_directive = shard.correlator.open_backlogs()
    total = sum(map(len, by_directive.values()))
    for chunk in _chunks(by_directive, query.directives or list(by_directive)):
        if not in_time():
            complete = False
            break
        found = chunk
        for test in tests:
            found = list(filter(test, found))
        matching += len(found)
        if found := list(filter(is_after, found)) if is_after else found:
            best = first(query.limit, [*best, *found], lambda b: (rank(b), b.alarm_id))
        yield None
    rows = [_row(shard, backlog, rank(backlog)) for backlog in best]
    yield BacklogRows(rows, total, matching, complete, now)


def _chunks(
    by_directive: Mapping[int, Collection[Backlog]], ids: Iterable[int]
) -> Iterator[Sequence[Backlog]]:
    """The backlogs of these directives, PER_STEP or fewer at a time."""
    for id_ in ids:
        backlogs = tuple(by_directive.get(id_, ()))
        for start in range(0, len(backlogs), PER_STEP):
            yield backlogs[start : start + PER_STEP]


def _progress(backlog: Backlog) -> float:
    """The part of its stage, the lowest open one, that a backlog has taken, from 0 to 1."""
    rules, stage = backlog.compiled.rules, backlog.stage
    if stage > len(rules):
        return 1.0
    return compact_set.size(backlog.ids_of(stage)) / rules[stage - 1].record.occurrence


_RANKS: dict[str, Rank] = {
    "updated": lambda backlog: backlog.updated,
    "age": lambda backlog: backlog.starts[0],
    "expires": lambda backlog: backlog.expires_at,
    "progress": _progress,
    "stage": lambda backlog: backlog.stage,
    "directive": lambda backlog: backlog.compiled.directive.id,
    "risk": lambda backlog: backlog.risk,
}


def _after_test(query: FindBacklogs, rank: Rank) -> Test | None:
    if query.after is None:
        return None
    place = tuple(query.after)
    if query.descending:
        return lambda backlog: (rank(backlog), backlog.alarm_id) < place
    return lambda backlog: (rank(backlog), backlog.alarm_id) > place


def _tests(query: FindBacklogs, shard: Shard) -> Iterator[Test]:
    """The filters that are set, the cheapest first."""
    if stage := query.stage:
        yield lambda backlog: stage in backlog.open_stages
    if query.risks:
        yield _risk_test(query.risks)
    if alarm := query.alarm:
        yield lambda backlog: backlog.alarm_id == alarm
    if query.network:
        yield _network_test(query.network)
    for word in query.words:
        yield _word_test(word, shard)


def _risk_test(classes: Sequence[str]) -> Test:
    known: dict[Options, frozenset[int]] = {}

    def has_class(backlog: Backlog) -> bool:
        options = backlog.compiled.options
        risks = known.get(options)
        if risks is None:
            risks = frozenset(risk for risk in _RISKS if options.risk_class(risk) in classes)
            known[options] = risks
        return backlog.risk in risks

    return has_class


def _network_test(text: str) -> Test:
    network = ip_network(text)
    first, last = network.network_address.packed, network.broadcast_address.packed
    length = len(first)

    def is_inside(address: str) -> bool:
        packed = packed_bytes(address)
        return len(packed) == length and first <= packed <= last

    return lambda backlog: any(map(is_inside, backlog.addresses()))


def _word_test(word: str, shard: Shard) -> Test:
    """Whether one of the texts of a backlog has the word, or its id is the word."""
    info = shard.directives.assets.address_info

    def has_word(backlog: Backlog) -> bool:
        directive = backlog.compiled.directive
        return (
            word in backlog.title.casefold()
            or word == backlog.alarm_id.casefold()
            or any(word in ip or word in info(ip).name.casefold() for ip in backlog.addresses())
            or word in directive.kingdom.casefold()
            or word in directive.category.casefold()
            or any(word in one.content.casefold() for one in _custom_data(backlog))
        )

    return has_word


def _custom_data(backlog: Backlog) -> Iterable[CustomData]:
    return compact_set.items(backlog.custom_data)


def _row(shard: Shard, backlog: Backlog, rank: float) -> BacklogRow:
    rules = backlog.compiled.rules
    stage = min(backlog.stage, len(rules))  # it may have been finished since it was found
    rule = rules[stage - 1].record
    return BacklogRow(
        rank=rank,
        id=backlog.alarm_id,
        directive=backlog.compiled.directive.id,
        title=backlog.title[:MAX_TEXT],
        risk=backlog.risk,
        risk_class=backlog.compiled.options.risk_class(backlog.risk),
        stage=stage,
        stages=len(rules),
        stage_name=rule.name[:MAX_TEXT],
        taken=compact_set.size(backlog.ids_of(stage)),
        needed=rule.occurrence,
        src=_shown(shard, compact_set.items(backlog.src_ips)),
        src_count=compact_set.size(backlog.src_ips),
        dst=_shown(shard, compact_set.items(backlog.dst_ips)),
        dst_count=compact_set.size(backlog.dst_ips),
        created_time=backlog.starts[0],
        update_time=backlog.updated,
        expires_time=backlog.expires_at,
        worker=shard.progress.worker,
    )


def _shown(shard: Shard, addresses: Iterable[str]) -> list[Address]:
    info = shard.directives.assets.address_info
    return [Address(ip, info(ip).name) for ip in islice(addresses, MAX_SHOWN)]
