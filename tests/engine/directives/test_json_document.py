"""JSON documents: lists of objects, fields, and findings."""

from typing import Any

import msgspec
import pytest

from engine.directives.field import Field
from engine.directives.json_document import (
    MAX_DEPTH,
    FieldTable,
    describe_value,
    parse_list,
    parse_object,
)

TABLE = FieldTable(
    Field("name", "str", required=True, filled=True),
    Field("size", "int", low=1, high=5),
    Field("tags", "str_list"),
    Field("on", "bool"),
    Field("mode", "str", choices=("", "a")),
)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-json"),
        (b"\xef\xbb\xbf{}", "bom"),
        (b'{"items": [\xff]}', "not-utf8"),
        (b'{"items": [}', "bad-json"),
        (b"[]", "wrong-type"),
        (b"{}", "missing"),
        (b'{"items": 1}', "wrong-type"),
        (b'{"items": ' + b"[" * (MAX_DEPTH * 20) + b"]" * (MAX_DEPTH * 20) + b"}", "too-deep"),
    ],
)
def test_an_unreadable_document_has_one_finding(data: bytes, code: str) -> None:
    items, findings = parse_list(data, "items")
    assert (items, [finding.code for finding in findings]) == ([], [code])


def test_items_are_read_one_by_one() -> None:
    items, findings = parse_list(b'{"items": [{"name": "x"}, 1]}', "items")
    assert findings == []
    assert parse_object(items[0]) == ({"name": "x"}, [])
    assert [finding.code for finding in parse_object(items[1])[1]] == ["wrong-type"]


def test_defaults_stand_for_absent_and_null_fields() -> None:
    values, findings = TABLE.read({"name": "x", "size": None})
    assert values == {"name": "x", "size": 0, "tags": (), "on": False, "mode": ""}
    assert findings == []


@pytest.mark.parametrize(
    ("item", "field", "code"),
    [
        ({}, "name", "missing"),
        ({"name": " "}, "name", "empty"),
        ({"name": 1}, "name", "wrong-type"),
        ({"name": "x", "size": 6}, "size", "out-of-range"),
        ({"name": "x", "size": True}, "size", "wrong-type"),
        ({"name": "x", "tags": ["a", 1]}, "tags", "wrong-type"),
        ({"name": "x", "on": "true"}, "on", "wrong-type"),
        ({"name": "x", "mode": "b"}, "mode", "unknown-value"),
    ],
)
def test_a_faulty_field_has_a_finding_and_no_value(
    item: dict[str, Any], field: str, code: str
) -> None:
    values, findings = TABLE.read(item)
    assert [(finding.field, finding.code) for finding in findings] == [(field, code)]
    assert field not in values


def test_a_finding_in_a_list_has_the_position_of_its_item() -> None:
    [finding] = TABLE.read({"name": "x", "tags": ["a", 1]})[1]
    assert finding.path == ("tags", 1)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({}, "an object"),
        ([], "a list"),
        (None, "null"),
        (True, "true"),
        (2**70, str(2**70)),
        ("x" * 50, 'the text "' + "x" * 38 + "…"),
    ],
)
def test_values_are_described_briefly(value: Any, shown: str) -> None:
    assert describe_value(value) == shown


def test_an_offset_points_at_the_fault() -> None:
    data = '{"items": [{"é": 1,}]}'.encode()
    [finding] = parse_list(data, "items")[1]
    assert data[finding.offset : finding.offset + 1] in (b"}", b",")
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(data)
