"""The conditions of a compiled rule one by one: which one refuses an event, and what it wanted."""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from engine.asset import AddressInfo
from engine.correlation.compiled_directive import (
    UNBOUND,
    BoundValues,
    CompiledDirective,
    make_binding_predicate,
)
from engine.directives.condition import StageReference, is_reference
from engine.directives.rule import (
    EVENT_FIELDS,
    CompiledRule,
    ReferenceBinding,
    compile_conditions,
)
from engine.event import NormalizedEvent
from engine.explain.verdict import Refusal

_NO_INFO = AddressInfo()
MAX_TEXT = 200
"""Longest text of a condition or value in an explanation, in characters."""
UNKNOWN = "the value of stage "
"""How `wants` of a reference begins that stands for no value."""
Passes = Callable[[NormalizedEvent, AddressInfo, AddressInfo, BoundValues], bool]


class Check(Struct, frozen=True):
    """A condition: its field and text, whether an event meets it, and the value it stands for."""

    field: str
    text: str
    passes: Passes
    got: Callable[[NormalizedEvent], Any]
    wants: Callable[[BoundValues], str]


class OwnResult(NamedTuple):
    """What an event makes of the conditions that do not depend on a backlog.

    `met`: number of them that it meets; `failed`: the first one that it does not.
    """

    met: int
    failed: Check | None


class RuleChecks:
    """The conditions of one rule in the order in which they are explained."""

    def __init__(self, rule: CompiledRule, compiled: CompiledDirective) -> None:
        self._own = [*_type_checks(rule), *_condition_checks(rule, compiled)]
        self._bound = [_binding_check(rule, binding, compiled) for binding in _compared(rule)]

    def own_result(self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo) -> OwnResult:
        """The conditions that do not depend on a backlog: one result for all backlogs."""
        failed = [check for check in self._own if not check.passes(event, src, dst, ())]
        return OwnResult(len(self._own) - len(failed), failed[0] if failed else None)

    def refusal(
        self, event: NormalizedEvent, own: OwnResult, bound: BoundValues | None = None
    ) -> Refusal | None:
        """The first condition that the event does not meet; None if it meets all.

        `bound`: the values of the backlog's references; None leaves references out, as for an event
        that is to open a backlog.
        """
        met, first = own
        conditions = len(self._own)
        if bound is not None:
            conditions += len(self._bound)
            for check in self._bound:
                if check.passes(event, _NO_INFO, _NO_INFO, bound):
                    met += 1
                elif first is None:
                    first = check
        if first is None:
            return None
        return Refusal(
            first.field,
            _cut(first.text),
            _cut(first.wants(bound or ())),
            _cut(str(first.got(event))),
            met=met,
            conditions=conditions,
        )

    def results(
        self,
        event: NormalizedEvent,
        src: AddressInfo,
        dst: AddressInfo,
        bound: BoundValues | None = None,
    ) -> Iterator[tuple[str, bool]]:
        """The field of each condition, and whether the event meets it; `bound` as in `refusal`."""
        for check in self._own if bound is None else (*self._own, *self._bound):
            yield check.field, check.passes(event, src, dst, bound or ())


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
    wanted = frozenset(values)
    return Check(
        field,
        text,
        lambda event, src, dst, bound: value_of(event) in wanted,
        value_of,
        lambda bound: text,
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
        wants = _never_known(text) if is_reference(text) else text
        yield Check(
            name.rstrip("_"),
            text,
            lambda event, src, dst, bound, predicate=predicate: predicate(event, src, dst),  # type: ignore[misc]
            attrgetter(EVENT_FIELDS[name]),
            lambda bound, wants=wants: wants,  # type: ignore[misc]
        )


def _never_known(reference: str) -> str:
    """A reference to its own or a later stage, which lenient reading permits."""
    return f"{UNKNOWN}{reference[1:]}, which is not an earlier one"


def _compared(rule: CompiledRule) -> list[ReferenceBinding]:
    return [binding for binding in rule.bindings if binding.compared]


def _binding_check(
    rule: CompiledRule, binding: ReferenceBinding, compiled: CompiledDirective
) -> Check:
    """The event's value must be that of the first event of an earlier stage, or another one."""
    reference = binding.reference
    slot = compiled.slots[reference.slot]
    is_met = make_binding_predicate(binding, slot)

    def passes(
        event: NormalizedEvent, _src: AddressInfo, _dst: AddressInfo, bound: BoundValues
    ) -> bool:
        return is_met(event, bound)

    def wants(bound: BoundValues) -> str:
        if slot >= len(bound) or bound[slot] is UNBOUND:
            return _unknown(reference)
        return f"!{bound[slot]}" if reference.negated else str(bound[slot])

    field = binding.field
    value_of = attrgetter(binding.event_field)
    return Check(field.rstrip("_"), getattr(rule.record, field), passes, value_of, wants)


def _unknown(reference: StageReference) -> str:
    return f"{UNKNOWN}{reference.stage}, which is not known"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
