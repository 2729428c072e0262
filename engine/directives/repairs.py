"""Repairs of directives that Dsiem (Go) runs in spite of their faults, with a warning each."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.directives.condition import is_reference
from engine.directives.json_document import FieldTable, describe_value
from engine.directives.rule import OPEN_ADDRESSES
from engine.errors import Finding

Item = dict[str, Any]
Repairs = Mapping[str, Callable[[Any], Any]]
"""By field: the value to use for a missing (None) or an out-of-range one; None if there is none."""

NO_REPAIRS: Repairs = {}
DIRECTIVE_REPAIRS: Repairs = {"priority": lambda value: 1}
RULE_REPAIRS: Repairs = {
    "name": lambda value: "",
    "occurrence": lambda value: 1 if value is None or value < 1 else None,
    "reliability": lambda value: min(max(value or 0, 0), 10),
    "timeout": lambda value: 0 if value < 0 else None,
}
_OPEN_TEXTS = ("", *OPEN_ADDRESSES)


def fold_names(item: Item, fields: FieldTable) -> tuple[Item, list[Finding]]:
    """The object with names in other capitals as those of the table, and a warning for each."""
    if all(name in fields.known for name in item):
        return item, []
    by_folded = {name.lower(): name for name in fields.known if name not in item}
    findings: list[Finding] = []
    folded: Item = {}
    for name, value in item.items():
        known = name if name in fields.known else by_folded.get(name.lower(), name)
        folded[known] = value
        if known != name:
            message = f"is not a known field; taken as {known}"
            findings.append(Finding("unknown-field", message, (name,), field=name, warning=True))
    return folded, findings


def read_fields(item: Item, fields: FieldTable, repairs: Repairs) -> tuple[Item, list[Finding]]:
    """The values of an object, repaired, and every finding."""
    values, findings = fields.read(item)
    if repairs:
        findings = [_repair(item, values, finding, repairs) for finding in findings]
    return values, findings


def _repair(item: Item, values: Item, finding: Finding, repairs: Repairs) -> Finding:
    """Repair a value as Dsiem (Go) does: sets it in `values`, and returns a warning."""
    field = finding.field
    if finding.code not in ("missing", "out-of-range") or field not in repairs:
        return finding
    value = repairs[field](item.get(field))
    if value is None:
        return finding
    values[field] = value
    return finding.as_warning(f"taken as {value}" if value != "" else "taken as empty")


def repair_references(rules: list[tuple[Item, list[Finding]]]) -> None:
    """Repair references of rules to their own or a later stage, in their values and findings.

    Dsiem (Go) copies the text of that stage as it stands, and a copied reference matches nothing.
    Where the text is open, it takes the value of the event that opened the backlog. Stage 1 may
    have no reference there either. It compares no protocols: such a reference in one is ANY.
    """
    before = {values.get("stage"): values.copy() for values, _ in rules}
    for values, findings in rules:
        for position, finding in enumerate(findings):
            if finding.code == "bad-reference" and finding.field == "protocol":
                values["protocol"] = "ANY"
                findings[position] = finding.as_warning("taken as ANY, as in Dsiem (Go)")
            elif finding.code == "bad-reference" and values["stage"] > 1:
                field = finding.field
                number = values[field].removeprefix(":")  # "!:3" and ":3.to" are not of Dsiem
                stage = int(number) if number.isdecimal() else 0
                referenced = before.get(stage, {}).get(field)
                if referenced is not None:
                    findings[position] = _repair_reference(values, finding, referenced)


def _repair_reference(values: Item, finding: Finding, referenced: str) -> Finding:
    if is_reference(referenced):
        return finding.as_warning("matches nothing, as in Dsiem (Go)")
    if referenced.strip() in _OPEN_TEXTS:
        values[finding.field] = ":1"
        return finding.as_warning("taken as :1, the value of the opening event")
    values[finding.field] = referenced
    return finding.as_warning(f"taken as its condition, {describe_value(referenced)}")
