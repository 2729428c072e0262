"""The former definitions of directives: those under which only open backlogs go on.

A file of its own, since the directives of a shard share it: which events they concern, and what
the router is to know of them, must be found without a visit to every directive.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from engine.correlation.compiled_directive import CompiledDirective
from engine.directives.index import (
    DirectiveIds,
    DirectiveIndex,
    DirectiveRoutingKeys,
    RoutableEvent,
    routing_keys_of,
)

_EventKey = tuple[int | str, int | str]
"""Plugin id and sid, or category and product."""


class FormerDefinitions:
    """The former definitions with open backlogs, and the index of a shard with their events."""

    __slots__ = ("_by_event", "_index", "_keys", "directives", "find")

    def __init__(self, index: DirectiveIndex) -> None:
        """`index`: that of the definitions of the configuration."""
        self._keys: dict[CompiledDirective, DirectiveRoutingKeys] = {}
        self._by_event: dict[_EventKey, Counter[int]] = {}
        """By event: directives with the number of rules of former definitions that may match it."""
        self.directives: Counter[int] = Counter()
        """The directives that have former definitions, with their number; to be read only."""
        self._index = index
        self.find: Callable[[RoutableEvent], DirectiveIds] = index.find
        """The ids of the directives that can match an event under any of their definitions."""

    def use_index(self, index: DirectiveIndex) -> None:
        """Find the definitions of another configuration from now on, beside the former ones."""
        self._index = index
        self._choose_find()

    def _choose_find(self) -> None:
        self.find = self._find_all if self._keys else self._index.find

    def routing_keys(self) -> list[DirectiveRoutingKeys]:
        """Those of each former definition; a directive may have several."""
        return list(self._keys.values())

    def add(self, compiled: CompiledDirective) -> None:
        """Add a former definition that has open backlogs."""
        keys = self._keys[compiled] = routing_keys_of(compiled.directive)
        self.directives[keys.id] += 1
        for event in _events_of(keys):
            self._by_event.setdefault(event, Counter())[keys.id] += 1
        self._choose_find()

    def remove(self, compiled: CompiledDirective) -> None:
        """Remove one that has no open backlogs any more, or is no former one any more."""
        keys = self._keys.pop(compiled)
        _subtract_one(self.directives, keys.id)
        for event in _events_of(keys):
            directives = self._by_event[event]
            _subtract_one(directives, keys.id)
            if not directives:
                del self._by_event[event]
        self._choose_find()

    def _find_all(self, event: RoutableEvent) -> DirectiveIds:
        ids = self._index.find(event)
        plugin = self._by_event.get((event.plugin_id, event.plugin_sid), ())
        taxonomy = self._by_event.get((event.category, event.product), ())
        if plugin or taxonomy:
            return tuple(dict.fromkeys((*ids, *plugin, *taxonomy)))
        return ids


def _events_of(keys: DirectiveRoutingKeys) -> Iterator[_EventKey]:
    for rule in keys.rules:
        yield from ((rule.plugin_id, sid) for sid in rule.plugin_sid)
        yield from ((rule.category, product) for product in rule.product)


def _subtract_one(counts: Counter[int], directive: int) -> None:
    counts[directive] -= 1
    if not counts[directive]:
        del counts[directive]
