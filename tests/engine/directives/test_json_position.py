"""From a path into a JSON document to the line and column of what it leads to."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.directives.json_position import JsonLocator
from engine.errors import DocumentPath


class Members(NamedTuple):
    """An object as it is written: keys may be there twice."""

    pairs: list[tuple[str, Any]]


keys = st.sampled_from(["a", "b", 'quo"te', "back\\", "é", "{[", ""]) | st.text(max_size=3)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-9, 1200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from(["]", "}", '"', "\\", ',"a":1', "日本\N{GRINNING FACE}", "\n\r\t"])
)
repeats = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 12, 120, 1.5])))
"""Keys that repeat, and numbers that begin like others."""
documents = st.recursive(
    scalars | repeats.map(Members),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(st.tuples(keys, inner), max_size=4).map(Members)
    ),
    max_leaves=15,
)


def written(value: Any, random: Random) -> str:
    """The value as JSON, with white space and escapes wherever they may be."""

    def gap() -> str:
        return "".join(random.choices(" \t\r\n", k=random.choice([0, 0, 1, 3])))

    if isinstance(value, Members):
        members = (
            f"{gap()}{written(key, random)}{gap()}:{gap()}{written(item, random)}{gap()}"
            for key, item in value.pairs
        )
        return "{" + (",".join(members) or gap()) + "}"
    if isinstance(value, list):
        return "[" + (",".join(gap() + written(v, random) + gap() for v in value) or gap()) + "]"
    return json.dumps(value, ensure_ascii=random.random() < 0.5)


def plain(value: Any) -> Any:
    """The value as decoding has it: the last of equal keys."""
    if isinstance(value, Members):
        return {key: plain(item) for key, item in value.pairs}
    return [plain(item) for item in value] if isinstance(value, list) else value


def paths(value: Any, above: DocumentPath = ()) -> Iterator[tuple[DocumentPath, Any]]:
    """Every path into a decoded value, and what it leads to."""
    yield above, value
    steps = enumerate(value) if isinstance(value, list) else ()
    members = value.items() if isinstance(value, dict) else ()
    for step, item in (*steps, *members):
        yield from paths(item, (*above, step))


def value_at(text: str, line: int, column: int) -> Any:
    """The JSON value that begins there."""
    start = sum(len(before) + 1 for before in text.split("\n")[: line - 1]) + column - 1
    return json.JSONDecoder().raw_decode(text, start)[0]


@given(documents, st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_every_path_leads_to_its_value(value: Any, random: Random, order: Random) -> None:
    text = " \n" * random.randrange(3) + written(value, random) + "\n"
    locator = JsonLocator(text.encode())
    to_all = list(paths(plain(value)))
    order.shuffle(to_all)
    for path, item in to_all:
        assert value_at(text, *locator.locate(path)) == item


@given(documents, st.integers(0, 4), st.booleans())
def test_every_path_leads_to_its_value_as_json_is_usually_written(
    value: Any, indent: int, ascii_only: bool
) -> None:
    text = json.dumps(plain(value), indent=indent or None, ensure_ascii=ascii_only)
    locator = JsonLocator(text.encode())
    for path, item in paths(plain(value)):
        assert value_at(text, *locator.locate(path)) == item


def test_the_last_of_equal_keys_counts_though_an_earlier_value_begins_like_it() -> None:
    locator = JsonLocator(b'{"a": 12, "a": 1, "b": [10, 1], "a": 1.5, "a": 1, "c": 2}')
    assert locator.locate(("a",)) == (1, 48)
    assert locator.locate(("b", 1)) == (1, 29)
    assert locator.locate(("c",)) == (1, 56)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("b",), (1, 1)),
        (("a", 5), (1, 7)),
        (("a", "x"), (1, 7)),
        (("a", 0, "x", 3, "y"), (1, 8)),
        ((0,), (1, 1)),
    ],
)
def test_a_path_that_leads_nowhere_gives_the_last_value_on_its_way(
    path: DocumentPath, place: tuple[int, int]
) -> None:
    assert JsonLocator(b'{"a": [1]}').locate(path) == place


def test_an_offset_counts_bytes_from_the_value_and_the_column_characters() -> None:
    text = '{"é":\n  ["ö", "日本x"]}'
    locator = JsonLocator(text.encode())
    assert locator.locate(("é", 1)) == (2, 9)
    assert locator.locate(("é", 1), len('"日本'.encode())) == (2, 12)
    assert locator.locate(("é", 1), 1) == (2, 10)


def test_an_offset_into_the_whole_document_counts_from_its_first_byte() -> None:
    assert JsonLocator(b" \n\n {nonsense").locate((), 5) == (3, 3)


def test_the_end_of_a_line_is_on_it() -> None:
    locator = JsonLocator(b'{"a":\n"b"}')
    assert [locator.locate((), offset) for offset in (4, 5, 6)] == [(1, 5), (1, 6), (2, 1)]


def test_lines_end_with_a_line_feed_alone() -> None:
    locator = JsonLocator(b'{\r\n"a":\r\n1,\r"b": 2,\n\n"c": 3}')
    assert [locator.locate((key,)) for key in "abc"] == [(3, 1), (3, 9), (5, 6)]


def test_what_is_no_json_has_a_place_all_the_same() -> None:
    for data in (b"", b" ", b"{", b"[", b'{"a": [1, }', b"[" * 100_000, b"\xff\xfe"):
        assert JsonLocator(data).locate(("a", 3, "b"))[0] == 1
