"""The growth of the cost of an event with the number of directives and of open backlogs.

Ratios of CPU times taken in turns: many open backlogs to few, many directives to few.
"""

from collections.abc import Iterator
from statistics import median

from benchmarks.engine.engine_setup import build_index, correlator_with_backlogs, process_events
from benchmarks.engine.per_event import route_events, unmatched_events
from benchmarks.support import synthetic
from benchmarks.support.measure import Figure, cpu_nanos

SECTION = "scale"
CpuTimes = Iterator[int]
"""CPU time of each run in nanoseconds, without end."""


def run(quick: bool) -> list[Figure]:
    """Measure the section `scale`."""
    count, repeats, backlogs = (4000, 3, 20_000) if quick else (10_000, 5, 100_000)

    def figure(name: str, small: CpuTimes, large: CpuTimes, target: float | None = None) -> Figure:
        ratios = [next(large) / next(small) for _ in range(repeats)]
        return Figure(SECTION, name, median(ratios), "×", target)

    def matched(backlogs: int, directives: int = 1, concerned: int = 1) -> CpuTimes:
        return _matched_events(count, backlogs, directives, concerned)

    title = "10,000 directives to 10"
    return [
        figure(f"{backlogs:,} open backlogs to 100: taking", matched(100), matched(backlogs), 3.0),
        figure(f"{title}: taking", matched(30, 10, 10), matched(30, 10_000, 10), 1.15),
        figure(
            f"{title}: nobody's", _routed_events(count, 10), _routed_events(count, 10_000), 1.15
        ),
        figure("  events for all of them, taken", matched(30, 10, 10), matched(1, 10_000, 10_000)),
    ]


def _matched_events(count: int, backlogs: int, directives: int, concerned: int) -> CpuTimes:
    """Process events that match the first `concerned` directives, each with `backlogs` backlogs.

    Each was opened by a pair of addresses of its own, to which stage 2 refers; events are drawn at
    random over them, new ones for each run.
    """
    generator, pairs = synthetic.EventGenerator(6), synthetic.address_pairs(backlogs)
    sids = range(synthetic.FIRST_SID, synthetic.FIRST_SID + concerned)
    openers = [generator.event(sid, pair) for sid in sids for pair in pairs]
    correlator = correlator_with_backlogs(
        synthetic.directives(directives, synthetic.STAY_AT_STAGE_2), openers
    )
    while True:
        yield cpu_nanos(
            lambda: process_events(correlator), generator.random_events(count, pairs, sids)
        )


def _routed_events(count: int, directives: int) -> CpuTimes:
    raws = unmatched_events(count, synthetic.address_pairs(300))
    index = build_index(synthetic.directives(directives))
    while True:
        yield cpu_nanos(lambda: route_events(index), raws)
