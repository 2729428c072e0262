"""Alarm records of backlogs."""

from engine.correlation.alarm_builder import publish
from engine.correlation.backlog import Backlog
from engine.options import Options
from tests.support.directives import ASSETS, compiled, event, rule


def opened(**more) -> Backlog:  # type: ignore[no-untyped-def]
    options = Options(lookups=True)
    backlog = Backlog(compiled(rule(1), rule(2, from_=":1"), options=options, **more), 0)
    first = event(1, "open", src_port=0, dst_port=22)
    src, dst = ASSETS.address_info(first.src_ip), ASSETS.address_info(first.dst_ip)
    backlog.open(first, src, dst, 2000)
    return backlog


def test_bound_values_stand_in_place_of_references() -> None:
    published = publish(opened())
    assert [one.from_ for one in published.alarm.rules] == ["ANY", "192.0.2.1"]


def test_stages_have_their_times_and_status() -> None:
    published = publish(opened(), timed_out=True)
    first, second = published.alarm.rules
    assert (first.start_time, first.end_time, first.status) == (1000, 1000, "finished")
    assert (second.start_time, second.end_time, second.status) == (1000, 0, "timeout")


def test_the_first_publish_sets_the_created_time() -> None:
    backlog = opened()
    publish(backlog)
    backlog.updated = 3000
    published = publish(backlog)
    assert (published.alarm.created_time, published.alarm.update_time) == (2000, 3000)


def test_lookups_are_requested_only_if_wanted() -> None:
    backlog = opened()
    silent = publish(backlog)
    published = publish(backlog, with_lookups=True)
    assert silent.lookups is None
    assert published.lookups is not None
    assert published.lookups.addresses == ("192.0.2.1", "10.0.0.5")
    assert published.lookups.pairs == (("10.0.0.5", 22),)


def test_networks_are_those_of_all_addresses() -> None:
    published = publish(opened())
    assert published.alarm.networks == ("10.0.0.0/8",)
