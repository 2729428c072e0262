"""What a directive has done, as counts."""

from typing import Any

from engine.alarm import RuleRecord
from engine.correlation.correlator import Correlator
from engine.correlation.counted_backlogs import CountedBacklogs
from engine.directive_counts import DirectiveCounts
from engine.options import Options
from tests.support.directives import ASSETS, directive, event, rule

NOW = 1000
WITH_COUNTS = Options(count_by_directive=True)


class Counted:
    """A correlator of directive 7, and its counts since the last time."""

    def __init__(self, *rules: RuleRecord, **more: Any) -> None:
        self.correlator = Correlator([directive(*rules, **more)], ASSETS, WITH_COUNTS)

    def process(self, *stages: int, first: int = 0) -> None:
        for number, stage in enumerate(stages, first):
            self.correlator.process_event(event(stage, f"e{number}"), NOW)

    def take(self) -> DirectiveCounts:
        return self.correlator.take_counts().get(7, DirectiveCounts())


def test_events_backlogs_and_the_furthest_stage_are_counted_since_the_last_time() -> None:
    counted = Counted(rule(1), rule(2, occurrence=2), rule(3))
    counted.process(1, 2)
    assert counted.take() == DirectiveCounts(events=2, opened=1, furthest_stage=2)
    assert counted.take() == DirectiveCounts()
    counted.process(2, first=2)
    assert counted.take() == DirectiveCounts(events=1, furthest_stage=2)


def test_an_alarm_is_counted_once_when_its_backlog_is_finished() -> None:
    counted = Counted(rule(1), rule(2), rule(3, reliability=10))
    counted.process(1, 2)
    assert counted.take().alarms == {}  # it has lines, and may have others of a higher risk
    counted.process(3, first=2)
    assert counted.take() == DirectiveCounts(1, 0, 3, {"High": 1})


def test_an_alarm_is_counted_when_its_backlog_expires() -> None:
    counted = Counted()
    counted.process(1)
    counted.take()
    counted.correlator.advance_time(NOW + 61)
    assert counted.take() == DirectiveCounts(alarms={"Medium": 1})


def test_an_alarm_of_a_single_rule_is_counted_with_its_event() -> None:
    counted = Counted(rule(1, reliability=10))
    counted.process(1)
    assert counted.take() == DirectiveCounts(1, 1, 1, {"High": 1})


def test_a_backlog_of_risk_0_has_no_alarm() -> None:
    counted = Counted(rule(1, reliability=0), rule(2, reliability=0))
    counted.process(1, 2)
    assert counted.take() == DirectiveCounts(2, 1, 2)


def test_an_event_that_is_consumed_and_not_taken_reaches_no_stage() -> None:
    counted = Counted()
    for _ in range(2):
        counted.correlator.process_event(event(1, "same"), NOW)
    assert counted.take() == DirectiveCounts(events=2, opened=1, furthest_stage=1)


def test_without_the_option_nothing_is_counted() -> None:
    correlator = Correlator([directive()], ASSETS, Options())
    correlator.process_event(event(1), NOW)
    assert correlator.take_counts() == {}
    assert not isinstance(correlator.backlogs_of(7), CountedBacklogs)
