"""What backlogs make of an event, and how many of them are asked about it."""

from collections.abc import Iterable

import pytest

from engine.alarm import RuleRecord
from engine.correlation.backlog import Backlog
from engine.correlation.correlator import Correlator
from engine.event import NormalizedEvent
from engine.explain import explainer
from engine.explain.explainer import MAX_BACKLOGS, DirectiveVerdicts, Explainer
from engine.options import Options
from tests.support.directives import ASSETS, directive, event, rule

ALWAYS = {"always_active": True}


def with_backlogs(number: int, **more: bool) -> Correlator:
    """A correlator with so many open backlogs, each of another source; stage 2 wants it again."""
    rules = (rule(1), rule(2, occurrence=3, from_=":1"))
    correlator = Correlator([directive(*rules, **more)], ASSETS, Options())
    for n in range(number):
        correlator.process_event(event(1, f"e{n}", src_ip=source(n)), 1000)
    return correlator


def source(number: int) -> str:
    return f"192.0.{number // 250}.{number % 250}"


def explain(
    correlator: Correlator, of: NormalizedEvent, by: Explainer | None = None
) -> DirectiveVerdicts:
    backlogs = correlator.backlogs_of(7)
    assert backlogs is not None
    return (by or Explainer()).explain(backlogs, of, 1000)


def kinds(found: DirectiveVerdicts) -> list[str]:
    return [verdict.verdict for _, verdict in found.verdicts]


def test_the_oldest_backlogs_are_asked_and_those_that_consume_the_event_however_young() -> None:
    correlator = with_backlogs(MAX_BACKLOGS + 50)
    found = explain(correlator, event(2, "x", src_ip=source(MAX_BACKLOGS + 49)))
    assert kinds(found) == ["no_match"] * MAX_BACKLOGS + ["taken"]
    assert found.unasked == 49
    found = explain(correlator, event(2, "x", src_ip="203.0.113.1"))
    assert kinds(found) == ["no_match"] * (MAX_BACKLOGS + 1), "the last one is of opening"
    assert found.unasked == 50


def test_of_many_consumers_some_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explainer, "MAX_BACKLOGS", 10)
    rules = (rule(1), rule(2, occurrence=3))
    correlator = Correlator([directive(*rules)], ASSETS, Options())
    for n in range(25):
        correlator.process_event(event(1, f"e{n}"), 1000)
    found = explain(correlator, event(2, "x"))
    assert (kinds(found), found.unasked) == (["taken"] * 10, 15)


