"""The words for what became of a directive; see also the tests of the explain command."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine.alarm import RuleRecord
from engine.correlation.backlog import Backlog
from engine.explain.explainer import DirectiveVerdicts
from engine.explain.sentences import refusal_phrase, sentence
from engine.explain.summary import DirectiveSummary
from engine.explain.verdict import Refusal, Verdict
from tests.support.directives import ASSETS, compiled, event, rule

INFO = ASSETS.address_info("10.0.0.5")


@pytest.mark.parametrize(
    ("field", "text", "wants", "phrase"),
    [
        ("from", ":1", "192.0.2.1", "came from another source than 192.0.2.1 (from is :1)"),
        ("from", "192.0.2.1", "192.0.2.1", "came from another source than 192.0.2.1"),
        ("to", ":2", "192.0.2.1", "went to another destination than 192.0.2.1 (to is :2)"),
        ("port_from", "53", "53", "had another source port than 53"),
        ("port_to", "22, 23", "22, 23", "had another destination port than 22, 23"),
        ("port_to", "!80", "!80", "had a destination port that is not wanted (port_to is !80)"),
        (
            "from",
            "!192.0.2.1, ANY",
            "!192.0.2.1, ANY",
            "came from a source that is not wanted (from is !192.0.2.1, ANY)",
        ),
        ("from", "HOME_NET", "HOME_NET", "came from a source outside HOME_NET (from is HOME_NET)"),
        (
            "to",
            " !HOME_NET",
            " !HOME_NET",
            "went to a destination in HOME_NET (to is  !HOME_NET)",
        ),
        (
            "from",
            "!:1",
            "!192.0.2.1",
            "came from the source 192.0.2.1, which is not wanted (from is !:1)",
        ),
        (
            "from",
            "!:1",
            "the value of stage 1, which is not known",
            "could not be compared with the value of stage 1, which is not known (from is !:1)",
        ),
        ("from", "!::1", "!::1", "came from a source that is not wanted (from is !::1)"),
        ("plugin_sid", "1, 3", "1, 3", "had another plugin_sid than 1, 3"),
        ("custom_data1", ":1", "a!", "had another custom_data1 than a! (custom_data1 is :1)"),
        (
            "from",
            ":1",
            "the value of stage 1, which is not known",
            "could not be compared with the value of stage 1, which is not known (from is :1)",
        ),
    ],
)
def test_a_refusal_is_said_in_words(field: str, text: str, wants: str, phrase: str) -> None:
    assert refusal_phrase(Refusal(field, text, wants, "x", 1, 2)) == phrase


def said(
    verdicts: list[tuple[str, dict[str, Any]]], *rules: RuleRecord, alarms: int = 0, **more: int
) -> str:
    """The sentence after these verdicts, given as kind and fields; all of one backlog.

    Verdicts of stage 1 are of the directive.
    """
    made = compiled(*(rules or (rule(1), rule(2))))
    backlog = Backlog(made, 0)
    backlog.open(event(1), INFO, INFO, 1000)
    summary = DirectiveSummary(made)
    for kind, fields in verdicts:
        verdict = Verdict(kind, 7, **{"stage": 2} | fields)  # type: ignore[arg-type]
        of = None if verdict.stage == 1 else backlog
        summary.add(DirectiveVerdicts(7, [(of, verdict)]))
    for name, value in more.items():
        setattr(summary, name, value)
    return sentence(summary, alarms)


THREE_STAGES = (rule(1), rule(2), rule(3))


@pytest.mark.parametrize(
    ("alarms", "finished", "rules", "beginning"),
    [
        (1, 1, THREE_STAGES, "1 alarm, with all 3 stages finished."),
        (2, 2, (), "2 alarms, with both stages finished."),
        (3, 1, (), "3 alarms, 1 of them with both stages finished."),
        (1, 0, (), "1 alarm, but none with both stages finished."),
        (1, 3, (), "1 alarm; 3 backlogs got through both stages, some with a risk of 0."),
        (0, 1, (), "It did not fire: 1 backlog got through both stages, but with a risk of 0."),
        (0, 0, (), "It did not fire."),
    ],
)
def test_it_begins_with_alarms(
    alarms: int, finished: int, rules: tuple[RuleRecord, ...], beginning: str
) -> None:
    found = said([], *rules, alarms=alarms, finished=finished)
    assert found.startswith(beginning)
    if alarms and finished:
        assert found == beginning


def test_a_risk_of_0_is_explained_by_its_factors() -> None:
    assert said([], rule(1, reliability=3), rule(2, reliability=7), finished=1) == (
        "It did not fire: 1 backlog got through both stages, but with a risk of 0. "
        "Priority 5 × reliability 7 × asset value, divided by 25, "
        "must be 1 or more: do the assets contain these addresses?"
    )


def test_that_nothing_came_for_a_stage_is_said_with_the_kind_of_event() -> None:
    assert said([]) == "It did not fire. No event came for stage 1 (plugin_id 1, plugin_sid 1)."
    taxonomy = rule(2, type="TaxonomyRule", category="Deny", product=tuple("abcdefg"))
    assert said([("opened", {"stage": 1})], rule(1), taxonomy) == (
        "It did not fire. 1 backlog was opened. "
        "No event came for stage 2 (category Deny, product a, b, c, d, e, …)."
    )
    assert said([("finished", {}), ("opened", {"stage": 1})], *THREE_STAGES, opened=2) == (
        "It did not fire. The furthest of its 2 backlogs got to stage 3. "
        "No event came for stage 3 (plugin_id 1, plugin_sid 3)."
    )


def test_events_with_another_sid_of_the_plugin_are_named() -> None:
    refusal = Refusal("plugin_sid", "1", "1", "8", 1, 2)
    other = ("no_match", {"stage": 1, "refusal": refusal})
    nothing = "It did not fire. No event came for stage 1 (plugin_id 1, plugin_sid 1). "
    assert said([other]) == f"{nothing}1 event of plugin_id 1 had plugin_sid 8."
    another = ("no_match", {"stage": 1, "refusal": replace(refusal, got="9")})
    assert said([other, other, another]) == (
        f"{nothing}3 events of plugin_id 1 had plugin_sid 8 (2), 9 (1)."
    )


def test_what_held_up_a_stage_is_said() -> None:
    refusal = Refusal("port_to", "22", "22", "23", 1, 2)
    assert said(
        [
            ("no_match", {"refusal": refusal}),
            ("expired_before", {"seconds": 1200}),
            ("expired_before", {"seconds": 7}),
            ("sticky_seen", {}),
            ("out_of_order", {}),
            ("taken", {}),
            ("taken", {}),
        ],
        rule(1),
        rule(2, occurrence=1000, sticky_different="DST_PORT"),
    ) == (
        "It did not fire. 7 events came for stage 2, 1,000 were needed. "
        "1 had another destination port than 22, such as 23. "
        "2 came 7 to 1,200 s after the timeout (60 s). "
        "1 had a value that was counted before (sticky_different is DST_PORT). "
        "1 came out of order, before the end of the previous stage. 2 were taken."
    )


def test_an_event_without_a_port_is_not_said_to_have_port_0() -> None:
    refusal = Refusal("port_to", "22", "22", "0", 1, 2)
    assert "port than 22, such as 0 (no port). " in said([("no_match", {"refusal": refusal})])


def test_other_sids_of_a_later_stage_are_named() -> None:
    refusal = Refusal("plugin_sid", "2", "2", "8", 1, 2)
    assert said([("no_match", {"refusal": refusal})]) == (
        "It did not fire. No event came for stage 2 (plugin_id 1, plugin_sid 2). "
        "1 event of plugin_id 1 had plugin_sid 8."
    )


def test_repeated_and_whitelisted_events_are_named() -> None:
    assert said([("taken", {})], repeated=1, whitelisted=2).endswith(
        "1 was taken. 1 repeated event was not counted (--repeat-window). "
        "2 events of its kinds were dropped: the source is in a whitelisted asset."
    )


def test_few_refusals_are_named_and_the_rest_counted() -> None:
    refusals = [Refusal("from", f"192.0.2.{n}", f"192.0.2.{n}", "", 1, 2) for n in range(9)]
    found = said([("no_match", {"refusal": one}) for one in refusals])
    assert found.count("came from another source") == 5
    assert found.endswith("4 did not meet other conditions. None was taken.")


def test_that_not_all_backlogs_were_asked_is_said() -> None:
    assert said([("taken", {})], rule(1), rule(2, occurrence=2), unasked=1).endswith(
        "1 was taken. There were too many backlogs to ask all of them about each event."
    )


ABSENT = (rule(1), rule(2, absent=True, timeout=60))


def test_what_finishes_an_absent_stage_is_said() -> None:
    finishes = "Stage 2 is finished if no event (plugin_id 1, plugin_sid 2) comes within 60 s."
    other_kind = Refusal("plugin_sid", "2", "2", "8", 1, 2)
    assert said([("no_match", {"refusal": other_kind})], *ABSENT) == f"It did not fire. {finishes}"
    opened = said([("opened", {"stage": 1})], *ABSENT)
    assert opened == f"It did not fire. 1 backlog was opened. {finishes}"
    assert said([("too_late", {})], *ABSENT).endswith(
        "1 event came for stage 2. 1 came after its timeout, too late to prevent it. "
        "None was taken."
    )
    several = rule(2, absent=True, timeout=60, occurrence=3)
    assert "if fewer than 3 events (plugin_id 1, plugin_sid 2) come within 60 s." in said(
        [("taken", {})], rule(1), several
    )


def test_averted_backlogs_are_counted() -> None:
    assert said([("averted", {})], *ABSENT).startswith(
        "It did not fire. 1 backlog was averted: what an absent stage excludes came. "
    )
