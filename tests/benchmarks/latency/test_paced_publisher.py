"""The schedule of evenly spaced events."""

import pytest

from benchmarks.latency.paced_publisher import PacedPlan, prepare_ticks
from benchmarks.support import synthetic


def plan(rate: int, seconds: float) -> PacedPlan:
    return PacedPlan(0, 3, rate, seconds, 0.2, (synthetic.FIRST_SID,), pairs=10)


@pytest.mark.parametrize(("rate", "seconds"), [(1000, 0.5), (300, 1.0), (50_000, 0.1), (1, 3.0)])
def test_each_event_is_in_the_first_tick_at_or_after_its_time(rate: int, seconds: float) -> None:
    paced = plan(rate, seconds)
    ticks = [paced.events_due(tick) for tick in range(paced.ticks)]
    assert [event for events in ticks for event in events] == list(range(paced.events))
    for tick, events in enumerate(ticks):
        assert all(tick - 1 < event * 1000 / rate <= tick for event in events)
    assert ticks[-1]


def test_the_id_of_an_event_gives_the_time_at_which_it_was_due() -> None:
    paced = plan(2000, 0.1)
    ticks, matching = prepare_ticks(paced)
    ids = [
        piece.decode()
        for pieces in ticks
        for piece in pieces
        if piece.startswith(b"%08x-" % paced.run)
    ]
    assert len(ids) == matching > 1
    assert paced.due_time(ids[-1]) == pytest.approx(199 / 2000)
    assert sorted(ids, key=paced.due_time) == ids
    assert paced.due_time("00000003-0000-4000-8000-000010000000") == 2**28 / 2000