def test_with_all_rules_always_active_each_consumer_has_the_stage_that_consumes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its present stage if that matches, however many others match at an earlier one."""
    monkeypatch.setattr(explainer, "MAX_BACKLOGS", 3)
    rules = (rule(1), rule(2, occurrence=5))
    correlator = Correlator([directive(*rules, **ALWAYS)], ASSETS, Options())
    for n in range(6):
        correlator.process_event(event(1, f"e{n}", src_ip=source(n)), 1000)
    found = explain(correlator, event(1, "x", src_ip=source(5)))
    assert kinds(found) == ["no_match"] * 3 + ["revisited"]
    found = explain(correlator, event(2, "x", src_ip=source(5)))
    assert kinds(found) == ["taken"] * 3


def test_after_very_many_questions_only_few_backlogs_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explainer, "MAX_ASKED", 250)
    correlator, by = with_backlogs(100), Explainer()
    found = [explain(correlator, event(2, f"x{n}", src_ip=source(99)), by) for n in range(5)]
    assert [one.unasked for one in found] == [0, 0, 0, 94, 94]
    assert [kinds(one)[-1] for one in found] == ["taken"] * 5
    assert len(kinds(found[-1])) == explainer.FEW_BACKLOGS + 1


def test_after_very_many_questions_only_few_closed_backlogs_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explainer, "MAX_ASKED", 250)
    open_ones, closed = with_backlogs(0), list(closed_backlogs(100))
    backlogs, by = open_ones.backlogs_of(7), Explainer()
    assert backlogs is not None
    late = event(2, "x", src_ip=source(99))
    found = [kinds(by.explain(backlogs, late, 1000, closed)) for _ in range(5)]
    assert found == [["expired_before", "no_match"]] * 5
    early = event(2, "x", src_ip=source(0))
    assert kinds(by.explain(backlogs, early, 1000, closed)) == ["no_match"]


def closed_backlogs(number: int) -> Iterable[Backlog]:
    """Backlogs as they were when they timed out."""
    backlogs = with_backlogs(number).backlogs_of(7)
    assert backlogs is not None
    return backlogs.backlogs()


def test_a_live_backlog_that_is_about_to_expire_does_not_take_the_event() -> None:
    correlator = with_backlogs(1)
    backlogs = correlator.backlogs_of(7)
    assert backlogs is not None
    [backlog] = backlogs.backlogs()
    second = event(2, "second", time=backlog.expires_at, src_ip=source(0))
    at_the_end = Explainer().explain(backlogs, second, backlog.expires_at)
    assert kinds(at_the_end)[0] == "expired_before"
    assert kinds(Explainer().explain(backlogs, second, backlog.expires_at - 1)) == ["taken"]


def test_an_absent_stage_that_is_about_to_be_finished_does_not_take_the_event() -> None:
    correlator = of_absent()
    backlogs = correlator.backlogs_of(7)
    assert backlogs is not None
    [backlog] = backlogs.backlogs()
    second = event(2, "second", time=backlog.expires_at)
    found = Explainer().explain(backlogs, second, backlog.expires_at)
    assert kinds(found) == ["expired_before", "no_match"]
    assert correlator.process_event(second, backlog.expires_at).counts == {"finished": 1}


def test_an_event_that_was_taken_is_a_repeat() -> None:
    correlator = with_backlogs(2)
    assert kinds(explain(correlator, event(1, "e0", src_ip=source(0)))) == ["repeated"]


def test_the_checks_of_rules_are_kept_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explainer, "_KNOWN_RULES", 3)
    by = Explainer()
    for _ in range(5):
        assert kinds(explain(with_backlogs(1), event(2, "x"), by))
        assert len(by._checks) <= 3


def of_absent(*rules: RuleRecord, now: int = 1000, **more: bool) -> Correlator:
    """A correlator with a backlog at an absent stage that two events avert within 60 s."""
    absent = rule(2, absent=True, occurrence=2, timeout=60)
    options = Options(min_alarm_lifetime=600)
    correlator = Correlator([directive(rule(1), absent, *rules, **more)], ASSETS, options)
    correlator.process_event(event(1, "a"), now)
    return correlator


def test_the_events_of_an_absent_stage_are_taken_then_avert_it() -> None:
    correlator = of_absent()
    [(_, first)] = explain(correlator, event(2, "x", time=1060)).verdicts
    assert (first.verdict, first.count, first.needed) == ("taken", 1, 2)
    correlator.process_event(event(2, "x", time=1060), 1000)
    [(_, second)] = explain(correlator, event(2, "y", time=1060)).verdicts
    assert (second.verdict, second.count, second.needed) == ("averted", 2, 2)
    [(_, late)] = explain(correlator, event(2, "z", time=1063)).verdicts
    assert (late.verdict, late.seconds) == ("too_late", 3)


def test_of_several_open_stages_the_one_of_its_kind_refuses_an_event() -> None:
    others = rule(3, to="10.0.0.9"), rule(4)
    correlator = of_absent(*others, any_order=True)
    [(_, refused), _] = explain(correlator, event(3, "x")).verdicts
    assert refused.refusal is not None
    assert (refused.verdict, refused.stage, refused.refusal.field) == ("no_match", 3, "to")
    [(_, other), _] = explain(correlator, event(5, "x")).verdicts
    assert (other.verdict, other.stage) == ("no_match", 2)
    [(_, finished)] = explain(correlator, event(4, "x")).verdicts
    assert (finished.verdict, finished.stage) == ("finished", 4)
