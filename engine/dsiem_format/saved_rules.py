"""Restores the rules of a saved alarm, in which values stand in place of the bound references."""

import re
from collections.abc import Iterator, Mapping, Sequence

from engine.address import canonical_ip
from engine.alarm import RuleRecord
from engine.correlation.snapshot import BoundValue, UnusableBacklogError, describe_invalid_rules
from engine.directives.condition import StageReference, is_reference
from engine.directives.directive import Directive
from engine.directives.rule import CONDITION_FIELDS, EVENT_FIELDS, references_of
from engine.directives.rule_schema import check_rules

_PORT = re.compile("[0-9]{1,5}")
_OPEN = ("", "ANY")
Rules = Sequence[RuleRecord]
"""Rules in the order of their stages."""


def restore_rules(printed: Rules, directive: Directive) -> tuple[RuleRecord, ...]:
    """The rules with the directive's references in place of their values.

    They differ from the directive's rules if it was edited since. UnusableBacklogError if they are
    invalid.
    """
    own = directive.rules
    rules = tuple(
        _restore_references(printed, rule, own[index], directive)
        if index < len(own)
        else _plain_rule(rule)
        for index, rule in enumerate(printed)
    )
    if rules == own:
        return own
    rules, findings = check_rules(rules)
    if findings:
        raise UnusableBacklogError(describe_invalid_rules(findings[0]))
    return rules


def bound_values(
    printed: Rules, rules: Rules, only: Mapping[str, str | None], directive: Directive
) -> Iterator[tuple[int, str, BoundValue]]:
    """(stage, event field, value) of every reference, whether its stage has begun or not.

    `only`: by event field, the value to use where the alarm prints none.
    """
    found: dict[tuple[int, str], BoundValue | None] = {}
    for rule, shown in zip(rules, printed, strict=True):
        for field, reference in _references(rule, directive).items():
            slot = reference.stage, reference.field
            if found.get(slot) is None:
                found[slot] = _value(printed, shown, field, reference)
    for (stage, field), value in sorted(found.items()):
        known = only.get(field) if value is None else value
        if known is not None:
            yield stage, field, known


def _references(rule: RuleRecord, directive: Directive) -> Mapping[str, StageReference]:
    """The references that dsiem-backend has too: to the same field, and not negated."""
    found = references_of(rule, narrowed=directive.always_active and rule.stage == 1)
    return {
        field: reference
        for field, reference in found.items()
        if reference.field == EVENT_FIELDS[field] and not reference.negated
    }


def _plain_rule(rule: RuleRecord, **texts: str) -> RuleRecord:
    """The rule without times and status, and with these condition texts."""
    fields = {name: getattr(rule, name) for name in RuleRecord.__struct_fields__}
    fields |= {"start_time": 0, "end_time": 0, "status": ""}
    return RuleRecord(**fields | texts)


def _restore_references(
    printed: Rules, rule: RuleRecord, own: RuleRecord, directive: Directive
) -> RuleRecord:
    """The rule with the directive's condition texts, where it prints a value or nothing else."""
    meant = _references(own, directive)
    texts = {field: (getattr(rule, field), getattr(own, field)) for field in CONDITION_FIELDS}
    same = {
        field: ours
        for field, (text, ours) in texts.items()
        if (text in _OPEN and ours in _OPEN)
        or (field in meant and _value(printed, rule, field, meant[field]) is not None)
    }
    return _plain_rule(rule, **same)


def _value(
    printed: Rules, rule: RuleRecord, field: str, reference: StageReference
) -> BoundValue | None:
    """The value that a rule prints in place of a reference; None if it prints a condition."""
    text: str = getattr(rule, field)
    if text == "ANY" or is_reference(text):
        return None
    if field in ("from_", "to"):
        return _address(text)
    if field in ("port_from", "port_to"):
        return _port(text)
    return None if _is_copied(text, getattr(printed[reference.stage - 1], field)) else text


def _address(text: str) -> str | None:
    try:
        return canonical_ip(text)
    except ValueError:
        return None


def _port(text: str) -> int | None:
    return int(text) if _PORT.fullmatch(text) and int(text) <= 65535 else None


def _is_copied(text: str, condition: str) -> bool:
    """Whether a text is the condition of the referenced rule, a list or a negation.

    dsiem-backend prints that condition instead of the event's value.
    """
    return text == condition and ("," in text or text.lstrip().startswith("!"))
