"""Finds the first of a shard's open backlogs in some order, in short turns.

There may be hundreds of thousands: only as many as are asked for are kept on the way, and between
two turns events are correlated.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nlargest, nsmallest
from itertools import islice

from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from shards.ipc.queries import (
    MAX_SHOWN_ADDRESSES,
    MAX_TEXT,
    BacklogRow,
    BacklogRows,
    FindBacklogs,
)
from shards.worker.shard import Shard

PER_STEP = 500
"""Backlogs that are looked at in one step: less than a millisecond."""

Test = Callable[[Backlog], bool]


def find_backlogs(
    shard: Shard, query: FindBacklogs, now: int, *, in_time: Callable[[], bool]
) -> Iterator[BacklogRows | None]:
    """The answer as the last item, after None for each step; `in_time`: whether to go on.

    Backlogs that close meanwhile may still be among the rows.
    """
    rank = _RANKS[query.sort]
    first = nlargest if query.descending else nsmallest
    tests = _tests(query)
    best: list[Backlog] = []
    total = matching = 0
    complete = True
    by_directive = shard.correlator.open_backlogs()
    for id_ in query.directives or list(by_directive):
        backlogs = tuple(by_directive.get(id_, ()))
        total += len(backlogs)
        for start in range(0, len(backlogs), PER_STEP):
            found: Sequence[Backlog] = backlogs[start : start + PER_STEP]
            for test in tests:
                found = list(filter(test, found))
            matching += len(found)
            if found:
                best = first(query.limit, [*best, *found], rank)
            yield None
            if not in_time():
                complete = False
                break
    rows = [_row(backlog, rank(backlog), shard.progress.worker, now) for backlog in best]
    yield BacklogRows(rows, total, matching, complete)


def _progress(backlog: Backlog) -> float:
    """The finished part of all stages, from 0 to 1."""
    rules, stage = backlog.compiled.rules, len(backlog.starts)
    if stage > len(rules):
        return 1.0
    taken = compact_set.size(backlog.ids) / rules[stage - 1].record.occurrence
    return (stage - 1 + taken) / len(rules)


_RANKS: dict[str, Callable[[Backlog], float]] = {
    "updated": lambda backlog: backlog.updated,
    "opened": lambda backlog: backlog.starts[0],
    "expires": lambda backlog: backlog.expires_at,
    "risk": lambda backlog: backlog.risk,
    "stage": lambda backlog: len(backlog.starts),
    "progress": _progress,
    "directive": lambda backlog: backlog.compiled.directive.id,
}


def _tests(query: FindBacklogs) -> list[Test]:
    """The filters that are set, the cheapest first."""
    tests: list[tuple[object, Test]] = [
        (query.stage, lambda backlog: len(backlog.starts) == query.stage),
        (query.least_risk, lambda backlog: backlog.risk >= query.least_risk),
        (query.alarm, lambda backlog: backlog.alarm_id == query.alarm),
        (query.address, lambda backlog: _has_address(backlog, query.address)),
        (query.text, lambda backlog: query.text in backlog.title.lower()),
    ]
    return [test for wanted, test in tests if wanted]


def _has_address(backlog: Backlog, address: str) -> bool:
    contains = compact_set.contains
    return contains(backlog.src_ips, address) or contains(backlog.dst_ips, address)


def _row(backlog: Backlog, rank: float, worker: int, now: int) -> BacklogRow:
    rules, stage = backlog.compiled.rules, len(backlog.starts)
    is_open = stage <= len(rules)  # the last event may have come since it was found
    return BacklogRow(
        rank=rank,
        alarm_id=backlog.alarm_id,
        directive=backlog.compiled.directive.id,
        title=backlog.title[:MAX_TEXT],
        stage=min(stage, len(rules)),
        stages=len(rules),
        count=_count(backlog, stage) if is_open else rules[-1].record.occurrence,
        needed=rules[min(stage, len(rules)) - 1].record.occurrence,
        risk=backlog.risk,
        risk_class=backlog.compiled.options.risk_class(backlog.risk),
        opened=backlog.starts[0],
        updated=backlog.updated,
        expires=backlog.expires_at,
        expires_in=max(0, backlog.expires_at - now),
        reported=backlog.created is not None,
        src_ips=_shown(compact_set.items(backlog.src_ips)),
        dst_ips=_shown(compact_set.items(backlog.dst_ips)),
        src_count=compact_set.size(backlog.src_ips),
        dst_count=compact_set.size(backlog.dst_ips),
        shard=worker,
    )


def _count(backlog: Backlog, stage: int) -> int:
    """Events taken at the current stage; stage 1 is finished by the event that opens it."""
    return compact_set.size(backlog.ids) if stage > 1 else 1


def _shown(addresses: Iterable[str]) -> list[str]:
    return list(islice(addresses, MAX_SHOWN_ADDRESSES))
