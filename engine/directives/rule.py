"""Compiled rules: whether an event matches a rule by itself.

References to earlier events depend on a backlog and are not tested here: they are bindings, which
stages.py compares for all backlogs at once.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

from msgspec import Struct

from engine.alarm import RuleRecord
from engine.asset import AddressInfo
from engine.directives.condition import (
    Condition,
    EventPredicate,
    StageReference,
    compile_address,
    compile_port,
    compile_text,
)
from engine.event import NormalizedEvent

FOLDED_FIELDS = frozenset({"protocol", "custom_data1", "custom_data2", "custom_data3"})
"""Event fields that are texts: compared without regard to case and outer blanks, also where a
reference compares them with an address or a port."""
OPEN_ADDRESSES = ("ANY", "HOME_NET", "!HOME_NET")
"""Addresses of stage 1 that all_rules_always_active replaces by those of the opening event."""
STICKY_FIELDS = (
    "PLUGIN_SID",
    "SRC_IP",
    "DST_IP",
    "SRC_PORT",
    "DST_PORT",
    "CUSTOM_DATA1",
    "CUSTOM_DATA2",
    "CUSTOM_DATA3",
)
_CONDITIONS: tuple[tuple[str, str, Callable[[str, str], Condition]], ...] = (
    ("from_", "src_ip", compile_address),
    ("to", "dst_ip", compile_address),
    ("port_from", "src_port", compile_port),
    ("port_to", "dst_port", compile_port),
    ("protocol", "protocol", lambda text, field: compile_text(text, field, True)),
    ("custom_data1", "custom_data1", compile_text),
    ("custom_data2", "custom_data2", compile_text),
    ("custom_data3", "custom_data3", compile_text),
)


_KNOWN_RULES = 1024
"""Size of the cache of references by rule; the rules of one directive are requested in a row."""


class ReferenceBinding(Struct, frozen=True):
    """The condition in `field` of a rule stands for the value of `reference`.

    `compared`: an event must have that value to match, or another one if the reference is negated;
    otherwise it is only printed.
    """

    field: str
    reference: StageReference
    compared: bool

    @property
    def event_field(self) -> str:
        """The event field that is compared with the value."""
        return EVENT_FIELDS[self.field]

    @property
    def folds(self) -> bool:
        """Whether the values are compared as texts, without regard to case and outer blanks."""
        return self.event_field in FOLDED_FIELDS or self.reference.field in FOLDED_FIELDS


class CompiledRule:
    """A rule with its conditions compiled to predicates."""

    __slots__ = ("bindings", "matches", "matches_bound", "predicates", "record", "sticky_values")

    def __init__(
        self, record: RuleRecord, *, match_protocol: bool, narrowed: bool, wildcards: bool = False
    ) -> None:
        """`narrowed`: it is the first rule of a directive with all_rules_always_active."""
        conditions = compile_conditions(record, wildcards=wildcards)
        self.record = record
        references = _references(record, conditions, narrowed)
        self.predicates = (_type_predicate(record), *_predicates(conditions, match_protocol))
        self.matches: EventPredicate = _all_of(self.predicates)
        """Whether an event matches, bindings aside; the assets describe its addresses."""
        self.matches_bound = self.matches
        """The same where the bindings are compared, too: narrowed addresses are only these then."""
        if not conditions.keys().isdisjoint(references):
            others = {name: one for name, one in conditions.items() if name not in references}
            self.matches_bound = _all_of((self.predicates[0], *_predicates(others, match_protocol)))
        self.bindings = tuple(
            ReferenceBinding(field, reference, compared=match_protocol or field != "protocol")
            for field, reference in references.items()
        )
        self.sticky_values = _sticky_values(record.sticky_different)
        """The values of an event that must be new at the stage; None if nothing has to be."""


def _all_of(predicates: tuple[EventPredicate, ...]) -> EventPredicate:
    """Whether all of the predicates hold."""
    if len(predicates) == 1:  # the usual case
        return predicates[0]

    def matches(event: NormalizedEvent, src: AddressInfo, dst: AddressInfo) -> bool:
        for predicate in predicates:  # noqa: SIM110 - twice as fast as all()
            if not predicate(event, src, dst):
                return False
        return True

    return matches


def compile_conditions(record: RuleRecord, *, wildcards: bool = False) -> dict[str, Condition]:
    """The conditions other than ANY by record field; ConditionError for the first invalid one."""
    compiled = {
        name: compile_condition(name, getattr(record, name), wildcards=wildcards)
        for name in CONDITION_FIELDS
    }
    return {
        name: _matches_nothing if _is_unresolvable(condition, record.stage) else condition
        for name, condition in compiled.items()
        if condition is not None
    }


def _is_unresolvable(condition: Condition, stage: int) -> bool:
    """Whether it is a reference to its own or a later stage; only lenient reading permits it."""
    return isinstance(condition, StageReference) and condition.stage >= stage


def _matches_nothing(*_: object) -> bool:
    return False


def compile_condition(name: str, text: str, *, wildcards: bool = False) -> Condition:
    """Compile the condition of one record field; ConditionError if it is invalid."""
    field, compiler = _COMPILERS[name]
    if wildcards and field in FOLDED_FIELDS:
        return compile_text(text, field, field == "protocol", wildcards)
    return compiler(text, field)


_COMPILERS = {name: (field, compiler) for name, field, compiler in _CONDITIONS}
CONDITION_FIELDS = tuple(_COMPILERS)
"""The record fields that hold conditions."""
EVENT_FIELDS: Mapping[str, str] = {name: field for name, field, _ in _CONDITIONS}
"""The event field that each of them is about."""


def _predicates(conditions: dict[str, Condition], match_protocol: bool) -> Iterator[EventPredicate]:
    for name, condition in conditions.items():
        if callable(condition) and (match_protocol or name != "protocol"):
            yield condition


@lru_cache(maxsize=_KNOWN_RULES)
def references_of(record: RuleRecord, *, narrowed: bool) -> Mapping[str, StageReference]:
    """The references of a rule by record field."""
    return _references(record, compile_conditions(record), narrowed)


def _references(
    record: RuleRecord, conditions: dict[str, Condition], narrowed: bool
) -> dict[str, StageReference]:
    """The references in the conditions; narrowed addresses refer to the rule's own first event."""
    found = {name: one for name, one in conditions.items() if isinstance(one, StageReference)}
    for name, text, field in (("from_", record.from_, "src_ip"), ("to", record.to, "dst_ip")):
        if narrowed and text.strip() in OPEN_ADDRESSES:
            found[name] = StageReference(1, field)
    return found


