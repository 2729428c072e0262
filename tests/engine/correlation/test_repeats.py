"""Repeats and reused ids through the correlator, and alarms that never go back.

Single steps are cases in tests/correlation/repeats.json; here is what follows from several.
"""

from __future__ import annotations

from typing import Any

import pytest

from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.event import NormalizedEvent
from engine.options import Options
from tests.support.directives import ASSETS, directive, event, rule
from tests.support.events import backlog_key

WINDOW = 600
START = 1000


class Engine:
    """A correlator of one directive of four stages that never time out before 5000 seconds."""

    def __init__(self, *rules: Any, window: int = WINDOW, **more: Any) -> None:
        rules = rules or tuple(rule(n, reliability=n, timeout=5000) for n in (1, 2, 3, 4))
        options = Options(repeat_window=window, track_changes=True)
        self.correlator = Correlator([directive(*rules, **more)], ASSETS, options)

    def take(self, one: NormalizedEvent, now: int) -> Outputs:
        return self.correlator.process_event(one, now)

    def lines(self, one: NormalizedEvent, now: int) -> list[int]:
        """The number of finished stages in each line that the event causes."""
        return finished_stages(self.take(one, now))


def finished_stages(outputs: Outputs) -> list[int]:
    alarms = [published.alarm for published in outputs.published]
    return [sum(one.status == "finished" for one in alarm.rules) for alarm in alarms]


def test_a_repeat_after_the_backlog_has_closed_changes_nothing() -> None:
    engine = Engine(rule(1), rule(2))
    first, last = event(1, "a"), event(2, "b")
    engine.take(first, START)
    engine.take(last, START + 1)
    list(engine.correlator.take_changed())
    for one in (first, last):
        outputs = engine.take(one, START + 2)
        assert outputs.counts == {"repeated": 1}
        assert outputs.published == []
        assert outputs.alarm_events == []
    assert list(engine.correlator.take_changed()) == []
    assert len(engine.correlator) == 0


def test_after_the_window_it_opens_the_alarm_anew_under_the_same_id() -> None:
    engine = Engine(rule(1, timeout=10), rule(2, timeout=10))
    [first] = engine.take(event(1, "a"), START).alarm_events
    engine.correlator.advance_time(START + 100)
    assert engine.take(event(1, "a"), START + WINDOW).counts == {"repeated": 1}
    again = engine.take(event(1, "a"), START + WINDOW + 1)
    assert again.counts["opened"] == 1
    assert [one.alarm_id for one in again.alarm_events] == [first.alarm_id]


def test_two_events_that_share_an_id_open_two_alarms_and_are_counted() -> None:
    engine = Engine()
    one, other = event(1, "a", src_ip="192.0.2.1"), event(1, "a", src_ip="192.0.2.9")
    assert engine.take(one, START).counts == {"opened": 1}
    assert engine.take(other, START).counts == {"opened": 1, "id_reused": 1}
    assert engine.correlator.memory.take_reused() is other
    assert len({state.alarm_id for state in engine.correlator.snapshots()}) == 2
    assert [engine.take(again, START).counts for again in (one, other)] == [{"repeated": 1}] * 2


def test_an_event_that_only_shares_its_id_is_taken_at_a_later_stage_too() -> None:
    engine = Engine(rule(1), rule(2, occurrence=3))
    engine.take(event(1, "a"), START)
    outcomes = [engine.take(event(2, "a", src_port=port), START).counts for port in (1, 2, 1, 3)]
    assert outcomes == [
        {"taken": 1, "id_reused": 1},
        {"taken": 1, "id_reused": 1},
        {"repeated": 1},
        {"taken": 1, "id_reused": 1, "finished": 1},
    ]


def test_what_no_directive_takes_is_not_remembered() -> None:
    engine = Engine(rule(1), rule(2))
    engine.take(event(2, "b"), START)
    engine.take(event(1, "a"), START + 1)
    assert engine.take(event(2, "b"), START + 2).counts == {"taken": 1, "finished": 1}


def test_a_closed_alarm_does_not_go_back() -> None:
    engine = Engine(*(rule(n, reliability=n, timeout=500) for n in (1, 2, 3)))
    assert engine.lines(event(1, "a"), START) == [1]
    assert engine.lines(event(2, "b"), START + 400) == [2]
    timeout = engine.correlator.advance_time(START + 501)
    assert finished_stages(timeout) == [2]
    again = engine.take(event(1, "a", time=START), START + WINDOW + 1)
    assert again.counts["opened"] == again.counts["outdated"] == 1
    assert again.published == []


