"""The routing index: from an event's key to the directives that can match it, in constant time."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from msgspec import Struct

from engine.directives.directive import Directive

K = TypeVar("K")
DirectiveIds = tuple[int, ...]


class RuleRoutingKeys(Struct, frozen=True, array_like=True):
    """The plugin ids, or the category and products, of the events that a rule can match."""

    plugin_id: int
    plugin_sid: tuple[int, ...]
    category: str
    product: tuple[str, ...]


class DirectiveRoutingKeys(Struct, frozen=True, array_like=True):
    """The part of a directive that the index, and so the router, needs."""

    id: int
    rules: tuple[RuleRoutingKeys, ...]


class RoutableEvent(Protocol):
    """An event for the index: a RoutingKey or a NormalizedEvent."""

    @property
    def plugin_id(self) -> int: ...
    @property
    def plugin_sid(self) -> int: ...
    @property
    def product(self) -> str: ...
    @property
    def category(self) -> str: ...


class DirectiveIndex:
    """Directive ids by plugin_id and plugin_sid, and by category and product, of all rules."""

    def __init__(self, directives: Iterable[DirectiveRoutingKeys]) -> None:
        plugins: dict[int, dict[int, list[int]]] = {}
        categories: dict[str, dict[str, list[int]]] = {}
        for directive in directives:
            for rule in directive.rules:
                _add(plugins.setdefault(rule.plugin_id, {}), rule.plugin_sid, directive.id)
                _add(categories.setdefault(rule.category, {}), rule.product, directive.id)
        self._plugins = {plugin: _as_tuples(by_sid) for plugin, by_sid in plugins.items()}
        self._categories = {
            name: _as_tuples(by_product) for name, by_product in categories.items() if by_product
        }

    def find(self, key: RoutableEvent) -> DirectiveIds:
        """The ids of the directives that can match the event, each once."""
        by_sid = self._plugins.get(key.plugin_id)
        plugin = by_sid.get(key.plugin_sid, ()) if by_sid is not None else ()
        by_product = self._categories and self._categories.get(key.category)
        if not by_product:
            return plugin
        taxonomy = by_product.get(key.product, ())
        return tuple(dict.fromkeys(plugin + taxonomy)) if plugin else taxonomy


def routing_keys_of(directive: Directive) -> DirectiveRoutingKeys:
    """The part of a directive that the index needs."""
    return DirectiveRoutingKeys(
        directive.id,
        tuple(
            RuleRoutingKeys(rule.plugin_id, rule.plugin_sid, "", ())
            if rule.type == "PluginRule"
            else RuleRoutingKeys(0, (), rule.category, rule.product)
            for rule in directive.rules
        ),
    )


def _add(by_key: dict[K, list[int]], keys: Iterable[K], directive: int) -> None:
    for key in keys:
        ids = by_key.setdefault(key, [])
        if directive not in ids[-1:]:  # the rules of a directive follow one another
            ids.append(directive)


def _as_tuples(by_key: dict[K, list[int]]) -> dict[K, DirectiveIds]:
    return {key: tuple(ids) for key, ids in by_key.items()}
