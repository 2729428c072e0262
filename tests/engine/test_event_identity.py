"""The identity of an event: all of its content, however it is written; the same everywhere."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from engine.event import NormalizedEvent, decode_event
from tests.support.paths import ROOT

EVENT: dict[str, Any] = {
    "event_id": "e1",
    "timestamp": "2018-03-23T11:51:47Z",
    "sensor": "s1",
    "src_ip": "10.0.0.1",
    "dst_ip": "10.0.0.2",
    "plugin_id": 1001,
    "plugin_sid": 2002,
    "product": "Firewall",
    "category": "Denied",
    "title": "Großes \N{SNOWMAN} \U0001f600",
    "src_port": 4000,
    "conn_id": 5,
    "custom_data1": "x",
    "rcvd_time": 1,
}
OTHERS: dict[str, Any] = {
    "event_id": "e2",
    "timestamp": "2018-03-23T11:51:47.5Z",  # the same second
    "sensor": "s2",
    "src_ip": "10.0.0.2",
    "dst_ip": "10.0.0.1",
    "plugin_id": 1002,
    "plugin_sid": 2003,
    "product": "firewall",
    "category": "Allowed",
    "subcategory": "a",
    "title": "b",
    "src_port": 4001,
    "dst_port": 22,
    "protocol": "TCP",
    "conn_id": 6,
    **{f"custom_data{n}": "other" for n in (1, 2, 3)},
    **{f"custom_label{n}": "label" for n in (1, 2, 3)},
}
"""Other values of all content."""
CONTENT = {
    field.name
    for field in fields(NormalizedEvent)
    if field.name == field.encode_name and field.name != "rcvd_time"
}
DAMAGED = json.dumps(EVENT | {"src_port": 70000, "protocol": 6}).encode()[:-1] + (
    b', "custom_data2": "\xff\\ud800", "custom_data3": [1], "SUBCATEGORY": "u"}'
)
"""An event that has to be repaired."""


def identity(raw: bytes) -> int:
    return decode_event(raw).identity


def identity_of(**changes: Any) -> int:
    return identity(json.dumps(EVENT | changes).encode())


SAME = identity_of()


def test_all_content_has_another_value_here() -> None:
    assert OTHERS.keys() == CONTENT


@pytest.mark.parametrize("field", sorted(OTHERS))
def test_each_field_makes_another_event(field: str) -> None:
    assert identity_of(**{field: OTHERS[field]}) != SAME


def test_the_same_text_in_another_field_is_another_event() -> None:
    texts = ["title", "subcategory", "protocol"]
    texts += [f"custom_{kind}{n}" for kind in ("data", "label") for n in (1, 2, 3)]
    moved = {identity_of(title="", custom_data1="") ^ SAME}
    moved |= {identity_of(**{"title": "", "custom_data1": "", name: "moved"}) for name in texts}
    assert len(moved) == len(texts) + 1


def test_a_text_that_goes_on_in_the_next_field_is_another_event() -> None:
    assert identity_of(custom_data1="ab", custom_label1="c") != identity_of(
        custom_data1="a", custom_label1="bc"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"rcvd_time": 0},
        {"rcvd_time": 2**62},
        {"rcvd_time": "never"},
        {"@timestamp": "2020-01-01"},
        {"(time)": 5},
        {"(identity)": 5},
        {"tags": ["x", {"deep": None}], "time": 5, "identity": 6},
    ],
    ids=str,
)
def test_when_it_was_received_and_what_nobody_knows_is_no_content(changes: dict[str, Any]) -> None:
    assert identity_of(**changes) == SAME


def test_the_time_that_correlation_takes_is_no_content() -> None:
    assert decode_event(json.dumps(EVENT).encode(), time=5).identity == SAME


@pytest.mark.parametrize("absent", [None, "", " ", 0])
def test_an_absent_number_is_absent_in_whatever_way(absent: Any) -> None:
    without = {name: value for name, value in EVENT.items() if name != "src_port"}
    assert identity_of(src_port=absent) == identity(json.dumps(without).encode())


@pytest.mark.parametrize("field", ["title", "protocol"])
def test_an_absent_text_is_absent_in_whatever_way(field: str) -> None:
    without = {name: value for name, value in EVENT.items() if name != field}
    expected = identity(json.dumps(without).encode())
    for absent in (None, ""):
        assert identity_of(**{field: absent}) == expected


@given(st.permutations(sorted(EVENT)), st.sampled_from([None, 0, 3, "\t"]), st.booleans())
def test_order_blanks_and_escapes_are_no_content(
    order: list[str], indent: int | str | None, ascii_only: bool
) -> None:
    document = {name: EVENT[name] for name in order}
    raw = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    assert identity(raw) == SAME


def test_a_text_of_escapes_only_is_the_same_text() -> None:
    escaped = "".join(f"\\u{ord(one):04x}" for one in "Firewall")
    raw = json.dumps(EVENT).replace('"Firewall"', f'"{escaped}"').encode()
    assert escaped.encode() in raw
    assert identity(raw) == SAME


@pytest.mark.parametrize(
    "changes", [{"plugin_id": "1001"}, {"src_port": "4000"}, {"dst_port": "0"}], ids=str
)
def test_a_number_as_digits_is_the_same_number(changes: dict[str, Any]) -> None:
    assert identity_of(**changes) == SAME


def test_keys_in_other_capitals_are_the_same_keys() -> None:
    raw = json.dumps({name.upper(): value for name, value in EVENT.items()}).encode()
    assert identity(raw) == SAME


def test_a_field_that_cannot_be_used_is_absent_content() -> None:
    assert identity_of(src_port=70000) == identity_of(src_port=[1]) == identity_of(src_port=None)
    assert identity_of(protocol=6) == identity_of(protocol="6")


def test_what_is_damaged_is_the_text_that_is_left_of_it() -> None:
    broken = json.dumps(EVENT | {"protocol": "a?b"}).encode().replace(b"a?b", b"a\xffb")
    assert identity(broken) == identity_of(protocol="a\N{REPLACEMENT CHARACTER}b")


def test_a_repaired_event_has_the_same_identity_each_time() -> None:
    repaired: list[str] = []
    event = decode_event(DAMAGED, repaired)
    assert {"src_port", "protocol", "custom_data2", "custom_data3"} <= set(repaired)
    assert event.identity not in (0, SAME)
    assert {identity(DAMAGED) for _ in range(3)} == {event.identity}


def test_it_is_the_same_in_all_processes() -> None:
    """Texts have another hash in each process of Python; alarm ids and checkpoints outlive it."""
    program = (
        "import sys; from engine.event import decode_event\n"
        "for line in sys.stdin.buffer: print(decode_event(line).identity)"
    )
    raws = [json.dumps(EVENT).encode(), DAMAGED]
    expected = [identity(raw) for raw in raws]
    for seed in ("1", "2"):
        ended = subprocess.run(
            [sys.executable, "-c", program],
            input=b"\n".join(raws),
            capture_output=True,
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        assert [int(line) for line in ended.stdout.split()] == expected


def test_it_is_the_same_in_all_versions() -> None:
    """Another one would make all that is in a checkpoint another event: change it knowingly."""
    assert SAME == 3666319771982945258


def test_it_has_64_bits() -> None:
    identities = [identity_of(event_id=f"e{number}") for number in range(2000)]
    assert len(set(identities)) == len(identities)
    assert 2**63 < max(identities) < 2**64
