"""Checks absent stages, and stages in any order, which depend on more than one rule.

A file of its own: rule_schema.py checks each rule by itself, before the whole directive is read.
"""

from collections.abc import Callable, Iterator
from typing import Any

from engine.directives.condition import StageReference
from engine.directives.rule import CONDITION_FIELDS, compile_condition
from engine.errors import Finding

Item = dict[str, Any]


def check_stages_together(directive: Item, rules: list[Item]) -> list[Finding]:
    """The faults of a directive with absent stages, or with stages in any order.

    `directive` and `rules`: their valid values; the faults of each rule by itself are known.
    """
    absent = {rule.get("stage") for rule in rules if rule.get("absent")}
    findings: list[Finding] = []
    if directive.get("any_order"):
        findings += _check_any_order(directive, len(rules))
        findings += _check_references(rules, lambda stage: stage != 1, _ONLY_STAGE_1)
    if absent:
        findings += _check_references(rules, absent.__contains__, _NO_ABSENT)
        if directive.get("all_rules_always_active"):
            findings += map(_active_and_absent, _positions_of_absent(rules))
    return findings


_ONLY_STAGE_1 = "must be :1, since any_order is true: others may have no event yet"
_NO_ABSENT = "must be one that is not absent: an absent stage is finished without events"


def _check_any_order(directive: Item, rules: int) -> Iterator[Finding]:
    if directive.get("all_rules_always_active"):
        message = "is true, must be false with all_rules_always_active"
        yield Finding("bad-combination", message, ("any_order",), field="any_order")
    if rules == 1:
        message = "is true, must be false for one rule"
        yield Finding("bad-combination", message, ("any_order",), field="any_order")


def _positions_of_absent(rules: list[Item]) -> Iterator[int]:
    return (position for position, rule in enumerate(rules) if rule.get("absent"))


def _active_and_absent(position: int) -> Finding:
    message = "is true, must be false with all_rules_always_active"
    return Finding("bad-combination", message, ("rules", position, "absent"), field="absent")


def _check_references(
    rules: list[Item], is_wrong: Callable[[int], bool], right: str
) -> Iterator[Finding]:
    """A fault for each reference to an earlier stage that is wrong."""
    for position, rule in enumerate(rules):
        for name in CONDITION_FIELDS:
            field = name.rstrip("_")
            reference = _reference(name, rule.get(field))
            stage = rule.get("stage") or 0
            if reference is not None and reference < stage and is_wrong(reference):
                message = f"is a reference to stage {reference} in stage {stage}, {right}"
                path = ("rules", position, field)
                yield Finding("bad-reference", message, path, stage=stage, field=field)


def _reference(name: str, text: str | None) -> int | None:
    """The stage that a valid condition refers to, if it is a reference."""
    condition = compile_condition(name, text) if text else None
    return condition.stage if isinstance(condition, StageReference) else None