def test_an_open_alarm_does_not_go_back_when_its_event_opens_another_backlog() -> None:
    engine = Engine()
    assert engine.lines(event(1, "a"), START) == [1]
    assert engine.lines(event(2, "b"), START + 400) == [2]
    again = engine.take(event(1, "a"), START + WINDOW + 1)
    assert again.counts == {"opened": 1, "outdated": 1}
    assert again.published == []
    assert len(engine.correlator) == 2
    both = engine.take(event(3, "c"), START + WINDOW + 2)
    assert finished_stages(both) == [3], "only the first one is at this stage"
    assert engine.take(event(2, "d"), START + WINDOW + 3).counts == {"taken": 1, "outdated": 1}
    assert engine.lines(event(3, "e"), START + WINDOW + 4) == [3]


def test_several_open_backlogs_of_an_alarm_have_keys_of_their_own() -> None:
    engine = Engine()
    for number in range(3):
        engine.take(event(1, "a"), START + number * (WINDOW + 1))
    keys = list(engine.correlator.open_keys())
    assert len(set(keys)) == 3
    assert keys[0] == backlog_key(7, event(1, "a"))
    [alarm_id] = {state.alarm_id for state in engine.correlator.snapshots()}
    assert alarm_id == keys[0][1]


def test_the_timeout_of_the_backlog_that_is_behind_is_no_line() -> None:
    engine = Engine(*(rule(n, reliability=n, timeout=1000 * n) for n in (1, 2, 3)))
    engine.take(event(1, "a"), START)  # until 1000 + 2000
    engine.take(event(1, "a"), START + WINDOW + 1)
    assert engine.lines(event(2, "b", time=2500), 2500) == [2, 2]
    engine.take(event(1, "a"), 2600)
    timeout = engine.correlator.advance_time(3001)
    assert timeout.counts == {"expired": 1, "outdated": 1}
    assert finished_stages(timeout) == []


def test_an_alarm_does_not_go_back_to_that_of_its_oldest_backlog() -> None:
    """The second one overtakes it, since an event was out of order only for the first one."""
    engine = Engine()
    opening = event(1, "a")
    engine.take(opening, START)
    engine.take(event(2, "b", time=START + 60), START + 1)  # by a clock that is ahead
    engine.take(opening, START + WINDOW + 1)
    engine.take(event(2, "c", time=START + 10), START + WINDOW + 2)
    ahead = engine.take(event(3, "d", time=START + 20), START + WINDOW + 3)
    assert ahead.counts == {"out_of_order": 1, "taken": 1}
    assert finished_stages(ahead) == [3]
    engine.take(opening, START + 2 * WINDOW + 2)  # a third one
    assert engine.lines(event(2, "e", time=START + 30), START + 2 * WINDOW + 3) == []
    timeout = engine.correlator.advance_time(START + 10_000)
    assert 2 not in finished_stages(timeout)


def test_without_a_window_nothing_is_remembered() -> None:
    engine = Engine(rule(1, timeout=10), rule(2, timeout=10), window=0)
    lines = [engine.lines(event(stage, "a"), START) for stage in (1, 2, 1, 2)]
    assert lines == [[1], [2], [1], [2]]
    memory = engine.correlator.memory
    assert [len(keys) for keys in (memory.taken, memory.written, memory.saved_ids)] == [0, 0, 0]
    assert memory.taken.puts == 0


@pytest.mark.parametrize("window", [0, WINDOW])
def test_the_memory_of_a_long_run_is_that_of_a_window(window: int) -> None:
    engine = Engine(rule(1, timeout=1), rule(2), window=window)
    for number in range(5000):
        engine.take(event(1, f"{number}", time=START + number), START + number)
    patience = window + window // 60 + 2
    memory = engine.correlator.memory
    assert len(memory.taken) <= patience
    assert len(memory.written) <= patience
    assert not engine.correlator.capped
    engine.correlator.advance_time(START + 5000 + 2 * WINDOW)
    assert len(memory.taken) == len(engine.correlator) == 0
