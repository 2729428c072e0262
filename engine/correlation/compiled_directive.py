"""A directive compiled: everything that its backlogs share, worked out once.

A *slot* is a value that some rule refers to: a field of the first event of a stage. Backlogs
keep the values of slots in a tuple in stage order, so the tuple only ever grows at its end.
"""

import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

from msgspec.structs import replace

from engine.alarm import RuleRecord, alarm_id, alarm_prefix
from engine.asset import AddressInfo, NetworkAssets
from engine.directives.condition import StageReference, fold_case
from engine.directives.directive import Directive
from engine.directives.rule import FOLDED_FIELDS, CompiledRule
from engine.event import NormalizedEvent
from engine.options import Options

_TITLE_TOKEN = re.compile("SRC_IP|DST_IP")
BoundValues = tuple[Any, ...]
"""The values of slots, whole numbers or texts; or UNBOUND."""
ReferencePlaces = tuple[tuple[str, int], ...]
"""Fields of a rule's record that print a bound value, and the position of its slot."""


class _Unbound:
    """Stands for a value that is lost: equal to nothing that an event can have."""

    def __repr__(self) -> str:
        return "UNBOUND"


UNBOUND = _Unbound()


class CompiledDirective:
    """A directive with its rules compiled, for given assets and options."""

    __slots__ = (
        "_alarm_prefix",
        "assets",
        "directive",
        "first_values",
        "options",
        "printed",
        "rules",
        "slots",
        "title_form",
        "variant",
    )

    def __init__(
        self,
        directive: Directive,
        assets: NetworkAssets,
        options: Options,
        *,
        variant: bool = False,
    ) -> None:
        """`variant`: its rules are not those of the configuration, but what some backlogs keep."""
        self.directive = directive
        self.variant = variant
        self.assets = assets
        self.options = options
        self._alarm_prefix = alarm_prefix(options.node, directive.id)
        self.rules = tuple(
            CompiledRule(
                record,
                match_protocol=options.match_protocol,
                narrowed=directive.always_active and record.stage == 1,
            )
            for record in directive.rules
        )
        self.slots = _slots(self.rules)
        self.printed = tuple((rule.record, _places(rule, self.slots)) for rule in self.rules)
        """What alarms print of each rule, and where in it which bound values go."""
        self.title_form = _title_form(directive.name)
        self.first_values = tuple(
            _values(tuple(slot.field for slot in self.slots if slot.stage == rule.record.stage))
            for rule in self.rules
        )
        """By stage - 1: from the first event of the stage to the values of its slots."""

    def alarm_id(self, event_id: str) -> str:
        """The id of the alarm that this event opens."""
        return alarm_id(self._alarm_prefix, event_id)

    def title(self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo) -> str:
        """The directive's name, each token in it replaced by the asset's name, else the address."""
        shown = {"SRC_IP": src.name or event.src_ip, "DST_IP": dst.name or event.dst_ip}
        return self.title_form % shown


def with_other_rules(
    compiled: CompiledDirective, rules: tuple[RuleRecord, ...]
) -> CompiledDirective:
    """A variant of a directive: the same, but for these rules, which are valid."""
    directive = replace(compiled.directive, rules=rules)
    return CompiledDirective(directive, compiled.assets, compiled.options, variant=True)


def _title_form(name: str) -> str:
    """For `%`: the name with its tokens to be filled in; "" when it has none."""
    form, tokens = _TITLE_TOKEN.subn(r"%(\g<0>)s", name.replace("%", "%%"))
    return form if tokens else ""


def can_be_title(text: str, name: str) -> bool:
    """Whether a backlog of a directive with this name can have this title."""
    return text == name or _title_pattern(name).fullmatch(text) is not None


@lru_cache
def _title_pattern(name: str) -> re.Pattern[str]:
    """Any text for each token, without backtracking but for the last: hostile texts are long."""
    first, *others = map(re.escape, _TITLE_TOKEN.split(name))
    between = "".join(f"(?>.+?{text})" for text in others[:-1])
    return re.compile(first + between + "".join(f".+{text}" for text in others[-1:]), re.DOTALL)


@lru_cache
def _values(fields: tuple[str, ...]) -> Callable[[NormalizedEvent], BoundValues]:
    """From an event to the tuple of these fields of it."""
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda event: tuple(getattr(event, field) for field in fields)


def _slots(rules: tuple[CompiledRule, ...]) -> dict[StageReference, int]:
    """Each slot with its position in the tuples of bound values."""
    references = {binding.reference for rule in rules for binding in rule.bindings}
    in_order = sorted(references, key=lambda reference: (reference.stage, reference.field))
    return {reference: position for position, reference in enumerate(in_order)}


def _places(rule: CompiledRule, slots: dict[StageReference, int]) -> ReferencePlaces:
    return tuple((binding.field, slots[binding.reference]) for binding in rule.bindings)


Key = Callable[[Any], Hashable]


def stage_keys(rule: CompiledRule, slots: dict[StageReference, int]) -> tuple[Key, Key]:
    """What an event, and a backlog at a stage, must have in common to match, as one dict key.

    Two functions that make it: from the event, and from the bound values of the backlog.
    """
    references = {binding.reference for binding in rule.bindings if binding.compared}
    in_order = sorted(references, key=lambda reference: slots[reference])
    fields = [reference.field for reference in in_order]
    positions = [slots[reference] for reference in in_order]
    return _key(in_order, fields, attrgetter), _key(in_order, positions, itemgetter)


def _key(
    references: list[StageReference], places: list[Any], getter: Callable[..., Callable[[Any], Any]]
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
    return fold_case(value) if isinstance(value, str) else value
