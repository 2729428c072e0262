"""docs/console.md has the page's table of numbers, and that has each number that should be 0."""

import importlib.util
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec

from shards.ledger import Ledger
from tests.support.pages import DOCS, read_page

IN_GOOD_TIMES = {
    "events.received",
    "events.routed",
    "events.unmatched",
    "events.whitelisted",
    "events.elsewhere",
    "deliveries.sent",
    "deliveries.consumed",
    "deliveries.unmatched",
    "deliveries.in_flight",
    "outcomes.taken",
    "outcomes.opened",
    "outcomes.repeated",
    "outcomes.sticky_seen",
    "outcomes.suppressed",
    "outcomes.out_of_order",
    "outcomes.too_late",
    "backlogs.opened",
    "backlogs.restored",
    "backlogs.finished",
    "backlogs.expired",
    "backlogs.averted",
    "backlogs.open",
    "lookups",
}
"""What may have any value; lookups have sentences of their own."""
OF_FIELDS = {"invalid_fields"}
"""The same events by field, which have been counted already."""


def script() -> ModuleType:
    """The script that writes the table."""
    spec = importlib.util.spec_from_file_location("docs_console", DOCS / "console.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of all numbers of a ledger; what has reasons at its end without them."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from numbers(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_the_table_is_that_of_the_page() -> None:
    page = read_page("console.md")
    assert script().with_table(page) == page


def test_each_number_that_should_be_0_has_a_sentence() -> None:
    known = {one.path for one in script().read_advice()}
    ledger = set(numbers(msgspec.to_builtins(Ledger())))
    assert known == ledger - IN_GOOD_TIMES - OF_FIELDS
