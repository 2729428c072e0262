"""Splitting a stream into JSON values: lines, arrays, values without and with line breaks."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.event import MAX_EVENT_BYTES
from shards.sources.json_splitter import JsonSplitter, Located


def split(content: bytes, part_bytes: int = MAX_EVENT_BYTES + 2) -> list[Located]:
    return list(JsonSplitter(io.BytesIO(content), part_bytes))


def values(content: bytes) -> list[bytes]:
    return [raw for raw, _, _ in split(content)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"\n\na\n\n \n\t\r\n\nb\n\n", [b"a", b"b"]),
        (b"\xff\x00\x1b\n", [b"\xff\x00\x1b"]),
        (b"a\x0bb\x0cc\x85d\xe2\x80\xa8e\rf\n", [b"a\x0bb\x0cc\x85d\xe2\x80\xa8e\rf"]),
        (b'{"a":{"b":1}}\r\n{"a":{}}', [b'{"a":{"b":1}}', b'{"a":{}}']),
        (
            b'\xef\xbb\xbf{"a":1}\n{"a":2}\n\xef\xbb\xbf{"a":3}',
            [b'{"a":%d}' % n for n in (1, 2, 3)],
        ),
        (b'\xef\xbb\xbf[{"a":1}]', [b'{"a":1}']),
    ],
)
def test_lines_end_with_a_line_feed_and_blank_ones_are_none(
    content: bytes, expected: list[bytes]
) -> None:
    assert values(content) == expected


def test_values_need_no_line_breaks_between_them() -> None:
    one, two, three = b'{"a":"}{"}', b'{"b":{"c":"\\"}{"}}', b'{"d":[{"e":1}]}'
    assert values(one + two + three) == [one, two, three]
    assert values(one + b" " + two + b"\n" + three + b"\t" + one + b"\n") == [one, two, three, one]


def test_an_array_may_stand_on_one_line_or_many_and_several_may_follow_each_other() -> None:
    assert values(b'[{"a":1},{"b":[{}]}]') == [b'{"a":1}', b'{"b":[{}]}']
    assert values(b'\n [ \n{"a":1},\n{"b":2}\n]\n') == [b'{"a":1}', b'{"b":2}']
    assert values(b'[{"a":1}]\n[]\n[{"b":2}, 3, [4]]{"c":5}\n') == [
        b'{"a":1}',
        b'{"b":2}',
        b"3",
        b"[4]",
        b'{"c":5}',
    ]


def test_an_array_among_lines_is_no_value_of_its_own() -> None:
    assert values(b'{"a":1}\n[]\n[{"b":2}]\n') == [b'{"a":1}', b"[]", b'[{"b":2}]']


def test_it_tells_the_line_and_the_column_in_bytes() -> None:
    content = '{"a":"ä"}{"b":2}\n\n {\n  "c": 3\n} x\n{"d":4}\n'.encode()
    assert split(content) == [
        ('{"a":"ä"}'.encode(), 1, 1),
        (b'{"b":2}', 1, 11),
        (b'{\n  "c": 3\n} x', 3, 2),
        (b'{"d":4}', 6, 1),
    ]
    assert split(b'[{"a":1},\n {"b":2}]') == [(b'{"a":1}', 1, 2), (b'{"b":2}', 2, 2)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"cut": 1, "b\n{"a":1}\n', [b'{"cut": 1, "b', b'{"a":1}']),
        (b'{"cut": {"b": 1}\n{"a":1}\n', [b'{"cut": {"b": 1}', b'{"a":1}']),
        (b' {"cut": 1,\n {"a":1}\n {"a":2}\n', [b'{"cut": 1,', b'{"a":1}', b'{"a":2}']),
        (b'{\nx\n[\n9\n{"a":1}\n', [b"{", b"x", b"[", b"9", b'{"a":1}']),
        (b'{\n "a": 1,\n{\n "a": 2\n}\n', [b"{", b'"a": 1,', b'{\n "a": 2\n}']),
        (b'[\n {"a": 1,\n {"a":2},\n {"a":3}\n]', [b'{"a": 1,', b'{"a":2}', b'{"a":3}']),
        (b'[{"a":1}, x y, {"a":2}]', [b'{"a":1}', b"x y", b'{"a":2}']),
        (b'{"a":1} x\n{"a":2}}\n', [b'{"a":1} x', b'{"a":2}}']),
        (b'{"a":1', [b'{"a":1']),
        (b'{\n"a":1,\n"b":2', [b"{", b'"a":1,', b'"b":2']),
        (b'[{"a":1},{"a":2', [b'{"a":1}', b'{"a":2']),
        (b"[" * 5000 + b'\n{"a":1}', [b"[" * 4999, b'{"a":1}']),
        (b'{"a":' * 5000 + b'\n{"a":1}', [b'{"a":' * 5000, b'{"a":1}']),
    ],
)
def test_what_has_no_end_is_given_line_by_line_and_what_follows_is_whole(
    content: bytes, expected: list[bytes]
) -> None:
    assert values(content) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize(
    "longest", [b"x" * MAX_EVENT_BYTES, b'{"a":"%s"}' % (b"x" * (MAX_EVENT_BYTES - 8))]
)
def test_the_longest_event_is_read_whole(longest: bytes, end: bytes) -> None:
    assert values(longest + end) == [longest]


@pytest.mark.parametrize("more", [1, 2, 3, 4, MAX_EVENT_BYTES, 3 * MAX_EVENT_BYTES])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("form", [b"x%s", b'{"a":"%s"}', b'{"a":"%s', b'{"a":\n "%s"}'])
def test_what_is_too_long_is_one_value_that_is_cut_and_the_next_is_whole(
    form: bytes, more: int, end: bytes
) -> None:
    text = form % (b"x" * (MAX_EVENT_BYTES + more))
    before, long, after = values(b"a" + end + text + end + b"b" + end)
    assert (before, after) == (b"a", b"b")
    assert MAX_EVENT_BYTES < len(long) < MAX_EVENT_BYTES + 4


def test_an_array_and_a_line_of_any_length_are_split() -> None:
    one = b'{"a":"%s"}' % (b"\\\\x" * 100_000)
    assert values(b"[" + b",".join([one] * 60) + b"]") == [one] * 60
    assert values(one * 60) == [one] * 60
    assert values(b" " * (2 * MAX_EVENT_BYTES) + b"{}\n") == [b"{}"]


def test_a_long_value_in_an_array_costs_only_itself() -> None:
    long = b'{"a":"%s"}' % (b"x" * 3 * MAX_EVENT_BYTES)
    first, cut, last = values(b'[{"a":1},' + long + b',{"a":2}]')
    assert (first, last) == (b'{"a":1}', b'{"a":2}')
    assert len(cut) == MAX_EVENT_BYTES + 2


TEXT = st.text(max_size=8)
OBJECTS = st.lists(
    st.dictionaries(
        TEXT,
        st.recursive(
            st.none() | st.integers() | TEXT | st.just('"}{[]\\'),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=6,
)


@given(
    objects=OBJECTS,
    indent=st.sampled_from([None, 1, 4, "\t"]),
    separator=st.sampled_from(["", " ", "\n", "\r\n", "\n\n"]),
    is_array=st.booleans(),
    part_bytes=st.sampled_from([1, 2, 3, 7, 64, 1 << 20]),
)
def test_values_are_found_in_every_form_and_however_they_are_read(
    objects: list[dict[str, Any]],
    indent: int | str | None,
    separator: str,
    is_array: bool,
    part_bytes: int,
) -> None:
    if is_array:
        text = json.dumps(objects, indent=indent, ensure_ascii=False)
    else:
        text = separator.join(json.dumps(one, indent=indent) for one in objects)
    assert [json.loads(raw) for raw, _, _ in split(text.encode(), part_bytes)] == objects
