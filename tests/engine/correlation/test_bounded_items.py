"""Addresses, custom data, pairs and hits of a backlog are bounded, and the others counted."""

from ipaddress import IPv4Address

import pytest

from engine.alarm import MAX_ITEMS, Hit
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.event import NormalizedEvent
from engine.options import Options
from tests.support.directives import ASSETS, directive, event, rule

SENT = 3 * MAX_ITEMS
"""Events of stage 2, each with other addresses and custom data; one more finishes it."""


def flood(number: int) -> NormalizedEvent:
    return event(
        2,
        f"e{number}",
        time=1001,
        src_ip=str(IPv4Address("198.18.0.0") + number),
        dst_ip=str(IPv4Address("198.19.0.0") + number),
        src_port=1 + number,
        custom_data1=f"/page/{number}",
        custom_label1="url",
    )


def make_correlator(options: Options | None = None, *, more: int = 0) -> Correlator:
    """A correlator whose stage 2 takes the flood, one event, and so many more."""
    rules = rule(1), rule(2, occurrence=SENT + 1 + more), rule(3)
    return Correlator([directive(*rules)], ASSETS, options or Options())


def flooded(options: Options | None = None, *, more: int = 0) -> Correlator:
    """Such a correlator with one backlog that has taken the flood."""
    correlator = make_correlator(options, more=more)
    correlator.process_event(event(1, "opens", src_ip="192.0.2.1", dst_ip="192.0.2.2"), 1000)
    for number in range(SENT):
        correlator.process_event(flood(number), 1001)
    return correlator


def finish(correlator: Correlator, **more: str) -> Outputs:
    """Finish stage 2 with an event of these addresses."""
    return correlator.process_event(event(2, "last", time=1002, **more), 1002)


def test_an_alarm_keeps_a_thousand_of_each_and_the_others_are_counted() -> None:
    correlator = flooded(Options(lookups=True))
    [published] = finish(correlator).published
    alarm = published.alarm
    assert len(alarm.src_ips) == len(alarm.dst_ips) == len(alarm.custom_data) == MAX_ITEMS
    assert alarm.src_ips[:2] == ("192.0.2.1", "198.18.0.0")
    assert published.lookups is not None
    assert len(published.lookups.pairs) == MAX_ITEMS
    left = SENT - (MAX_ITEMS - 1)
    assert correlator.capped == {
        "src_ips": left,
        "dst_ips": left + 1,
        "custom_data": left - 1,
        "pairs": left - 1,
    }


def test_networks_are_bounded_too() -> None:
    [published] = finish(flooded()).published
    assert len(published.alarm.networks) <= MAX_ITEMS


@pytest.mark.parametrize("restored", [False, True])
def test_the_asset_value_of_an_address_that_is_not_kept_counts_for_the_risk(restored: bool) -> None:
    correlator = flooded(more=1)
    correlator.process_event(event(2, "home", time=1001, src_ip="10.0.0.5", dst_ip="1.1.1.1"), 1001)
    states = correlator.snapshots()
    assert "10.0.0.5" not in states[0].src_ips
    if restored:
        correlator = make_correlator(more=1)
        assert correlator.restore(states) == []
    [published] = finish(correlator, src_ip="1.1.1.2", dst_ip="1.1.1.3").published
    assert published.alarm.risk == 5 * 5 * 5 // 25


def test_an_address_that_is_kept_already_is_not_counted() -> None:
    correlator = flooded()
    before = correlator.capped["src_ips"]
    finish(correlator, src_ip="198.18.0.1", dst_ip="198.19.0.1")
    assert correlator.capped["src_ips"] == before


def test_hits_are_bounded() -> None:
    correlator = flooded()
    hits = [Hit("Wise", "1.1.1.1", f"r{number}") for number in range(SENT)]
    assert correlator.enrich(next(correlator.open_keys()), "intel", hits)
    [published] = finish(correlator).published
    assert len(published.alarm.intel_hits) == MAX_ITEMS
    assert correlator.capped["hits"] == SENT - MAX_ITEMS
