"""Which directives an event can concern."""

from typing import Any

import msgspec
import pytest

from engine.directives.directive import Directive, parse_directives
from engine.directives.index import DirectiveIndex, routing_keys_of
from engine.event import RoutingKey

PLUGIN = {"type": "PluginRule", "plugin_id": 1, "plugin_sid": [1]}
TAXONOMY = {"type": "TaxonomyRule", "product": ["Firewall"], "category": "Denied"}


def directive(id_: int, *rules: dict[str, Any]) -> Directive:
    common = {"name": "r", "from": "ANY", "to": "ANY", "reliability": 1, "occurrence": 1}
    numbered = [common | rule | {"stage": stage} for stage, rule in enumerate(rules, 1)]
    names = {"name": "d", "kingdom": "k", "category": "c", "priority": 1}
    document = {"directives": [names | {"id": id_, "rules": numbered}]}
    [checked] = parse_directives(msgspec.json.encode(document))
    assert checked.directive is not None, checked.findings
    return checked.directive


def plugin(plugin_id: int, *sids: int) -> dict[str, Any]:
    return PLUGIN | {"plugin_id": plugin_id, "plugin_sid": sids}


def taxonomy(category: str, *products: str) -> dict[str, Any]:
    return TAXONOMY | {"category": category, "product": products}


INDEX = DirectiveIndex(
    map(
        routing_keys_of,
        [
            directive(1, plugin(10, 1, 2), plugin(10, 2, 3)),
            directive(2, plugin(10, 2), plugin(20, 1)),
            directive(3, taxonomy("Denied", "Firewall", "IDS"), taxonomy("Login", "IDS")),
            directive(4, taxonomy("Denied", "IDS"), plugin(10, 2)),
            directive(5, plugin(30, 1, 1, 1), plugin(30, 1)),
        ],
    )
)


@pytest.mark.parametrize(
    ("key", "ids"),
    [
        (RoutingKey(10, 1), [1]),
        (RoutingKey(10, 2), [1, 2, 4]),
        (RoutingKey(10, 3), [1]),
        (RoutingKey(20, 1), [2]),
        (RoutingKey(20, 2), []),
        (RoutingKey(30, 1), [5]),
        (RoutingKey(40, 1), []),
        (RoutingKey(), []),
        (RoutingKey(product="Firewall", category="Denied"), [3]),
        (RoutingKey(product="IDS", category="Denied"), [3, 4]),
        (RoutingKey(product="IDS", category="Login"), [3]),
        (RoutingKey(product="Firewall", category="Login"), []),
        (RoutingKey(product="ids", category="Login"), []),
        (RoutingKey(product="IDS"), []),
        (RoutingKey(category="Login"), []),
        (RoutingKey(10, 2, "IDS", "Denied"), [1, 2, 3, 4]),
        (RoutingKey(20, 1, "Firewall", "Denied"), [2, 3]),
        (RoutingKey(10, 2, "IDS", "Unknown"), [1, 2, 4]),
        (RoutingKey(10, 99, "IDS", "Login"), [3]),
    ],
    ids=str,
)
def test_an_event_finds_each_directive_it_can_concern_once(key: RoutingKey, ids: list[int]) -> None:
    found = INDEX.find(key)
    assert sorted(found) == ids


def test_what_a_rule_of_the_other_type_carries_is_not_looked_at() -> None:
    index = DirectiveIndex(
        map(
            routing_keys_of,
            [
                directive(1, PLUGIN | TAXONOMY | {"type": "PluginRule"}, plugin(9, 9)),
                directive(2, PLUGIN | TAXONOMY, plugin(9, 9)),
            ],
        )
    )
    assert index.find(RoutingKey(1, 1)) == (1,)
    assert index.find(RoutingKey(product="Firewall", category="Denied")) == (2,)


def test_no_directives_concern_nothing() -> None:
    assert DirectiveIndex([]).find(RoutingKey(1, 1, "p", "c")) == ()
