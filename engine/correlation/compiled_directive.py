"""A directive compiled: everything that its backlogs share, computed once.

A *slot* is a value that rules refer to: a field of the first event of a stage. Backlogs keep the
values of slots in a tuple in stage order, so that the tuple only grows at its end.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

from xxhash import xxh64_intdigest

from engine.alarm import directive_salt
from engine.asset import AddressInfo, NetworkAssets
from engine.directives.condition import Slot, fold_case
from engine.directives.directive import Directive
from engine.directives.rule import CompiledRule, ReferenceBinding
from engine.event import NormalizedEvent
from engine.options import Options

_TITLE_TOKEN = re.compile("SRC_IP|DST_IP")
BoundValues = tuple[Any, ...]
"""The values of slots: int, str or UNBOUND."""
ReferencePlaces = tuple[tuple[str, int, Callable[[Any], str]], ...]
"""Fields of a rule record that print a bound value, the position of its slot, and its text."""


class _Unbound:
    """The value of a slot that is not known any more; unequal to every value of an event."""

    def __repr__(self) -> str:
        return "UNBOUND"


UNBOUND = _Unbound()


class CompiledDirective:
    """A directive with its rules compiled, for given assets and options."""

    __slots__ = (
        "assets",
        "capped",
        "directive",
        "first_event_values",
        "former",
        "options",
        "printed_rules",
        "rules",
        "salt",
        "slots",
        "suppress",
        "title_template",
    )

    def __init__(
        self,
        directive: Directive,
        assets: NetworkAssets,
        options: Options,
        capped: Counter[str] | None = None,
        *,
        former: bool = False,
    ) -> None:
        """`capped`: counts of all directives of what backlogs do not keep since a set is full.

        `former`: open backlogs are under this definition, but the configuration has another one.
        """
        self.capped = Counter() if capped is None else capped
        self.directive = directive
        self.former = former
        self.assets = assets
        self.options = options
        self.salt = directive_salt(options.node, directive.id)
        """With it, the identity of an event is a key that no other directive has for the event."""
        self.rules = tuple(
            CompiledRule(
                record,
                match_protocol=options.match_protocol,
                narrowed=directive.always_active and record.stage == 1,
                wildcards=directive.wildcards,
            )
            for record in directive.rules
        )
        self.suppress = directive.suppress
        """The cool-down after an alarm, if it has one."""
        self.slots = _slots(self.rules, self.suppress.by if self.suppress else ())
        self.printed_rules = tuple((rule.record, _places(rule, self.slots)) for rule in self.rules)
        """The rule records as alarms print them, with the places of bound values."""
        self.title_template = _title_template(directive.name)
        self.first_event_values = tuple(
            _values(tuple(slot.field for slot in self.slots if slot.stage == rule.record.stage))
            for rule in self.rules
        )
        """By stage - 1: a function from the stage's first event to the values of its slots."""

    def cool_down_key(self, event: NormalizedEvent) -> int:
        """The key of the cool-down that holds for an event that would open a backlog."""
        assert self.suppress is not None
        return self._cool_down_key([getattr(event, field) for field in self.suppress.by])

    def finished_key(self, bound: BoundValues) -> int:
        """The key of the cool-down that a finished backlog with these bound values begins."""
        assert self.suppress is not None
        places = [self.slots[Slot(1, field)] for field in self.suppress.by]
        return self._cool_down_key([bound[place] for place in places])

    def _cool_down_key(self, values: list[Any]) -> int:
        """63 bits, as many as SQLite has for a number; equal for texts that references equal."""
        assert self.suppress is not None
        content = self.directive.id, self.suppress.by, list(map(folded, values))
        return xxh64_intdigest(repr(content).encode()) >> 1

    def title(self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo) -> str:
        """The directive's name with SRC_IP and DST_IP replaced by asset names, else addresses."""
        shown = {"SRC_IP": src.name or event.src_ip, "DST_IP": dst.name or event.dst_ip}
        return self.title_template % shown


def _title_template(name: str) -> str:
    """A `%` template of the name with SRC_IP and DST_IP as keys; "" if it has neither."""
    form, tokens = _TITLE_TOKEN.subn(r"%(\g<0>)s", name.replace("%", "%%"))
    return form if tokens else ""


