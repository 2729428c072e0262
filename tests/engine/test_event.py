"""Decoding one event: valid ones and their values, and the reason for each invalid one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import INVALID_REASONS, InvalidEventError
from engine.event import (
    MAX_EVENT_BYTES,
    NormalizedEvent,
    decode_event,
    decode_routing_key,
    decode_timed_routing_key,
    parse_timestamp,
)

GOOD: dict[str, Any] = {
    "event_id": "e1",
    "timestamp": "2018-03-23T11:51:47Z",
    "sensor": "s1",
    "src_ip": "10.0.0.1",
    "dst_ip": "10.0.0.2",
    "plugin_id": 1001,
    "plugin_sid": 2002,
}
TIME = 1521805907
"""The timestamp of GOOD in seconds since the epoch."""
TAXONOMY = {"plugin_id": None, "plugin_sid": None, "product": "Firewall", "category": "Denied"}
ABSENT = object()
DEEP = 100_000
KEY_TEXTS = ("product", "category", "src_ip")
OTHER_TEXTS = (
    *("event_id", "timestamp", "sensor", "dst_ip", "title", "subcategory", "protocol"),
    *("custom_data1", "custom_data2", "custom_data3"),
    *("custom_label1", "custom_label2", "custom_label3"),
)
NUMBERS = ("plugin_id", "plugin_sid", "src_port", "dst_port", "rcvd_time")


def event(**changes: Any) -> bytes:
    fields = {name: value for name, value in (GOOD | changes).items() if value is not ABSENT}
    return json.dumps(fields).encode()


def event_with(text: str) -> bytes:
    """A good event with more JSON text at the end of its object."""
    return event()[:-1] + f", {text}}}".encode()


def outcome(decode: Callable[[bytes], object], raw: bytes) -> str:
    """Why it is not valid; "" when it is."""
    try:
        decode(raw)
    except InvalidEventError as error:
        return error.reason
    return ""


def reason(raw: bytes) -> str:
    return outcome(decode_event, raw)


def repaired(raw: bytes) -> tuple[NormalizedEvent, list[str]]:
    """A valid event, and the names of its repaired fields."""
    fields: list[str] = []
    return decode_event(raw, fields), fields


def detail(raw: bytes) -> tuple[str, str, str]:
    """Reason, field and text for an invalid event."""
    with pytest.raises(InvalidEventError) as caught:
        decode_event(raw)
    return caught.value.reason, caught.value.field, caught.value.detail


def key_reason(raw: bytes) -> str:
    """Why the key is not valid, for the router and for replay alike; "" when it is."""
    of_key, of_timed_key = outcome(decode_routing_key, raw), outcome(decode_timed_routing_key, raw)
    assert of_key == of_timed_key
    return of_key


def nested(opening: str, inner: str, closing: str) -> str:
    return opening * DEEP + inner + closing * DEEP


def test_all_that_correlation_needs_is_taken_over() -> None:
    texts = {name: f"the {name}" for name in ("product", "category", "subcategory", "protocol")}
    custom = {f"custom_{kind}{n}": f"{kind} {n}" for kind in ("data", "label") for n in (1, 2, 3)}
    numbers = {"src_port": 40000, "dst_port": 22, "rcvd_time": 1521805907000000001}
    kept: dict[str, Any] = {**texts, **custom, **numbers}
    kept |= {"title": "t", "conn_id": 7, "event_id": "e1"}
    decoded = decode_event(event(**kept))
    assert {name: getattr(decoded, name) for name in kept} == kept
    assert decoded.time == TIME


def test_what_is_absent_is_zero_or_empty() -> None:
    absent = NormalizedEvent.__struct_fields__[7:-2]
    decoded = decode_event(event())
    assert {name for name in absent if getattr(decoded, name)} == set()


def test_null_in_an_optional_field_is_absent() -> None:
    optional = ("product", "category", *OTHER_TEXTS[4:], "src_port", "dst_port", "rcvd_time")
    nulls = dict.fromkeys((*optional, "conn_id"))
    assert decode_event(event(**nulls)) == decode_event(event())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        TAXONOMY,
        {"plugin_id": 0, "plugin_sid": 0} | {"product": "Firewall", "category": "Denied"},
        {"plugin_sid": ABSENT, "product": "Firewall", "category": "Denied"},
        {"product": "Firewall", "category": ""},
    ],
)
def test_plugin_or_taxonomy_is_enough(changes: dict[str, Any]) -> None:
    raw = event(**changes)
    assert decode_event(raw).event_id == "e1"
    assert key_reason(raw) == ""


@pytest.mark.parametrize("empty", [ABSENT, None, ""], ids=["absent", "null", "empty"])
@pytest.mark.parametrize("field", ["event_id", "timestamp", "sensor", "src_ip", "dst_ip"])
def test_what_is_always_needed(field: str, empty: Any) -> None:
    raw = event(**{field: empty})
    assert reason(raw) == "missing_field"
    assert key_reason(raw) == ("missing_field" if field == "src_ip" else "")


@pytest.mark.parametrize(
    "changes",
    [
        {"plugin_id": ABSENT},
        {"plugin_id": None},
        {"plugin_id": 0},
        {"plugin_id": "0"},
        {"plugin_sid": ABSENT},
        {"plugin_sid": None},
        {"plugin_sid": 0},
        {"plugin_id": 0, "product": "Firewall"},
        {"plugin_sid": 0, "category": "Denied"},
        TAXONOMY | {"product": ""},
        TAXONOMY | {"category": None},
    ],
)
def test_neither_plugin_nor_taxonomy(changes: dict[str, Any]) -> None:
    raw = event(**changes)
    assert reason(raw) == "missing_field"
    assert key_reason(raw) == "missing_field"


@pytest.mark.parametrize(
    ("value", "port"),
    [(0, 0), (80, 80), (65535, 65535), ("0", 0), ("80", 80), ("65535", 65535), (None, 0)],
)
@pytest.mark.parametrize("field", ["src_port", "dst_port"])
def test_a_port_is_a_number_or_digits(field: str, value: Any, port: int) -> None:
    assert getattr(decode_event(event(**{field: value})), field) == port


@pytest.mark.parametrize("value", [-1, 65536, 70000, 2**64, "-1", "65536", "70000", "9" * 30])
@pytest.mark.parametrize("field", ["src_port", "dst_port"])
def test_a_port_out_of_range_is_absent(field: str, value: Any) -> None:
    raw = event(**{field: value})
    assert repaired(raw) == (decode_event(event()), [field])
    assert key_reason(raw) == ""


@pytest.mark.parametrize("value", [1, "1", 2**63 - 1, str(2**63 - 1)])
@pytest.mark.parametrize("field", ["plugin_id", "plugin_sid", "rcvd_time"])
def test_an_id_is_a_number_or_digits(field: str, value: Any) -> None:
    assert getattr(decode_event(event(**{field: value})), field) == int(value)


def test_the_key_reads_digits_as_the_whole_event_does() -> None:
    raw = event(plugin_id="1001", plugin_sid="2002", product="p", category="c")
    for decoded in (decode_routing_key(raw), decode_timed_routing_key(raw), decode_event(raw)):
        assert (decoded.plugin_id, decoded.plugin_sid) == (1001, 2002)
        assert (decoded.product, decoded.category) == ("p", "c")
        assert decoded.src_ip == "10.0.0.1"


WRONG_NUMBERS = [
    *(-1, 2**63, 2**64, "-1", str(2**63), "9" * 5000),
    *("80 ", " 80", "+80", "8_0", "0x50", "\u0668\u0660", "eighty", "true", "null"),
    *(True, False, 80.5, [], {}, [80]),
]


@pytest.mark.parametrize("value", WRONG_NUMBERS, ids=range(len(WRONG_NUMBERS)))
def test_a_wrong_number_is_invalid_where_it_is_the_key_and_else_absent(value: Any) -> None:
    for field in ("plugin_id", "plugin_sid"):
        raw = event(**{field: value})
        assert (reason(raw), key_reason(raw)) == ("bad_type", "bad_type")
        taxonomy = {"product": "Firewall", "category": "Denied"}
        decoded, fields = repaired(event(**{field: value}, **taxonomy))
        assert (getattr(decoded, field), fields) == (0, [field])
    for field in ("src_port", "dst_port", "rcvd_time"):
        raw = event(**{field: value})
        assert repaired(raw) == (decode_event(event()), [field])
        assert key_reason(raw) == ""


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("field", NUMBERS)
def test_a_blank_number_is_absent(field: str, blank: str) -> None:
    raw = event(**{field: blank})
    if field in GOOD:
        assert (reason(raw), key_reason(raw)) == ("missing_field", "missing_field")
    else:
        assert repaired(raw) == (decode_event(event()), [])


@pytest.mark.parametrize("digits", ["1e400", "-1e400", "9" * 5000])
def test_a_number_that_nothing_holds(digits: str) -> None:
    for field in ("plugin_id", "plugin_sid"):
        assert reason(event_with(f'"{field}": {digits}')) == "bad_type"
    assert repaired(event_with(f'"src_port": {digits}')) == (decode_event(event()), ["src_port"])
    decoded, fields = repaired(event_with(f'"custom_data1": {digits}'))
    assert (decoded.custom_data1, fields) == (digits, ["custom_data1"])


@pytest.mark.parametrize(
    ("text", "value"), [("4625", "4625"), ("1.50", "1.50"), ("-0", "-0"), ("true", "true")]
)
@pytest.mark.parametrize("field", ["event_id", "product", "custom_data1", "title"])
def test_a_number_or_a_boolean_is_the_text_that_it_is_in_json(
    field: str, text: str, value: str
) -> None:
    decoded, fields = repaired(event_with(f'"{field}": {text}'))
    assert getattr(decoded, field, value) == value
    assert fields == [field]


@pytest.mark.parametrize("value", [[], {}, ["x"], {"a": None}])
@pytest.mark.parametrize("field", [*KEY_TEXTS, *OTHER_TEXTS])
def test_a_list_or_an_object_is_invalid_where_it_is_needed_and_else_absent(
    field: str, value: Any
) -> None:
    raw = event(**{field: value})
    if field in ("event_id", "timestamp", "src_ip", "dst_ip"):
        assert reason(raw) == "bad_type"
    else:
        decoded, fields = repaired(raw)
        assert fields == [field]
        assert not getattr(decoded, field)
        assert decoded.event_id == "e1"
    assert key_reason(raw) == ("bad_type" if field == "src_ip" else "")


def test_the_taxonomy_is_needed_where_there_is_no_plugin() -> None:
    for field in ("product", "category"):
        raw = event(**TAXONOMY | {field: ["x"]})
        assert (reason(raw), key_reason(raw)) == ("bad_type", "bad_type")


@pytest.mark.parametrize("change", [str.upper, str.title])
def test_keys_in_other_capitals_are_read(change: Callable[[str], str]) -> None:
    fields = json.loads(event(src_port=80, custom_data1="x"))
    raw = json.dumps({change(name): value for name, value in fields.items()}).encode()
    assert decode_event(raw) == decode_event(json.dumps(fields).encode())
    assert key_reason(raw) == ""
    assert decode_routing_key(raw) == decode_routing_key(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"src_ip": "%{[src_ip]}"},
            (
                "bad_address",
                "src_ip",
                'src_ip is "%{[src_ip]}", must be an IP address (an unresolved Logstash field?)',
            ),
        ),
        (
            {"src_ip": ["10.0.0.1"]},
            ("bad_type", "src_ip", "src_ip is a list, must be an IP address"),
        ),
        (
            {"dst_ip": "x" * 500},
            ("bad_address", "dst_ip", f'dst_ip is "{"x" * 62}…, must be an IP address'),
        ),
        (
            {"plugin_id": "abc"},
            ("bad_type", "plugin_id", 'plugin_id is "abc", must be a whole number above 0'),
        ),
        (
            {"plugin_sid": 2**64},
            ("bad_type", "plugin_sid", f"plugin_sid is {2**64}, must be a whole number above 0"),
        ),
        (
            {"event_id": None},
            ("missing_field", "event_id", "event_id is absent, must be a text that is not empty"),
        ),
        (
            {"timestamp": "now"},
            (
                "bad_timestamp",
                "timestamp",
                'timestamp is "now", must be a time in ISO 8601, such as 2026-03-01T08:00:00Z',
            ),
        ),
    ],
)
def test_an_invalid_event_says_which_field_what_it_holds_and_what_would_be_right(
    changes: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    assert detail(event(**changes)) == expected


@pytest.mark.parametrize("value", [0, 12, "12", "a:b", "", None])
def test_conn_id_may_be_a_number_or_a_text(value: Any) -> None:
    assert decode_event(event(conn_id=value)).conn_id == (0 if value is None else value)


@pytest.mark.parametrize(
    "value", ["-1", "1.5", "9" * 30, "1e400", "true", "[1]", "{}", '"a\\ud800b"', '"a\xffb"']
)
def test_a_conn_id_of_any_kind_loses_no_event(value: str) -> None:
    raw = event(conn_id="ODD").replace(b'"ODD"', value.encode("latin-1"))
    decoded, sent_again = decode_event(raw), decode_event(raw)
    assert isinstance(decoded.conn_id, int) or type(decoded.conn_id) is str
    assert decoded.identity == sent_again.identity


@pytest.mark.parametrize("value", [5, 2**63 - 1, "5", "a"])
def test_conn_id_is_the_same_beside_what_has_to_be_repaired(value: Any) -> None:
    repaired: list[str] = []
    assert decode_event(event(conn_id=value, protocol=6), repaired).conn_id == value
    assert repaired == ["protocol"]


@pytest.mark.parametrize("raw", [b"[]", b"[{}]", b"null", b"true", b"17", b'"text"'])
def test_json_that_is_no_object(raw: bytes) -> None:
    assert reason(raw) == "bad_type"
    assert key_reason(raw) == "bad_type"


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b"\xef\xbb\xbf" + event(),
        b"\0" + event(),
        event() + event(),
        event() + b" x",
        event_with('"src_port": NaN'),
        event_with('"other": NaN'),
        event_with('"other": Infinity'),
        event_with('"other": -Infinity'),
        event_with('"other": 01'),
        event_with('"other": tru'),
        event_with('"other": [1,]'),
        event_with('"other": "\\x"'),
        event_with('"other": "a\nb"'),
        event_with("'other': 1"),
        event_with(""),
    ],
)
def test_what_is_not_json(raw: bytes) -> None:
    assert reason(raw) == "bad_json"
    assert key_reason(raw) == "bad_json"


def test_what_is_truncated() -> None:
    raw = event()
    for length in range(len(raw)):
        assert reason(raw[:length]) == "bad_json"
        assert key_reason(raw[:length]) == "bad_json"


@pytest.mark.parametrize("escape", ["\\ud800", "\\udc00", "\\ud800\\ud800", "\\udc00\\ud800"])
@pytest.mark.parametrize("field", ["title", "category", "custom_data1", "other"])
@pytest.mark.parametrize("after", ["", ', "custom_data2": null'], ids=["", "with null"])
def test_half_a_character_is_replaced(field: str, escape: str, after: str) -> None:
    raw = event_with(f'"{field}": "a{escape}b"{after}')
    decoded, fields = repaired(raw)
    assert fields == ([] if field == "other" else [field])
    assert set(getattr(decoded, field, "ab\ufffd")) == set("ab\ufffd")
    assert key_reason(raw) == ""


def test_both_halves_of_a_character_are_one() -> None:
    decoded = decode_event(event_with('"custom_data1": "\\ud83d\\ude00"'))
    assert decoded.custom_data1 == "\N{GRINNING FACE}"


@pytest.mark.parametrize("after", ["", ', "custom_data2": null'], ids=["", "with null"])
@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80"])
@pytest.mark.parametrize("field", ["title", "custom_data1", "category", "other"])
def test_bad_utf8_is_replaced(field: str, broken: bytes, after: str) -> None:
    """An attacker who puts one bad byte into a user agent would not be seen otherwise."""
    raw = event_with(f'"{field}": "aXb"{after}').replace(b"X", broken)
    decoded, fields = repaired(raw)
    assert fields == ([] if field == "other" else [field])
    assert set(getattr(decoded, field, "ab\ufffd")) == set("ab\ufffd")
    assert key_reason(raw) == ""


def test_bad_utf8_outside_of_texts_is_no_json() -> None:
    assert reason(event() + b"\xff") == "bad_json"
    assert reason(event_with('"\xff": 1').replace(b"\xc3\xbf", b"\xff")) == ""


@pytest.mark.parametrize("field", ["other", "title", "timestamp", "src_port", "category"])
@pytest.mark.parametrize(
    "value", [nested("[", "", "]"), nested('{"a":', "1", "}")], ids=["lists", "objects"]
)
def test_nested_too_deep(field: str, value: str) -> None:
    raw = event_with(f'"{field}": {value}')
    assert reason(raw) == "bad_json"
    assert key_reason(raw) == "bad_json"
    assert reason(event_with(f'"{field}": {value}, "protocol": null')) == "bad_json"


@pytest.mark.parametrize("raw", [b"[" * DEEP, b'{"a":' * DEEP], ids=["lists", "objects"])
def test_nested_too_deep_and_truncated(raw: bytes) -> None:
    assert reason(raw) == "bad_json"
    assert key_reason(raw) == "bad_json"


@pytest.mark.parametrize("after", ["", ', "title": null'], ids=["", "with null"])
@pytest.mark.parametrize(
    "value",
    ["null", '"x"', "[1, [2, {}]]", '{"a": {"event_id": 5}}', "-1", "1.5", "1e400", "9" * 400],
)
def test_unknown_fields_are_ignored_whatever_they_hold(value: str, after: str) -> None:
    raw = event_with(f'"other": {value}, "Event_ID": {value}{after}')
    assert decode_event(raw) == decode_event(event())
    assert key_reason(raw) == ""


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ('"src_port": 1, "src_port": 2', 2),
        ('"src_port": "x", "src_port": 2', 2),
        ('"src_port": -1, "src_port": 2', 2),
        ('"src_port": null, "src_port": 2', 2),
        ('"src_port": 2, "src_port": null', 0),
        ('"src_port": 1, "\\u0073rc_port": 2', 2),
    ],
)
def test_of_duplicate_keys_the_last_one_wins(text: str, port: int) -> None:
    assert decode_event(event_with(text)).src_port == port


def test_of_duplicate_keys_a_wrong_last_one_is_wrong() -> None:
    assert repaired(event_with('"src_port": 2, "src_port": "x"'))[1] == ["src_port"]
    assert reason(event_with('"event_id": null')) == "missing_field"
    assert key_reason(event_with('"plugin_id": 0')) == "missing_field"


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        ("2018-03-23T11:51:47Z", TIME),
        ("2018-03-23T11:51:47", TIME),
        ("2018-03-23 11:51:47", TIME),
        ("2018-03-23T11:51:47+00:00", TIME),
        ("2018-03-23T11:51:47-00:00", TIME),
        ("2018-03-23T11:51:47.805788-0600", TIME + 6 * 3600),
        ("2018-03-23T11:51:47.805788-06:00", TIME + 6 * 3600),
        ("2018-03-23T11:51:47-06", TIME + 6 * 3600),
        ("2018-03-23T11:51:47.5+05:30", TIME - 19800),
        ("2018-03-23T11:51:47+05:30:15", TIME - 19815),
        ("2018-03-23T11:51:47.8Z", TIME),
        ("2018-03-23T11:51:47,8Z", TIME),
        ("2018-03-23T11:51:47.999999Z", TIME),
        ("2018-03-23T11:51:47.999999999Z", TIME),
        ("2018-03-23T11:51:47.123456789+0000", TIME),
        ("20180323T115147Z", TIME),
        ("2018-W12-5T11:51:47Z", TIME),
        ("2018-03-23T11:51Z", TIME - 47),
        ("2018-03-23", TIME - 11 * 3600 - 51 * 60 - 47),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.5Z", -1),
        ("0001-01-01T00:00:00+23:59", -62135683140),
        ("9999-12-31T23:59:59-23:59", 253402387139),
    ],
)
def test_a_timestamp(timestamp: str, time: int) -> None:
    assert parse_timestamp(timestamp) == time
    assert decode_event(event(timestamp=timestamp)).time == time


@pytest.mark.parametrize(
    "timestamp",
    [
        "now",
        "1521805907",
        "1521805907.5",
        " 2018-03-23T11:51:47Z",
        "2018-03-23T11:51:47Z ",
        "2018-03-23T11:51:47X",
        "2018-03-23T",
        "2018-3-23T11:51:47Z",
        "2018/03/23T11:51:47Z",
        "2018-03-23T11:51:47+24:00",
        "2018-03-23T24:00:00Z",
        "2018-02-29T00:00:00Z",
        "2018-13-01T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "2018-03-23T11:60:00Z",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "２018-03-23T11:51:47Z",
        "Fri Mar 23 11:51:47 2018",
        "23/Mar/2018:11:51:47 +0000",
        "9" * 5000,
    ],
)
def test_no_timestamp(timestamp: str) -> None:
    raw = event(timestamp=timestamp)
    assert reason(raw) == "bad_timestamp"
    assert key_reason(raw) == ""


@pytest.mark.parametrize("timestamp", [None, 1521805907, 1.5, True, [], {}])
def test_what_is_no_text_is_no_time(timestamp: Any) -> None:
    with pytest.raises(InvalidEventError, match="bad_timestamp"):
        parse_timestamp(timestamp)


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:0A00:0001", "10.0.0.1"),
        ("0:0:0:0:0:ffff:a00:1", "10.0.0.1"),
        ("::10.0.0.1", "::a00:1"),
        ("::", "::"),
        ("2001:DB8:0::0001", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        (" 10.0.0.1", "10.0.0.1"),
        ("10.0.0.1\n", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1%1", "10.0.0.1"),
        ("fe80::1%", "fe80::1"),
    ],
)
@pytest.mark.parametrize("field", ["src_ip", "dst_ip"])
def test_an_address_has_one_spelling(field: str, address: str, canonical: str) -> None:
    raw = event(**{field: address})
    assert getattr(decode_event(raw), field) == canonical
    assert key_reason(raw) == ""


@pytest.mark.parametrize(
    "address",
    [
        "host",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.1.2",
        "010.0.0.1",
        "10.0.0.01",
        "10.0.0.1/32",
        "10.0.0.1:80",
        "167772161",
        "0x0a000001",
        "١٠.0.0.1",
        "[::1]",
        "1::2::3",
        "1" * 5000,
    ],
)
@pytest.mark.parametrize("field", ["src_ip", "dst_ip"])
def test_no_address(field: str, address: str) -> None:
    raw = event(**{field: address})
    assert reason(raw) == "bad_address"
    assert key_reason(raw) == ("bad_address" if field == "src_ip" else "")


def test_too_large_is_more_than_a_mebibyte_valid_or_not() -> None:
    filler = MAX_EVENT_BYTES - len(event_with('"other": ""'))
    fits = event_with(f'"other": "{"x" * filler}"')
    assert len(fits) == MAX_EVENT_BYTES == 1024 * 1024
    assert decode_event(fits) == decode_event(event())
    for large in (fits + b" ", b"\xff" * (MAX_EVENT_BYTES + 1)):
        assert reason(large) == "too_large"
        assert key_reason(large) == "too_large"


def test_the_timestamp_of_a_timed_key_is_left_as_it_stands() -> None:
    timestamps: list[Any] = ["never", "", 5, 1.5, True, [], {}]
    for timestamp in timestamps:
        assert decode_timed_routing_key(event(timestamp=timestamp)).timestamp == timestamp
    assert decode_timed_routing_key(event(timestamp=None)).timestamp is None
    assert decode_timed_routing_key(event(timestamp=ABSENT)).timestamp is None


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_give_an_event_or_a_reason(raw: bytes) -> None:
    for decode in (decode_event, decode_routing_key, decode_timed_routing_key):
        assert outcome(decode, raw) in ("", *INVALID_REASONS)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*NormalizedEvent.__struct_fields__, "other"]), anything))
def test_any_values_give_an_event_or_a_reason(changes: dict[str, Any]) -> None:
    raw = event(**changes)
    assert reason(raw) in ("", *INVALID_REASONS)
    if reason(raw) == "":
        assert key_reason(raw) == ""
        assert 0 <= decode_event(raw).src_port <= 65535
