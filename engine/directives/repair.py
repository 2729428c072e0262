"""Repairs of directives that Dsiem (Go) makes: detections must not vanish when one switches."""

from collections.abc import Callable
from typing import Any

from engine.directives.condition import is_reference
from engine.directives.json_document import describe_value
from engine.directives.rule import OPEN_ADDRESSES
from engine.errors import Finding

Item = dict[str, Any]

_REPAIRS: dict[str, Callable[[int], int]] = {
    "priority": lambda value: 1,
    "reliability": lambda value: min(max(value, 0), 10),
    "occurrence": lambda value: 1,
    "timeout": lambda value: 0,
}
"""The values that Dsiem (Go) uses for numbers out of range."""
_ABSENT: Item = {"priority": 1, "reliability": 0, "occurrence": 1, "name": ""}
"""The values that it uses for absent fields; only rules may be without a name."""


def repair(item: Item, values: Item, finding: Finding, *, named: bool) -> Finding:
    """Repair a value as Dsiem (Go) does: sets it in `values`, and returns a warning.

    `named`: an absent name is not repaired. A finding that it does not repair is returned as it is.
    """
    name = finding.field
    repaired = _REPAIRS.get(name)
    if finding.code == "out-of-range" and repaired is not None:
        values[name] = repaired(item[name])
    elif finding.code == "missing" and name in _ABSENT and not (named and name == "name"):
        values[name] = _ABSENT[name]
    else:
        return finding
    return finding.as_warning(f"taken as {describe_value(values[name])}")


def resolve_references(
    values: Item, findings: list[Finding], rules: list[tuple[Item, list[Finding]]]
) -> tuple[Item, list[Finding]]:
    """Replace references to the own or a later stage as Dsiem (Go) does.

    It copies the condition of that stage, unless it is open; then it takes the value of the opening
    event. In stage 1 it replaces none.
    """
    if all(finding.code != "bad-reference" for finding in findings):
        return values, findings
    by_stage = {values.get("stage"): values for values, _ in rules}
    resolved = []
    for finding in findings:
        name = finding.field
        target = by_stage.get(int(values[name][1:])) if finding.code == "bad-reference" else None
        if target is None or values.get("stage") == 1:
            resolved.append(finding)
            continue
        text = target.get(name) or "ANY"
        is_open = text.strip() in OPEN_ADDRESSES or is_reference(text)
        values = values | {name: ":1" if is_open else text}
        resolved.append(finding.as_warning(f"taken as {describe_value(values[name])}"))
    return values, resolved
