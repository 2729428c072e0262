"""Checks the rules of a directive's document, and makes rule records of them."""

import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.alarm import RuleRecord
from engine.directives.condition import REFERENCE_FIELDS, ConditionError, StageReference
from engine.directives.json_document import FieldTable, describe_value
from engine.directives.repairs import (
    NO_REPAIRS,
    RULE_REPAIRS,
    fold_names,
    read_fields,
    repair_references,
)
from engine.directives.rule import CONDITION_FIELDS, compile_condition
from engine.directives.rule_fields import FIELDS_BY_TYPE, RULE_FIELDS
from engine.directives.rule_warnings import rule_warnings
from engine.errors import Finding

Item = dict[str, Any]

_NO_FIELDS = FieldTable(partial=True)
_KNOWN_CONDITIONS = 8192
"""Size of the cache of findings by conditions; thousands of directives share a few."""
_FIELDS = tuple(name.rstrip("_") for name in CONDITION_FIELDS)
"""The names of the conditions in the document."""
_ALMOST_REFERENCE = re.compile(r"\s*(?:!\s*)?:\s*[0-9]+\s*(?:\.\s*\w+\s*)?")
_SHARED_TEXTS = ("type", "from_", "to", "port_from", "port_to", "protocol")
"""Fields whose texts many rules share."""


def check_rules(rules: Iterable[RuleRecord]) -> tuple[tuple[RuleRecord, ...], list[Finding]]:
    """Check rule records that do not come from a document; the records, or every fault."""
    values, findings = read_rules(items_of(rules), lenient=False)
    findings = [finding for finding in findings if not finding.warning]
    return (() if findings else records_of(values)), findings


def items_of(rules: Iterable[RuleRecord]) -> list[Item]:
    """The rules as the objects of a document."""
    return list(map(_item, rules))


def _item(rule: RuleRecord) -> Item:
    item: Item = {
        name: list(value) if type(value) is tuple else value
        for name, value in msgspec.to_builtins(rule).items()
    }
    if "," in rule.sticky_different:
        item["sticky_different"] = rule.sticky_different.split(",")
    return item


def records_of(values: Iterable[Item]) -> tuple[RuleRecord, ...]:
    """The records of valid rules, in the order of their stages."""
    return tuple(sorted(map(_record, values), key=lambda rule: rule.stage))


def read_rules(rules: Any, lenient: bool) -> tuple[list[Item], list[Finding]]:
    """The checked values of each rule, and every finding within and between rules."""
    if not isinstance(rules, list):
        return [], [_no_rules(rules)]
    read = [_read_rule(rule, lenient) for rule in rules]
    if lenient:
        repair_references(read)
    findings = [
        replace(finding.with_prefix("rules", position), stage=values.get("stage"))
        for position, (values, found) in enumerate(read)
        for finding in found
    ]
    if not rules:
        message = "has none, must have one rule or more"
        findings.append(Finding("too-few-rules", message, ("rules",), field="rules"))
    return [values for values, _ in read], findings + _check_stages([v for v, _ in read])


def _no_rules(rules: Any) -> Finding:
    if rules is None:
        return Finding("missing", "is missing, must be a list of rules", field="rules")
    message = f"is {describe_value(rules)}, must be a list of rules"
    return Finding("wrong-type", message, ("rules",), field="rules")


def _check_stages(rules: list[Item]) -> list[Finding]:
    """Stages must be 1 to n, each once; not checked if a stage is invalid by itself."""
    stages: list[Any] = [values.get("stage") for values in rules]
    if None in stages:
        return []
    findings: list[Finding] = []
    seen: set[int] = set()
    for position, stage in enumerate(stages):
        if stage in seen:
            message = f"is {stage} a second time, must be there once"
        elif stage > len(stages):
            message = f"is {stage}, must be from 1 to {len(stages)}: there are {len(stages)} rules"
        else:
            seen.add(stage)
            continue
        path = ("rules", position, "stage")
        findings.append(Finding("bad-stage", message, path, stage=stage, field="stage"))
    return findings