def _type_predicate(record: RuleRecord) -> EventPredicate:
    if record.type == "PluginRule":
        plugin_id, sids = record.plugin_id, _as_container(record.plugin_sid)
        return lambda event, src, dst: event.plugin_id == plugin_id and event.plugin_sid in sids
    return _taxonomy_predicate(record)


def _taxonomy_predicate(record: RuleRecord) -> EventPredicate:
    category, products = record.category, _as_container(record.product)
    subcategories = _as_container(record.subcategory)
    if not subcategories or "ANY" in subcategories:
        return lambda event, src, dst: event.category == category and event.product in products
    return lambda event, src, dst: (
        event.category == category
        and event.product in products
        and event.subcategory in subcategories
    )


def _as_container(values: tuple[Any, ...]) -> tuple[Any, ...] | frozenset[Any]:
    """A frozenset if there are many values: a short tuple is as fast, and smaller."""
    return frozenset(values) if len(values) > 4 else values


def _sticky_values(names: str) -> Callable[[NormalizedEvent], tuple[int | str, ...]] | None:
    """Of several names, each value is a text that begins with its name: all are in one set."""
    if not names:
        return None
    if "," not in names:
        value_of = attrgetter(names.lower())
        return lambda event: (value_of(event),)
    values_of = {name: attrgetter(name.lower()) for name in names.split(",")}
    return lambda event: tuple(f"{name}={get(event)}" for name, get in values_of.items())
