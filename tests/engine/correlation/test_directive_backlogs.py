"""The backlogs of one directive: which of them take an event, and what follows."""

from collections import Counter

from engine.correlation.activity import Activity
from engine.correlation.directive_backlogs import DirectiveBacklogs
from engine.correlation.expiry import ExpiryQueue
from engine.correlation.former_definitions import FormerDefinitions
from engine.correlation.memory import Memory
from engine.correlation.outputs import Outputs
from engine.correlation.pending_lines import PendingLines
from engine.correlation.publisher import Publisher
from engine.correlation.shared_parts import SharedParts
from engine.directives.index import DirectiveIndex
from engine.event import NormalizedEvent
from tests.support.directives import ASSETS, compiled, event, rule
from tests.support.events import backlog_key

NOW = 2000


class Directive:
    """One directive with its backlogs, and the outputs of its events."""

    def __init__(self, *rules, **more) -> None:  # type: ignore[no-untyped-def]
        self.expiry = ExpiryQueue()
        self.activity = Activity(track_changes=True)
        memory = Memory(600, Counter())
        common = SharedParts(
            self.expiry,
            PendingLines(),
            self.activity,
            memory,
            Publisher(memory),
            FormerDefinitions(DirectiveIndex([])),
        )
        self.backlogs = DirectiveBacklogs(compiled(*rules, **more), common)

    def process(self, event: NormalizedEvent) -> Outputs:
        outputs = Outputs()
        src, dst = ASSETS.address_info(event.src_ip), ASSETS.address_info(event.dst_ip)
        consumed = self.backlogs.process_event(event, src, dst, NOW, outputs)
        assert consumed is outputs.consumed
        return outputs


def test_an_event_opens_a_backlog_only_if_none_consumes_it() -> None:
    directive = Directive()
    assert directive.process(event(1, "a")).counts == {"opened": 1}
    assert directive.process(event(2, "b")).counts == {"taken": 1, "finished": 1}
    assert directive.process(event(2, "c")).counts == {}
    assert len(directive.backlogs.backlogs()) == 0


def test_only_backlogs_with_the_bound_value_consume_an_event() -> None:
    directive = Directive(rule(1), rule(2, from_=":1", occurrence=2))
    for number in (1, 2, 3):
        directive.process(event(1, f"open {number}", src_ip=f"192.0.2.{number}"))
    outputs = directive.process(event(2, "x", src_ip="192.0.2.2"))
    assert [taken.stage for taken in outputs.alarm_events] == [2]
    assert outputs.counts == {"taken": 1}


def test_several_backlogs_consume_an_event_oldest_first() -> None:
    directive = Directive(rule(1), rule(2, occurrence=2))
    ids = [
        directive.process(event(1, f"open {number}")).alarm_events[0].alarm_id
        for number in range(3)
    ]
    outputs = directive.process(event(2, "x"))
    assert [taken.alarm_id for taken in outputs.alarm_events] == ids


def test_an_event_cannot_open_two_backlogs() -> None:
    directive = Directive()
    directive.process(event(1, "a"))
    assert directive.process(event(1, "a")).counts == {"repeated": 1}


def test_changes_are_reported_once() -> None:
    directive = Directive(rule(1), rule(2, occurrence=2))
    directive.process(event(1, "a"))
    id_, opened_by = backlog_key(7, event(1, "a"))
    assert list(directive.activity.take_changed()) == [(id_, opened_by)]
    assert list(directive.activity.take_changed()) == []
    directive.process(event(2, "b"))
    assert list(directive.activity.take_changed()) == [(id_, opened_by)]


def test_a_directive_is_active_while_it_has_an_open_backlog() -> None:
    directive = Directive()
    assert directive.activity.active == set()
    directive.process(event(1, "a"))
    assert len(directive.activity.active) == 1
    directive.process(event(2, "b"))
    assert directive.activity.active == set()
    directive.process(event(1, "c"))
    [backlog] = directive.expiry.pop_expired(10_000)
    directive.backlogs.expire(backlog, 10_000, Outputs())
    assert directive.activity.active == set()


def test_an_expired_backlog_is_published_as_timed_out_and_leaves_no_trace() -> None:
    directive = Directive()
    directive.process(event(1, "a"))
    [backlog] = directive.expiry.pop_expired(10_000)
    outputs = Outputs()
    directive.backlogs.expire(backlog, 10_000, outputs)
    [published] = outputs.published
    assert [one.status for one in published.alarm.rules] == ["finished", "timeout"]
    assert outputs.counts == {"expired": 1}
    assert directive.process(event(2, "b")).counts == {}


def test_hits_of_a_closed_backlog_have_no_place() -> None:
    directive = Directive()
    assert directive.backlogs.enrich("never opened", "intel", []) is False
