"""Cool-downs: which values are suppressed until when, within a bound."""

from collections import Counter

from engine.correlation.cool_downs import CoolDown, CoolDowns


def cool_down(key: int, until: int, seconds: int = 100) -> CoolDown:
    return CoolDown(key, 1, until, seconds)


def test_it_is_active_until_its_end() -> None:
    cool_downs = CoolDowns(Counter())
    cool_downs.begin(cool_down(1, 1000))
    assert [cool_downs.is_active(1, now) for now in (900, 999, 1000)] == [True, True, False]
    assert not cool_downs.is_active(2, 900)


def test_one_that_begins_again_lasts_longer() -> None:
    cool_downs = CoolDowns(Counter())
    cool_downs.begin(cool_down(1, 1000))
    cool_downs.begin(cool_down(1, 1050))
    cool_downs.prune(1000)
    assert cool_downs.is_active(1, 1049)
    assert cool_downs.prune_at == 1050
    cool_downs.prune(1050)
    assert len(cool_downs) == 0


def test_their_number_is_bounded_and_the_first_to_end_goes_first() -> None:
    capped: Counter[str] = Counter()
    cool_downs = CoolDowns(capped, limit=3)
    for key, until in ((1, 1000), (2, 900), (3, 1100), (4, 1200), (5, 950)):
        cool_downs.begin(cool_down(key, until))
    assert [key for key in range(1, 6) if cool_downs.is_active(key, 0)] == [1, 3, 4]
    assert capped == {"cool_downs": 2}


def test_beginning_again_and_again_takes_no_memory() -> None:
    cool_downs = CoolDowns(Counter())
    for until in range(10_000):
        cool_downs.begin(cool_down(1, until))
    assert len(cool_downs) == 1
    assert len(cool_downs._ends) < 100


def test_after_the_clock_was_set_back_none_lasts_longer_than_its_seconds() -> None:
    cool_downs = CoolDowns(Counter())
    cool_downs.begin(cool_down(1, 10_000))
    cool_downs.begin(cool_down(2, 550))
    cool_downs.follow_clock_back(500)
    assert [cool_downs.is_active(key, 549) for key in (1, 2)] == [True, True]
    assert [cool_downs.is_active(key, 599) for key in (1, 2)] == [True, False]
    assert not cool_downs.is_active(1, 600)


def test_a_clock_that_is_set_back_again_and_again_takes_no_memory() -> None:
    cool_downs = CoolDowns(Counter())
    cool_downs.begin(cool_down(1, 10_000))
    for now in range(9_000, 0, -1):
        cool_downs.follow_clock_back(now)
    assert len(cool_downs._ends) < 100
    assert [cool_downs.is_active(1, now) for now in (100, 101)] == [True, False]
    assert cool_downs.prune_at == 101
    cool_downs.prune(101)
    assert len(cool_downs) == 0


def test_restored_ones_do_not_replace_those_begun_since() -> None:
    cool_downs = CoolDowns(Counter())
    cool_downs.begin(cool_down(1, 1000))
    cool_downs.restore([cool_down(1, 500), cool_down(2, 500)])
    assert cool_downs.is_active(1, 999)
    assert cool_downs.is_active(2, 499)
    assert cool_downs.last_begun(5) == [cool_down(2, 500), cool_down(1, 1000)]
