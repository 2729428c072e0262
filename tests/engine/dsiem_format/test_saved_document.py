"""Documents of saved alarms: defaults of absent fields, and faults by item."""

import json
from typing import Any

import pytest

from engine.dsiem_format.saved_document import MAX_FAULTS, parse_saved_alarms
from tests.support.saved_alarms import AT_STAGE_2


def parse(*items: Any) -> Any:
    return parse_saved_alarms(json.dumps(items).encode())


def test_absent_and_null_fields_get_defaults() -> None:
    optional = ("status", "kingdom", "risk", "networks", "src_ips")
    absent = {name: value for name, value in AT_STAGE_2.items() if name not in optional}
    null = AT_STAGE_2 | dict.fromkeys(optional)
    for item in (absent, null):
        [alarm] = parse(item).alarms
        assert (alarm.status, alarm.kingdom, alarm.risk, alarm.networks) == ("", "", 0, ())


def test_a_fault_names_its_item_and_leaves_the_others() -> None:
    document = parse(AT_STAGE_2, 3, AT_STAGE_2 | {"rules": "none"})
    assert len(document.alarms) == 1
    assert [fault.partition(":")[0] for fault in document.faults] == ["item 2", "item 3"]


@pytest.mark.parametrize("data", [b"", b"{}", b"[1", b"[" * 100_000])
def test_what_is_no_list_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_saved_alarms(data)


def test_equal_faults_of_many_items_are_one_text() -> None:
    document = parse_saved_alarms(b"[" + b",".join([b"null"] * 4 + [b"1"] * 3) + b"]")
    first, second = document.faults
    assert first.startswith("item 1: ")
    assert first.endswith(" (so have 3 other items)")
    assert second.startswith("item 5: ")
    assert second.endswith(" (so have 2 other items)")


def test_after_too_many_faults_the_rest_is_not_read() -> None:
    items = [b"null"] * (MAX_FAULTS * 50)
    document = parse_saved_alarms(b"[" + b",".join(items) + b"]")
    assert len(document.faults) == 2
    assert document.faults[1] == f"items after {MAX_FAULTS} are not read"