def _read_rule(rule: Any, lenient: bool) -> tuple[Item, list[Finding]]:
    """The checked values of one rule, and every finding in it."""
    if not isinstance(rule, dict):
        return {}, [
            Finding("wrong-type", f"is {describe_value(rule)}, must be an object", field="rules")
        ]
    rule, folded = fold_names(rule, RULE_FIELDS) if lenient else (rule, [])
    values, findings = read_fields(rule, RULE_FIELDS, RULE_REPAIRS if lenient else NO_REPAIRS)
    findings = _check_fields_of_type(rule, values, findings)
    if type(values.get("sticky_different")) is tuple:
        values["sticky_different"] = ",".join(values["sticky_different"])  # as in alarms
    findings = _check_first_occurrence(rule, values, findings, lenient)
    if values.get("absent"):
        findings += _check_absent(values)
    found, faulty = _check_conditions(tuple(map(values.get, _FIELDS)), values.get("stage"))
    findings += found
    for field in faulty:
        del values[field]
    if warnings := rule_warnings(values):
        known = {finding.field for finding in findings}
        findings += [found for found in warnings if found.field not in known]
    return values, folded + findings


def _check_fields_of_type(rule: Item, values: Item, findings: list[Finding]) -> list[Finding]:
    """The findings; those of fields that the rule's type requires replace the general ones."""
    table = FIELDS_BY_TYPE.get(values.get("type", ""), _NO_FIELDS)
    if table.accepts(rule):
        return findings
    _, required = table.read(rule)
    fields = {finding.field for finding in required}
    return [finding for finding in findings if finding.field not in fields] + required


def _check_first_occurrence(
    rule: Item, values: Item, findings: list[Finding], lenient: bool
) -> list[Finding]:
    occurrence = rule.get("occurrence")
    if values.get("stage") != 1 or type(occurrence) is not int or occurrence == 1:
        return findings
    message = f"is {occurrence}, must be 1 for stage 1: its event opens the backlog"
    found = Finding("out-of-range", message, ("occurrence",), field="occurrence")
    if lenient:
        values["occurrence"] = 1
        found = found.as_warning("taken as 1")
    return [finding for finding in findings if finding.field != "occurrence"] + [found]


def _check_absent(values: Item) -> Iterator[Finding]:
    if values.get("stage") == 1:
        message = "is true, must be false for stage 1: its event opens the backlog"
        yield Finding("bad-combination", message, ("absent",), field="absent")
    if values.get("timeout") == 0:
        message = "is 0, must be 1 or more where absent is true: when it is over, the stage is"
        yield Finding("out-of-range", f"{message} finished", ("timeout",), field="timeout")


@lru_cache(maxsize=_KNOWN_CONDITIONS)
def _check_conditions(
    texts: tuple[str | None, ...], stage: int | None
) -> tuple[list[Finding], list[str]]:
    """The findings about the conditions of a rule, and the fields that cannot be compiled.

    The lists are not to be changed.
    """
    findings: list[Finding] = []
    for name, field, text in zip(CONDITION_FIELDS, _FIELDS, texts, strict=True):
        if text and text != "ANY":
            findings += _check_condition(name, field, text, stage)
    return findings, [found.field for found in findings if found.code == "bad-condition"]


def _check_condition(name: str, field: str, text: str, stage: int | None) -> Iterator[Finding]:
    try:
        condition = compile_condition(name, text)
    except ConditionError as error:
        yield Finding("bad-condition", str(error), (field,), field=field)
        return
    if isinstance(condition, StageReference):
        yield from _check_reference(condition, stage, field)
    elif _ALMOST_REFERENCE.fullmatch(text):
        fields = f", behind it perhaps .{', .'.join(REFERENCE_FIELDS)}" if "." in text else ""
        message = (
            f"is {describe_value(text)}, compared as a text: a reference is :1 to :99{fields}, "
            "no blanks"
        )
        yield Finding("not-a-reference", message, (field,), field=field, warning=True)


def _check_reference(reference: StageReference, stage: int | None, field: str) -> Iterator[Finding]:
    if stage is None or reference.stage < stage:
        return
    if stage == 1:
        right = "stage 1 has no earlier stage to refer to"
    else:
        right = "must be :1" if stage == 2 else f"must be an earlier one, :1 to :{stage - 1}"
    message = f"is a reference to stage {reference.stage} in stage {stage}, {right}"
    yield Finding("bad-reference", message, (field,), field=field)


def _record(values: Item) -> RuleRecord:
    """The record of a rule; texts that many rules share are stored once."""
    fields = {**values, "from_": values["from"]}
    del fields["from"]
    for name in ("port_from", "port_to", "protocol"):
        fields[name] = fields[name] or "ANY"
    for name in _SHARED_TEXTS:
        fields[name] = sys.intern(fields[name])
    return RuleRecord(**fields)
