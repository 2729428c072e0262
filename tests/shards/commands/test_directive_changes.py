"""What differs between two directives, in words."""

from typing import Any

import pytest

from shards.commands.directive_changes import MAX_CHANGES, compare_directives
from tests.support.replayed_scenarios import config_of
from tests.support.replaying import Json, directive, rule

RULES = (rule(1, 1), rule(2, 2, **{"from": ":1"}))


def changes(old: Json, new: Json) -> tuple[str, ...]:
    return compare_directives(config_of([old]), config_of([new]))[1].changes


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", "other", "name directive 1 → other"),
        ("priority", 3, "priority 5 → 3"),
        ("kingdom", "x", "kingdom k → x"),
        ("all_rules_always_active", True, "all_rules_always_active false → true"),
    ],
)
def test_a_field_of_the_directive(field: str, value: Any, text: str) -> None:
    old = directive(1, *RULES)
    assert changes(old, old) == ()
    assert changes(old, old | {field: value}) == (text,)


def test_fields_of_stages() -> None:
    old = directive(1, *RULES)
    more = {"from": "ANY", "plugin_sid": [2, 3], "port_to": "22", "custom_data1": "x"}
    new = directive(1, RULES[0], RULES[1] | more)
    assert changes(old, new) == (
        "stage 2 plugin_sid 2 → 2, 3",
        "stage 2 from :1 → ANY",
        "stage 2 port_to ANY → 22",
        'stage 2 custom_data1 "" → x',
    )


def test_stages_added_and_removed() -> None:
    old, new = directive(1, *RULES), directive(1, *RULES, rule(3, 3, name="third"))
    assert changes(old, new) == ("stage 3 added: third",)
    assert changes(new, old) == ("stage 3 removed: third",)


def test_hostile_changes_are_bounded_and_escaped() -> None:
    rules = [rule(stage, stage) for stage in range(1, 256)]
    others = [one | {"name": "\x1b[2J" * 10_000} for one in rules]
    texts = changes(directive(1, *rules), directive(1, *others))
    assert len(texts) == MAX_CHANGES + 1
    assert texts[-1] == f"and {255 - MAX_CHANGES} more changes"
    assert all(text.isprintable() and len(text) < 200 for text in texts)
