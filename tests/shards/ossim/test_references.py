"""References to earlier levels: which can be expressed, and why others cannot."""

import pytest

from shards.ossim.references import (
    FIELDS,
    InexpressibleError,
    Reference,
    convert_reference,
    find_reference,
)


@pytest.mark.parametrize("field", FIELDS)
def test_a_reference_to_the_same_field_is_expressed(field: str) -> None:
    reference = find_reference(f" 2:{FIELDS[field]} ")
    assert reference is not None
    assert convert_reference(reference, field, 3) == ":2"


@pytest.mark.parametrize(
    ("text", "field", "ours"),
    [
        ("1:DST_IP", "from", ":1.to"),
        ("!2:SRC_IP", "from", "!:2"),
        ("! 1:SRC_PORT", "port_to", "!:1.port_from"),
        ("1:SRC_IP", "custom_data1", ":1.from"),
        ("1:USERDATA3", "to", ":1.custom_data3"),
        ("2:DST_PORT", "custom_data2", ":2.port_to"),
        ("1:PROTOCOL", "protocol", ":1"),
    ],
)
def test_references_to_other_fields_and_negated_ones(text: str, field: str, ours: str) -> None:
    reference = find_reference(text)
    assert reference is not None
    assert convert_reference(reference, field, 3) == ours


@pytest.mark.parametrize(
    "text",
    ["SRC_IP", "1:", "1:ANY", "http://x", "1:SRC_IP2", "::1", "1:src_ip", "9" * 10 + ":SRC_IP"],
)
def test_other_texts_are_no_references(text: str) -> None:
    assert find_reference(text) is None


def test_the_parts_of_a_reference() -> None:
    assert find_reference("!12:USERDATA9") == Reference("!12:USERDATA9", True, 12, "USERDATA9")


@pytest.mark.parametrize(
    ("text", "field", "level", "code", "message"),
    [
        ("1:SENSOR", "from", 2, "other-field", "a reference can be to SRC_IP, DST_IP, SRC_PORT, "),
        ("1:USERNAME", "userdata1", 2, "other-field", "USERDATA2, USERDATA3 only"),
        ("!1:SRC_PORT", "to", 2, "other-field", "an address and a port are never equal"),
        ("1:DST_IP", "port_to", 2, "other-field", "an address and a port are never equal"),
        ("2:SRC_IP", "from", 2, "bad-reference", "from level 2 to level 2: must be from 1 to 1"),
        ("0:SRC_IP", "from", 3, "bad-reference", "must be from 1 to 2"),
        ("1:SRC_IP", "from", 1, "bad-reference", "there is no earlier one"),
        ("100:SRC_IP", "from", 101, "far-reference", "only the first 99 levels"),
    ],
)
def test_references_that_cannot_be_expressed(
    text: str, field: str, level: int, code: str, message: str
) -> None:
    reference = find_reference(text)
    assert reference is not None
    with pytest.raises(InexpressibleError, match=message) as raised:
        convert_reference(reference, field, level)
    assert raised.value.code == code
