"""A directive compiled: everything that its backlogs share, worked out once.

A *slot* is a value that some rule refers to: a field of the first event of a stage. Backlogs
keep the values of slots in a tuple in stage order, so the tuple only ever grows at its end.
"""

from collections.abc import Callable, Hashable
from operator import attrgetter, itemgetter
from typing import Any

from engine.asset import NetworkAssets
from engine.condition import Reference, fold
from engine.directive import Directive
from engine.event import NormalizedEvent
from engine.options import Options
from engine.rule import FOLDED_FIELDS, Rule

Bound = tuple[Any, ...]
"""The values of slots, whole numbers or texts; or UNBOUND."""


class _Unbound:
    """Stands for a value that is lost: equal to nothing that an event can have."""

    def __repr__(self) -> str:
        return "UNBOUND"


UNBOUND = _Unbound()


class CompiledDirective:
    """A directive with its rules compiled, for given assets and options."""

    __slots__ = ("assets", "directive", "has_title_tokens", "options", "rules", "slots")

    def __init__(self, directive: Directive, assets: NetworkAssets, options: Options) -> None:
        self.directive = directive
        self.assets = assets
        self.options = options
        self.rules = tuple(
            Rule(
                record,
                match_protocol=options.match_protocol,
                narrowed=directive.always_active and record.stage == 1,
            )
            for record in directive.rules
        )
        self.slots = _slots(self.rules)
        self.has_title_tokens = "SRC_IP" in directive.name or "DST_IP" in directive.name

    def first_values(self, stage: int, event: NormalizedEvent) -> Bound:
        """The values of the slots of this stage, given its first event."""
        return tuple(
            getattr(event, reference.field) for reference in self.slots if reference.stage == stage
        )


def _slots(rules: tuple[Rule, ...]) -> dict[Reference, int]:
    """Each slot with its position in the tuples of bound values."""
    references = {binding.reference for rule in rules for binding in rule.bindings}
    in_order = sorted(references, key=lambda reference: (reference.stage, reference.field))
    return {reference: position for position, reference in enumerate(in_order)}


class StageKey:
    """What a backlog at a stage and an event must have in common to match, as one dict key."""

    __slots__ = ("of_bound", "of_event")

    def __init__(self, rule: Rule, slots: dict[Reference, int]) -> None:
        references = [binding.reference for binding in rule.bindings if binding.compared]
        self.of_event = _key(references, [reference.field for reference in references], attrgetter)
        positions = [slots[reference] for reference in references]
        self.of_bound = _key(references, positions, itemgetter)


Key = Callable[[Any], Hashable]


def _key(
    references: list[Reference], places: list[Any], getter: Callable[..., Callable[[Any], Any]]
) -> Key:
    """A function from an event, or from bound values, to the key made of these places."""
    if not references:
        return lambda source: None
    values = getter(*places)
    folded = [reference.field in FOLDED_FIELDS for reference in references]
    if not any(folded):
        return values
    if len(places) == 1:
        return lambda source: _folded(values(source))
    return lambda source: tuple(
        _folded(value) if fold_it else value
        for value, fold_it in zip(values(source), folded, strict=True)
    )


def _folded(value: Any) -> Any:
    return fold(value) if isinstance(value, str) else value
