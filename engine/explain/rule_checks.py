"""The conditions of a compiled rule one by one: which one refuses an event, and what it wanted."""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from msgspec import Struct

from engine.asset import AddressInfo
from engine.correlation.compiled_directive import UNBOUND, BoundValues, CompiledDirective
from engine.directives.condition import StageReference, fold_case
from engine.directives.rule import (
    EVENT_FIELDS,
    FOLDED_FIELDS,
    CompiledRule,
    ReferenceBinding,
    compile_conditions,
)
from engine.event import NormalizedEvent
from engine.explain.verdict import Refusal

MAX_TEXT = 200
"""Longest text of a condition or value in an explanation, in characters."""
Passes = Callable[[NormalizedEvent, AddressInfo, AddressInfo, BoundValues], bool]


class Check(Struct, frozen=True):
    """A condition: its field and text, whether an event meets it, and the value it stands for.

    `of_type`: it decides whether the event is of the kind that the rule is about at all.
    """

    field: str
    text: str
    passes: Passes
    got: Callable[[NormalizedEvent], Any]
    wants: Callable[[BoundValues], str]
    of_type: bool = False


class RuleChecks:
    """The conditions of one rule in the order in which they are explained."""

    def __init__(self, rule: CompiledRule, compiled: CompiledDirective) -> None:
        self.rule = rule
        self._own = [*_type_checks(rule), *_condition_checks(rule, compiled)]
        self._bound = [_binding_check(rule, binding, compiled) for binding in _compared(rule)]
        self.number = len(self._own) + len(self._bound)

    def is_meant(self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo) -> bool:
        """Whether the event is of the kind that the rule is about: its plugin or taxonomy."""
        return self.rule.predicates[0](event, src, dst)

    def refusal(
        self,
        event: NormalizedEvent,
        src: AddressInfo,
        dst: AddressInfo,
        bound: BoundValues | None = None,
    ) -> Refusal | None:
        """The first condition that the event does not meet; None if it meets all.

        `bound`: the values of the backlog's references; None leaves references out, as for an event
        that is to open a backlog.
        """
        checks, values = self._checks(bound), bound or ()
        failed = [check for check in checks if not check.passes(event, src, dst, values)]
        if not failed:
            return None
        first = failed[0]
        return Refusal(
            first.field,
            _cut(first.text),
            _cut(first.wants(values)),
            _cut(str(first.got(event))),
            met=len(checks) - len(failed),
            conditions=len(checks),
        )

    def results(
        self,
        event: NormalizedEvent,
        src: AddressInfo,
        dst: AddressInfo,
        bound: BoundValues | None = None,
    ) -> Iterator[tuple[str, bool]]:
        """The field of each condition, and whether the event meets it; `bound` as in `refusal`."""
        for check in self._checks(bound):
            yield check.field, check.passes(event, src, dst, bound or ())

    def _checks(self, bound: BoundValues | None) -> list[Check]:
        return self._own if bound is None else self._own + self._bound


def _type_checks(rule: CompiledRule) -> Iterator[Check]:
    record = rule.record
    if record.type == "PluginRule":
        yield _value_check("plugin_id", (record.plugin_id,))
        yield _value_check("plugin_sid", record.plugin_sid)
        return
    yield _value_check("category", (record.category,))
    yield _value_check("product", record.product)
    if record.subcategory and "ANY" not in record.subcategory:
        yield _value_check("subcategory", record.subcategory)


def _value_check(field: str, values: tuple[Any, ...]) -> Check:
    """The event's value must be one of these."""
    value_of = attrgetter(field)
    text = ", ".join(map(str, values[:MAX_TEXT]))
    return Check(
        field,
        text,
        lambda event, src, dst, bound: value_of(event) in values,
        value_of,
        lambda bound: text,
        of_type=True,
    )


def _condition_checks(rule: CompiledRule, compiled: CompiledDirective) -> Iterator[Check]:
    """The conditions that do not depend on a backlog, in the order of the rule's predicates."""
    conditions = compile_conditions(rule.record)
    names = [
        name
        for name, condition in conditions.items()
        if callable(condition) and (compiled.options.match_protocol or name != "protocol")
    ]
    for name, predicate in zip(names, rule.predicates[1:], strict=True):
        text = getattr(rule.record, name)
        yield Check(
            name.rstrip("_"),
            text,
            lambda event, src, dst, bound, predicate=predicate: predicate(event, src, dst),  # type: ignore[misc]
            attrgetter(EVENT_FIELDS[name]),
            lambda bound, text=text: text,  # type: ignore[misc]
        )


def _compared(rule: CompiledRule) -> list[ReferenceBinding]:
    return [binding for binding in rule.bindings if binding.compared]


def _binding_check(
    rule: CompiledRule, binding: ReferenceBinding, compiled: CompiledDirective
) -> Check:
    """The event's value must be that of the first event of an earlier stage."""
    slot, field = compiled.slots[binding.reference], binding.reference.field
    value_of = attrgetter(field)
    fold = fold_case if field in FOLDED_FIELDS else _same

    def passes(
        event: NormalizedEvent, _src: AddressInfo, _dst: AddressInfo, bound: BoundValues
    ) -> bool:
        wanted: Any = bound[slot] if slot < len(bound) else UNBOUND
        return wanted is not UNBOUND and bool(fold(wanted) == fold(value_of(event)))

    def wants(bound: BoundValues) -> str:
        if slot >= len(bound) or bound[slot] is UNBOUND:
            return _unknown(binding.reference)
        return str(bound[slot])

    return Check(
        binding.field.rstrip("_"), getattr(rule.record, binding.field), passes, value_of, wants
    )


def _unknown(reference: StageReference) -> str:
    return f"the value of stage {reference.stage}, which is not known"


def _same(value: Any) -> Any:
    return value


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
