"""What became of a directive over many verdicts, and the bounds of what is kept."""

from engine.correlation.absence_backlog import AbsenceBacklog
from engine.correlation.any_order_backlog import AnyOrderBacklog
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.explain.explainer import BacklogVerdict, DirectiveVerdicts
from engine.explain.summary import MAX_BACKLOGS, MAX_REFUSALS, DirectiveSummary, StageEvents
from engine.explain.verdict import Refusal, Verdict
from tests.support.directives import ASSETS, compiled, event, rule

COMPILED = compiled(rule(1), rule(2, occurrence=3, from_=":1"), rule(3))
INFO = ASSETS.address_info("10.0.0.5")


def backlog(of: CompiledDirective = COMPILED) -> Backlog:
    made = Backlog(of, 0)
    made.open(event(1), INFO, INFO, 1000)
    return made


def refused(field: str, wants: str, stage: int = 2) -> Verdict:
    return Verdict("no_match", 7, stage, refusal=Refusal(field, ":1", wants, "x", 1, 3))


def summary_of(*verdicts: BacklogVerdict, unasked: int = 0) -> DirectiveSummary:
    """After an event for each verdict."""
    summary = DirectiveSummary(COMPILED)
    for verdict in verdicts:
        summary.add(DirectiveVerdicts(7, [verdict], unasked))
    return summary


def best_of(summary: DirectiveSummary) -> StageEvents:
    best = summary.best()
    assert best is not None
    return best[1]


def test_events_are_counted_by_what_became_of_them() -> None:
    one = backlog()
    events = best_of(
        summary_of(
            (one, Verdict("taken", 7, 2)),
            (one, refused("from", "a")),
            (one, refused("from", "a")),
            (one, refused("to", "b")),
            (one, refused("plugin_sid", "2")),
            (one, Verdict("sticky_seen", 7, 2)),
            (one, Verdict("out_of_order", 7, 2, seconds=9)),
            (one, Verdict("expired_before", 7, 2, seconds=41)),
            (one, Verdict("expired_before", 7, 2, seconds=5)),
            (one, Verdict("revisited", 7, 1)),
        )
    )
    assert (events.stage, events.taken, events.sticky_seen, events.out_of_order) == (2, 1, 1, 1)
    assert (events.late_events, events.late) == (2, [5, 41])
    assert [(one.refusal.field, one.events) for one in events.refused] == [("from", 2), ("to", 1)]
    assert events.came == 8, "what is of another kind, or for another stage, did not come for it"


def test_the_furthest_backlog_is_the_one_whose_stage_then_events_are_most() -> None:
    first, second, third = backlog(), backlog(), backlog()
    summary = summary_of(
        (first, Verdict("taken", 7, 2)),
        (first, Verdict("taken", 7, 2)),
        (second, Verdict("finished", 7, 2)),
        (third, refused("from", "a")),
    )
    best = summary.best()
    assert best is not None
    assert (best[0], best[1].stage, best[1].came) == (second, 3, 0)
    assert summary.finished == 0


def test_a_backlog_that_finishes_its_last_stage_counts_as_finished() -> None:
    one = backlog()
    summary = summary_of((one, Verdict("finished", 7, 2)), (one, Verdict("finished", 7, 3)))
    assert summary.finished == 1
    assert best_of(summary).stage == 3


def test_what_opens_no_backlog_is_kept_by_its_reason() -> None:
    summary = summary_of(
        (None, Verdict("opened", 7, 1)),
        (None, Verdict("repeated", 7)),
        (None, refused("from", "a", 1)),
        (None, refused("plugin_sid", "1", 1)),
        (None, refused("plugin_id", "1", 1)),
        unasked=3,
    )
    assert (summary.events, summary.opened, summary.repeated, summary.unasked) == (5, 1, 1, 15)
    assert summary.opening.came == 2
    assert (summary.opening.same_plugin, summary.opening.other_sids) == (1, {"x": 1})


def test_different_refusals_are_kept_up_to_a_number_and_the_rest_by_field() -> None:
    events = StageEvents(2)
    for number in range(1000):
        events.add(refused("from" if number % 2 else "to", str(number)))
    assert len(events.refused) == MAX_REFUSALS + 2
    assert sum(one.events for one in events.refused) == events.came == 1000
    assert [one.events for one in events.refused][:3] == [490, 490, 1]


def test_other_sids_are_kept_up_to_a_number() -> None:
    summary = DirectiveSummary(COMPILED)
    for number in range(100):
        refusal = Refusal("plugin_sid", "1", "1", str(number), 1, 2)
        verdict = Verdict("no_match", 7, 1, refusal=refusal)
        summary.add(DirectiveVerdicts(7, [(None, verdict)]))
    assert len(summary.opening.other_sids) == MAX_REFUSALS
    assert summary.opening.same_plugin == 100


def test_other_sids_are_kept_of_the_stage_of_a_backlog_too() -> None:
    one = backlog()
    summary = summary_of((one, refused("plugin_sid", "1")), (one, refused("plugin_id", "1")))
    found = best_of(summary)
    assert (found.stage, found.came, found.same_plugin, found.other_sids) == (2, 0, 1, {"x": 1})


def test_backlogs_are_followed_up_to_a_number_and_the_furthest_stays() -> None:
    furthest = backlog()
    summary = summary_of(
        (furthest, Verdict("finished", 7, 2)),
        *((backlog(), Verdict("taken", 7, 2)) for _ in range(MAX_BACKLOGS * 3)),
    )
    assert len(summary._followed) <= MAX_BACKLOGS
    assert best_of(summary).stage == 3


