"""The growth of the cost of an event with the number of directives and of open backlogs.

Ratios of CPU times taken in turns: many open backlogs to few, many directives to few.
"""

from collections.abc import Iterator
from statistics import median

from benchmarks.engine.loaded import feeding, index, with_open_backlogs
from benchmarks.engine.per_event import LONG, routing, unknown
from benchmarks.support import workload
from benchmarks.support.measure import Figure, cpu_nanos

SECTION = "scale"
Runs = Iterator[int]
"""The CPU time of one run after the other."""


def run(quick: bool) -> list[Figure]:
    """The figures of this section."""
    count, repeats, backlogs = (4000, 3, 20_000) if quick else (10_000, 5, 100_000)

    def figure(name: str, few: Runs, lots: Runs, target: float | None = None) -> Figure:
        ratios = [next(lots) / next(few) for _ in range(repeats)]
        return Figure(SECTION, name, median(ratios), "×", target)

    def taking(backlogs: int, directives: int = 1, concerned: int = 1) -> Runs:
        return _taking(count, backlogs, directives, concerned)

    title = "10,000 directives to 10"
    return [
        figure(f"{backlogs:,} open backlogs to 100: taking", taking(100), taking(backlogs), 3.0),
        figure(f"{title}: taking", taking(30, 10, 10), taking(30, 10_000, 10), 1.15),
        figure(f"{title}: nobody's", _routing(count, 10), _routing(count, 10_000), 1.15),
        figure("  events for all of them, taken", taking(30, 10, 10), taking(1, 10_000, 10_000)),
    ]


def _taking(count: int, backlogs: int, directives: int, concerned: int) -> Runs:
    """So many backlogs are open for each of the directives that the events concern.

    Each was opened by a pair of addresses of its own, to which stage 2 refers; events are drawn at
    random over them, new ones for each run.
    """
    maker, sources = workload.EventMaker(6), workload.pairs(backlogs)
    sids = range(workload.FIRST_SID, workload.FIRST_SID + concerned)
    openers = [maker.event(sid, pair) for sid in sids for pair in sources]
    shard = with_open_backlogs(workload.directives(directives, LONG), openers)
    while True:
        yield cpu_nanos(lambda: feeding(shard), maker.draw_all(count, sources, sids))


def _routing(count: int, directives: int) -> Runs:
    raws = unknown(count, workload.pairs(300))
    known = index(workload.directives(directives))
    while True:
        yield cpu_nanos(lambda: routing(known), raws)