def can_be_title(text: str, name: str) -> bool:
    """Whether a backlog of a directive with this name can have this title."""
    return text == name or _title_pattern(name).fullmatch(text) is not None


@lru_cache
def _title_pattern(name: str) -> re.Pattern[str]:
    """Matches any text for each token; only the last one backtracks, since texts may be hostile."""
    first, *others = map(re.escape, _TITLE_TOKEN.split(name))
    between = "".join(f"(?>.+?{text})" for text in others[:-1])
    return re.compile(first + between + "".join(f".+{text}" for text in others[-1:]), re.DOTALL)


@lru_cache
def _values(fields: tuple[str, ...]) -> Callable[[NormalizedEvent], BoundValues]:
    """A function from an event to the tuple of these fields."""
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda event: tuple(getattr(event, field) for field in fields)


def _slots(rules: tuple[CompiledRule, ...], of_opening: tuple[str, ...]) -> dict[Slot, int]:
    """The slots with their positions in the tuple of bound values.

    `of_opening`: fields of the opening event that the directive needs besides its references.
    """
    slots = {binding.reference.slot for rule in rules for binding in rule.bindings}
    slots |= {Slot(1, field) for field in of_opening}
    return {slot: position for position, slot in enumerate(sorted(slots))}


def _places(rule: CompiledRule, slots: dict[Slot, int]) -> ReferencePlaces:
    return tuple(
        (
            binding.field,
            slots[binding.reference.slot],
            "!{}".format if binding.reference.negated else str,
        )
        for binding in rule.bindings
    )


KeyFunction = Callable[[Any], Hashable]


def make_stage_keys(rule: CompiledRule, slots: dict[Slot, int]) -> tuple[KeyFunction, KeyFunction]:
    """Two functions whose results are equal if an event matches a backlog at this stage.

    The first makes the key from an event, the second from the bound values of a backlog. The key is
    None, one value or a tuple, and hashable. Negated references are not in it.
    """
    bindings = sorted(
        (one for one in rule.bindings if one.compared and not one.reference.negated),
        key=lambda one: slots[one.reference.slot],
    )
    folds = [binding.folds for binding in bindings]
    fields = [binding.event_field for binding in bindings]
    positions = [slots[binding.reference.slot] for binding in bindings]
    return (
        _make_key_function(fields, folds, attrgetter),
        _make_key_function(positions, folds, itemgetter),
    )


def _make_key_function(
    places: list[Any], folds: list[bool], getter: Callable[..., Callable[[Any], Any]]
) -> KeyFunction:
    """A function from an event, or from bound values, to the key of these fields or positions."""
    if not places:
        return lambda source: None
    values = getter(*places)
    if not any(folds):
        return values
    if len(places) == 1:
        return lambda source: folded(values(source))
    return lambda source: tuple(
        folded(value) if fold_it else value
        for value, fold_it in zip(values(source), folds, strict=True)
    )


def folded(value: Any) -> Any:
    """A value as a text for caseless comparison; UNBOUND as it is."""
    if isinstance(value, str):  # the usual case
        return fold_case(value)
    return value if value is UNBOUND else str(value)


BoundPredicate = Callable[[NormalizedEvent, BoundValues], bool]
"""Whether an event meets conditions of a rule, given the bound values of a backlog."""


def make_negated_predicate(rule: CompiledRule, slots: dict[Slot, int]) -> BoundPredicate | None:
    """Whether an event meets the negated references of a rule; None if it has none."""
    predicates = [
        make_binding_predicate(binding, slots[binding.reference.slot])
        for binding in rule.bindings
        if binding.compared and binding.reference.negated
    ]
    if not predicates:
        return None
    return lambda event, bound: all(predicate(event, bound) for predicate in predicates)


def make_binding_predicate(binding: ReferenceBinding, position: int) -> BoundPredicate:
    """Whether an event meets a reference to the slot at this position; no unknown value is met."""
    value_of = attrgetter(binding.event_field)
    comparable: Callable[[Any], Any] = folded if binding.folds else _same
    wants_equal = not binding.reference.negated

    def predicate(event: NormalizedEvent, bound: BoundValues) -> bool:
        wanted = bound[position] if position < len(bound) else UNBOUND
        if wanted is UNBOUND:
            return False
        return (comparable(wanted) == comparable(value_of(event))) is wants_equal

    return predicate


def _same(value: Any) -> Any:
    return value