def test_a_furthest_backlog_that_was_given_up_is_not_forgotten() -> None:
    one = backlog()
    summary = summary_of(
        (one, Verdict("finished", 7, 2)),
        (one, Verdict("finished", 7, 3)),
        *((backlog(), refused("from", "a")) for _ in range(10)),
    )
    best = summary.best()
    assert best is not None
    assert best[0] is one


def in_any_order() -> DirectiveSummary:
    """After an event that finished stage 3, and one that stage 2 refused."""
    made = compiled(rule(1), rule(2, occurrence=3), rule(3), any_order=True)
    one = AnyOrderBacklog(made, 0)
    one.open(event(1), INFO, INFO, 1000)
    summary = DirectiveSummary(made)
    for verdict in (Verdict("finished", 7, 3), Verdict("taken", 7, 2), refused("from", "a")):
        summary.add(DirectiveVerdicts(7, [(one, verdict)]))
        if verdict.verdict != "no_match":
            one.consume(verdict.stage, event(verdict.stage, "x"), 1000)
    return summary


def test_stages_in_any_order_are_followed_at_once() -> None:
    summary = in_any_order()
    found = summary.open_of_best()
    assert found is not None
    assert [(one.stage, one.taken, one.came) for one in found[1]] == [(2, 1, 2)]
    assert (summary.finished, len(found[0].open_stages)) == (0, 1)
    assert summary._followed[found[0]].keys() == {2}
    summary.add(DirectiveVerdicts(7, [(found[0], Verdict("finished", 7, 2))]))
    assert summary.finished == 1


def test_averted_backlogs_are_counted_and_not_followed() -> None:
    one = backlog()
    summary = summary_of((one, Verdict("too_late", 7, 2)), (one, Verdict("averted", 7, 2)))
    events = best_of(summary)
    assert (summary.averted, summary.finished) == (1, 0)
    assert (events.too_late, events.taken, events.came) == (1, 1, 2)
    assert one not in summary._followed


def test_a_backlog_that_opens_with_its_only_rule_has_finished() -> None:
    summary = DirectiveSummary(compiled(rule(1)))
    summary.add(DirectiveVerdicts(7, [(None, Verdict("opened", 7, 1))]))
    summary.add(DirectiveVerdicts(7, [(None, Verdict("suppressed", 7, 1))]))
    assert (summary.opened, summary.finished, summary.suppressed) == (1, 1, 1)


def test_of_backlogs_that_have_closed_the_furthest_is_kept_whenever_it_closed() -> None:
    near, far, middle = backlog(), backlog(), backlog()
    averted = Verdict("averted", 7, 2)
    summary = summary_of(
        (near, averted),
        (far, Verdict("finished", 7, 2)),
        (far, Verdict("finished", 7, 3)),
        (middle, averted),
    )
    assert summary.furthest is not None
    assert summary.furthest[0] is far
    assert not summary._followed


def test_of_backlogs_at_one_stage_the_furthest_has_taken_most_then_most_came_for_it() -> None:
    patient, furthest, last = backlog(), backlog(), backlog()
    taken, other = Verdict("taken", 7, 2), refused("from", "a")
    verdicts = [*((patient, other) for _ in range(5)), (last, taken), (furthest, taken)]
    best = summary_of(*verdicts, (furthest, other)).best()
    assert best is not None
    assert best[0] is furthest


def test_events_that_a_backlog_had_taken_before_it_is_followed_count() -> None:
    one = backlog()
    one.consume(2, event(2, "x"), 1000)
    assert best_of(summary_of((one, refused("from", "a")))).taken == 1


def test_a_backlog_that_time_has_moved_on_is_at_its_present_stage() -> None:
    one = AbsenceBacklog(compiled(rule(1), rule(2, absent=True), rule(3)), 0)
    one.open(event(1), INFO, INFO, 1000)
    summary = summary_of((one, Verdict("too_late", 7, 2)))
    assert one.pass_timeout()
    assert (best_of(summary).stage, best_of(summary).came) == (3, 0)
    summary.add(DirectiveVerdicts(7, [(one, refused("from", "a", 3))]))
    assert (best_of(summary).stage, best_of(summary).came) == (3, 1)
    assert summary._followed[one].keys() == {3}


def test_in_any_order_the_furthest_has_finished_most_stages_and_all_open_ones_are_shown() -> None:
    made = compiled(rule(1), rule(2), rule(3), rule(4, occurrence=2), any_order=True)
    far, near = (AnyOrderBacklog(made, order) for order in range(2))
    summary = DirectiveSummary(made)
    for one in (far, near):
        one.open(event(1), INFO, INFO, 1000)
    for one, verdict in (
        (far, Verdict("finished", 7, 2)),
        (near, Verdict("taken", 7, 4)),
        (far, refused("from", "a", 3)),
        (far, refused("from", "a", 4)),
    ):
        summary.add(DirectiveVerdicts(7, [(one, verdict)]))
        if verdict.verdict != "no_match":
            one.consume(verdict.stage, event(verdict.stage, "x"), 1000)
    found = summary.open_of_best()
    assert found is not None
    assert found[0] is far
    assert [(one.stage, one.came) for one in found[1]] == [(3, 1), (4, 1)]


def test_the_last_stage_is_shown_of_a_backlog_in_any_order_that_has_finished() -> None:
    summary = in_any_order()
    [(one, _)] = summary._followed.items()
    for n in (1, 2):
        one.consume(2, event(2, f"y{n}"), 1000)
    assert best_of(summary).stage == 3
