"""Saved backlogs that cannot be restored: each is dropped with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.correlation.correlator import Correlator
from engine.correlation.snapshot import BacklogSnapshot, UnusableBacklogError
from engine.dsiem_format.saved_alarm import snapshot_from_alarm
from engine.dsiem_format.saved_document import parse_saved_alarms
from engine.options import Options
from tests.support.examples import examples
from tests.support.saved_alarms import (
    ACTIVE,
    ACTIVE_AT_3,
    AT_STAGE_2,
    AT_STAGE_3,
    BRUTE_FORCE,
    EDITED,
    NAME,
    T0,
    Json,
    alarm,
    changed,
    correlator_of,
    directive_of,
    few,
    going_on,
    state_of,
    take,
)
from tests.support.saved_backlogs import save_backlogs

# What cannot be taken up.

UNFIT: list[tuple[Json, str]] = [
    ({"rules": []}, "all of its stages are finished"),
    ({"rule2": {"stage": 3}}, "its rules are not one for each stage from 1 on"),
    ({"rule2": {"stage": 4}}, "its rules are not one for each stage from 1 on"),
    ({"rule3": {"stage": -1}}, "its rules are not one for each stage from 1 on"),
    ({"rule3": {"status": "finished"}}, "all of its stages are finished"),
    ({"rule2": {"status": "timeout"}}, "its stage 2 has timed out"),
    ({"src_ips": ["mail"]}, 'an address in it is the text "mail"'),
    ({"rule3": {"from": "nowhere"}}, "its rules are not .*: from of stage 3 has .*nowhere"),
    ({"rule3": {"occurrence": 0}}, "its rules are not .*: occurrence of stage 3 is 0"),
    ({"rule2": {"timeout": -5}}, "its rules are not .*: timeout of stage 2 is -5"),
    ({"rule2": {"timeout": 2**70}}, "its rules are not .*: timeout of stage 2 is"),
    ({"rule3": {"from": ":3"}}, "its rules are not .*: from of stage 3 is a reference"),
    ({"rule3": {"type": "?"}}, "its rules are not .*: type of stage 3"),
    ({"rule3": {"plugin_sid": []}}, "its rules are not .*: plugin_sid of stage 3"),
]


@pytest.mark.parametrize(("patch", "reason"), UNFIT)
def test_an_alarm_that_is_no_backlog_has_a_reason(patch: Json, reason: str) -> None:
    with pytest.raises(UnusableBacklogError, match=reason):
        state_of(changed(AT_STAGE_3, **patch))


def restoring(state: BacklogSnapshot, directive: Json = BRUTE_FORCE) -> list[str]:
    return [dropped.reason for dropped in correlator_of(directive).restore([state])]


STATE = state_of(AT_STAGE_3)
DROPPED: list[tuple[Json, str]] = [
    ({"directive": 6}, "its directive is not here"),
    ({"title": "Another"}, f"its title is not that of the directive, '{NAME}'"),
    ({"title": "Brute force, 10.0.0.7"}, f"its title is not that of the directive, '{NAME}'"),
    ({"title": "Brute force,  to mail"}, f"its title is not that of the directive, '{NAME}'"),
    ({"starts": ()}, "its first stage is not finished"),
    ({"starts": (T0,)}, "its first stage is not finished"),
    ({"starts": (T0,) * 4}, "it has finished 3 stages, the directive has 3"),
    ({"starts": (T0,) * 9}, "it has finished 8 stages, the directive has 3"),
    ({"starts": (T0, T0, 2**70)}, "a time in it is out of range"),
    ({"updated": -(2**70)}, "a time in it is out of range"),
    ({"created": 2**70}, "a time in it is out of range"),
    ({"expires_at": 2**70}, "a time in it is out of range"),
    ({"order": 2**70}, "a time in it is out of range"),
    ({"risk": -1}, "its risk is out of range"),
    ({"risk": 2**63}, "its risk is out of range"),
    ({"alarm_id": ""}, "it has no alarm_id"),
    ({"dst_ips": ("10.0.0.25", "10.0.0")}, 'an address in it is the text "10.0.0"'),
]


@pytest.mark.parametrize(("change", "reason"), DROPPED)
def test_a_state_that_does_not_fit_is_dropped_with_a_reason(change: Json, reason: str) -> None:
    assert restoring(replace(STATE, **change)) == [reason]


def test_a_state_with_rules_that_are_not_valid_is_dropped() -> None:
    [first, second, third] = state_of(AT_STAGE_3, EDITED).rules
    for rules in ([first, second, replace(third, from_="x")], [first, second, second]):
        [reason] = restoring(replace(STATE, rules=tuple(rules)))
        assert reason.startswith("its definition is not that of the directive, nor valid: ")


def test_the_others_are_taken_up() -> None:
    correlator = correlator_of()
    states = [replace(STATE, opened_by="bad", risk=-1), STATE, replace(STATE, title="Else")]
    dropped = correlator.restore(states)
    assert [(one.directive, one.alarm_id, one.title) for one in dropped] == [
        (5, "V1StGXR8_", STATE.title),
        (5, "V1StGXR8_", "Else"),
    ]
    assert correlator.snapshots() == [replace(STATE, earlier_ids=(), ids_only=False)]


def test_two_that_the_same_event_opened_are_both_taken_up() -> None:
    """It came again after the repeat window, while the first one was still open."""
    correlator = correlator_of()
    older, younger = replace(STATE, order=1), replace(STATE, order=2)
    assert correlator.restore([younger, older]) == []
    assert [state.alarm_id for state in correlator.snapshots()] == ["V1StGXR8_"] * 2
    assert len(set(correlator.open_keys())) == 2


@pytest.mark.parametrize(
    ("name", "title", "fits"),
    [
        ("Trouble", "Trouble", True),
        ("Trouble", "trouble", False),
        ("Trouble", "Trouble!", False),
        ("SRC_IP to DST_IP", "a to b", True),
        ("SRC_IP to DST_IP", "SRC_IP to DST_IP", True),
        ("SRC_IP to DST_IP", "a to b to c", True),
        ("SRC_IP to DST_IP", " to ", False),
        ("SRC_IP to DST_IP", "a\n to b", True),
        ("xSRC_IPDST_IP", "xab", True),
        ("xSRC_IPDST_IP", "xa", False),
        ("a.b SRC_IP", "axb 1", False),
        ("SRC_IP-SRC_IP-SRC_IP-x", "-" * 100_000, False),
    ],
)
def test_a_title_may_have_any_text_where_the_name_has_a_token(
    name: str, title: str, fits: bool
) -> None:
    reasons = restoring(replace(STATE, title=title), changed(BRUTE_FORCE, name=name))
    assert (reasons == []) is fits


def test_addresses_are_taken_up_in_the_one_spelling_that_events_have() -> None:
    item = changed(AT_STAGE_3, src_ips=["::ffff:10.0.0.7", "10.0.0.7"], dst_ips=["2001:DB8::0"])
    correlator = going_on(item)
    assert correlator.snapshots()[0].src_ips == ("10.0.0.7",)
    assert correlator.snapshots()[0].dst_ips == ("2001:db8::",)


# Documents of any content.


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"[", b"null", b'"x"', b"\xff", b"[" * 100_000, b"[1,]", b"[1] [2]"]
)
def test_a_document_that_is_no_list_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_saved_alarms(document)


def test_items_that_are_no_alarms_are_reported_and_the_others_read() -> None:
    items = [1, AT_STAGE_3, None, [], {}, alarm(title=5), AT_STAGE_2, {"rules": [[]]}]
    parsed = parse_saved_alarms(msgspec.json.encode(items))
    assert [len(one.rules) for one in parsed.alarms] == [3, 3]
    assert [fault.split(":")[0] for fault in parsed.faults] == [
        f"item {number}" for number in (1, 3, 4, 5, 6, 8)
    ]


def test_what_may_be_absent_may_be_null_too() -> None:
    rules = [
        {"stage": stage, "type": "PluginRule", "plugin_id": 1, "plugin_sid": [1], "occurrence": 1}
        | {"from": "ANY", "to": "ANY", "reliability": 1, "saved_sticky_diffdata": None}
        | {"name": None, "custom_data1": None, "product": None}
        for stage in (1, 2)
    ]
    parsed = parse_saved_alarms(
        json.dumps([{"alarm_id": "a", "title": "t", "rules": rules}]).encode()
    )
    assert parsed.faults == ()
    assert parsed.alarms[0].rules[1].port_to == "ANY"
    assert parse_saved_alarms(b"[]").alarms == ()


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, 2, 3, 255, 256, -1, 2**31, 2**63, 2**64, T0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(
        ["", "ANY", ":1", ":2", ":99", "HOME_NET", "finished", "timeout", "1,!2", "e1"]
    ),
    st.sampled_from(["10.0.0.7", "::ffff:1.2.3.4", "fe80::1%eth0", "0.0.0.0", "70000", "٣", "a,b"]),
    st.lists(st.integers(-1, 3) | st.sampled_from(["e1", "10.0.0.7"]), max_size=3),
    st.just({}),
)


def places(item: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    for key in item if isinstance(item, dict) else range(len(item)):
        yield item, key
        if isinstance(item[key], dict | list):
            yield from places(item[key])


@st.composite
def spoilt(draw: st.DrawFn, *items: Json) -> Json:
    """One of these with a few of its values replaced, removed, or there twice."""
    item: Json = json.loads(json.dumps(draw(st.sampled_from(items))))
    for _ in range(draw(st.integers(1, 4))):
        container, key = draw(st.sampled_from(list(places(item)) or [(item, "x")]))
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "double"])):
            case "replace":
                container[key] = draw(ANYTHING)
            case "remove":
                container.pop(key, None) if isinstance(container, dict) else container.pop(key)
            case _ if isinstance(container, list):
                container.append(container[key])
    return item


DIRECTIVES = st.sampled_from([BRUTE_FORCE, ACTIVE, EDITED])
LATER = [("e9", 2, 50), ("e6", 3, 60), ("e7", 3, 60), ("n1", 1, 70), ("e8", 2, 70)]


def exercised(correlator: Correlator) -> None:
    """Events and time go by, and all that comes of it can be written."""
    for id_, sid, after in LATER:
        msgspec.json.encode(take(correlator, id_, sid, after))
    states = msgspec.json.encode(correlator.snapshots())
    msgspec.json.decode(states, type=list[BacklogSnapshot])
    for alarms in save_backlogs(correlator).values():
        assert parse_saved_alarms(msgspec.json.encode(alarms)).faults == ()
    msgspec.json.encode(correlator.advance_time(2**64))
    assert len(correlator) == 0


@settings(few, max_examples=examples(600))
@given(spoilt(AT_STAGE_2, AT_STAGE_3, ACTIVE_AT_3), DIRECTIVES)
@example(changed(AT_STAGE_3, rule3={"saved_event_ids": [f"x{n}" for n in range(100_000)]}), EDITED)
def test_no_saved_alarm_does_harm(item: Json, directive: Json) -> None:
    correlator = correlator_of(directive)
    for one in parse_saved_alarms(json.dumps([item]).encode()).alarms:
        with suppress(UnusableBacklogError):
            correlator.restore([snapshot_from_alarm(one, directive_of(directive), Options())])
    exercised(correlator)


STATES: list[Json] = [
    json.loads(msgspec.json.encode(state))
    for state in (STATE, state_of(ACTIVE_AT_3, ACTIVE), state_of(AT_STAGE_3, EDITED))
]


@settings(few, max_examples=examples(600))
@given(spoilt(*STATES), DIRECTIVES)
def test_no_state_does_harm(item: Json, directive: Json) -> None:
    try:
        state = msgspec.json.decode(json.dumps(item), type=BacklogSnapshot)
    except msgspec.ValidationError:
        return
    correlator = correlator_of(directive)
    for dropped in correlator.restore([state]):
        assert dropped.reason
    exercised(correlator)


def test_spoilt_ones_are_both_taken_up_and_dropped() -> None:
    """A test of content that is all refused, or all taken, would show nothing."""
    seen = {"taken up": 0, "dropped": 0, "unread": 0}

    @settings(few, max_examples=200, derandomize=True, database=None)
    @given(spoilt(AT_STAGE_2, AT_STAGE_3, ACTIVE_AT_3))
    def watch(item: Json) -> None:
        alarms = parse_saved_alarms(json.dumps([item]).encode()).alarms
        try:
            states = [snapshot_from_alarm(one, directive_of(), Options()) for one in alarms]
            taken = bool(states) and correlator_of().restore(states) == []
            seen["taken up" if taken else "dropped" if states else "unread"] += 1
        except UnusableBacklogError:
            seen["dropped"] += 1

    watch()
    assert min(seen.values()) > 10, seen
