"""Whether an event costs the same however much there is that it does not concern.

Ratios of CPU times taken in turns: many open backlogs to few, many directives to few.
"""

from collections.abc import Callable, Iterator

from benchmarks import workload
from benchmarks.loaded import decoded, feeding, parsed
from benchmarks.measure import Figure, Work, ratio
from benchmarks.per_event import LONG, routing, unknown, with_open
from engine.event import NormalizedEvent
from engine.index import DirectiveIndex

SECTION = "scale"


def run(quick: bool) -> list[Figure]:
    """The figures of this section."""
    count, repeats, backlogs = (4000, 3, 20_000) if quick else (20_000, 7, 100_000)
    return [
        _backlogs(count, repeats, backlogs),
        _matched(count, repeats, 10, "10,000 directives to 10: taking", 1.15),
        _routed(count, repeats),
        _matched(count, repeats, 10_000, "  events drawn over all 10,000"),
    ]


def _backlogs(count: int, repeats: int, many: int) -> Figure:
    """One directive; stage 2 refers to src_ip and dst_ip of stage 1, distinct for each backlog."""
    few = _takes(100, count, repeats)
    lots = _takes(many, count, repeats)
    value = ratio(lambda: next(few), lambda: next(lots), repeats)
    return Figure(SECTION, f"{many:,} open backlogs to 100: taking", value, "×", 3.0)


def _takes(backlogs: int, count: int, repeats: int) -> Iterator[Work]:
    """One correlator with so many backlogs; each work takes new events drawn over all of them."""
    maker, sources = workload.EventMaker(6), workload.pairs(backlogs)
    shard = with_open(workload.directives(1, LONG), decoded(maker.one_each(sources)))
    for _ in range(repeats):
        yield feeding(shard, decoded(maker.drawn(count, sources, [workload.FIRST_SID])))


def _matched(
    count: int, repeats: int, spread: int, name: str, target: float | None = None
) -> Figure:
    """Each event is taken at stage 2; those for many directives concern `spread` of them."""
    few = _takes_of(10, 10, count)
    lots = _takes_of(10_000, spread, count)
    return Figure(SECTION, name, ratio(few, lots, repeats), "×", target)


def _takes_of(directives: int, spread: int, count: int) -> Callable[[], Work]:
    """With so many directives; a backlog is open for each of the first `spread` of them, at least.

    Each call makes events with new ids for the same correlator.
    """
    maker, sources = workload.EventMaker(7), workload.pairs(max(300 // spread, 1))
    sids = range(workload.FIRST_SID, workload.FIRST_SID + spread)
    openers = [maker.event(sid, pair) for sid in sids for pair in sources]
    shard = with_open(workload.directives(directives, LONG), decoded(openers))

    def work() -> Work:
        events: list[NormalizedEvent] = decoded(maker.drawn(count, sources, sids))
        return feeding(shard, events)

    return work


def _routed(count: int, repeats: int) -> Figure:
    raws = unknown(count, workload.pairs(300))
    few = DirectiveIndex(parsed(workload.directives(10)))
    lots = DirectiveIndex(parsed(workload.directives(10_000)))
    value = ratio(lambda: routing(few, raws), lambda: routing(lots, raws), repeats)
    return Figure(SECTION, "10,000 directives to 10: nobody's", value, "×", 1.15)
