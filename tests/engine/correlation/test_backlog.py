"""One backlog: its stages, its risk, its expiry."""

import pytest

from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.event import NormalizedEvent
from engine.options import Options
from tests.support.directives import ASSETS, compiled, event, rule

NOW = 2000


def opened(*rules, first: NormalizedEvent | None = None, **more) -> Backlog:  # type: ignore[no-untyped-def]
    backlog = Backlog(compiled(*rules, **more), 0)
    first = first or event(1, "open")
    src, dst = ASSETS.address_info(first.src_ip), ASSETS.address_info(first.dst_ip)
    backlog.open(first, src, dst, NOW)
    return backlog


def test_the_opening_event_finishes_stage_1() -> None:
    backlog = opened()
    assert (backlog.stage, backlog.closed, backlog.starts) == (2, False, (1000, 1000))
    assert backlog.risk == 5 * 5 * 5 // 25  # priority, reliability, value of the server


def test_a_stage_needs_its_occurrences() -> None:
    backlog = opened(rule(1), rule(2, occurrence=3))
    outcomes = [backlog.consume(backlog.stage, event(2, f"e{n}"), NOW) for n in range(3)]
    assert outcomes == ["taken", "taken", "finished"]
    assert backlog.closed


def test_each_event_has_an_id_of_its_own_in_a_stage() -> None:
    """Their number is the number of events, also where a sensor uses an id again."""
    backlog = opened(rule(1), rule(2, occurrence=5))
    for id_ in ("same", "same (3)", "same", "same"):
        assert backlog.consume(backlog.stage, event(2, id_), NOW) == "taken"
    assert list(compact_set.items(backlog.ids)) == ["same", "same (3)", "same (4)", "same (5)"]


def test_a_sticky_value_counts_once() -> None:
    backlog = opened(rule(1), rule(2, occurrence=2, sticky_different="DST_PORT"))
    outcomes = [
        backlog.consume(backlog.stage, event(2, f"e{n}", dst_port=p), NOW)
        for n, p in enumerate((80, 80, 81))
    ]
    assert outcomes == ["taken", "sticky_seen", "finished"]


@pytest.mark.parametrize(("time", "outcome"), [(995, "out_of_order"), (996, "finished")])
def test_an_event_five_seconds_before_the_last_stage_is_out_of_order(
    time: int, outcome: str
) -> None:
    assert opened().consume(2, event(2, time=time), NOW) == outcome


def test_a_stage_expires_after_timeout_lifetime_and_grace() -> None:
    backlog = opened(options=Options(min_alarm_lifetime=30))
    backlog.set_expiry(NOW)
    assert backlog.expires_at == max(NOW, 1000 + 60 + 30 + 1)
    late = opened(options=Options(expiry_grace=10))
    late.set_expiry(NOW)
    assert late.expires_at == NOW + 10


def test_an_unspecified_address_stays_only_while_alone() -> None:
    backlog = opened(first=event(1, "open", src_ip="0.0.0.0"))
    assert backlog.addresses() == ("0.0.0.0", "10.0.0.5")
    backlog.consume(backlog.stage, event(2, "e", src_ip="192.0.2.9"), NOW)
    assert backlog.addresses() == ("192.0.2.9", "10.0.0.5")
