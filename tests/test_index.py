"""Which directives an event can concern."""

from typing import Any

import msgspec
import pytest

from engine.directive import Directive, parse_directives
from engine.event import EventKey
from engine.index import DirectiveIndex, keys_of

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
        keys_of,
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
        (EventKey(10, 1), [1]),
        (EventKey(10, 2), [1, 2, 4]),
        (EventKey(10, 3), [1]),
        (EventKey(20, 1), [2]),
        (EventKey(20, 2), []),
        (EventKey(30, 1), [5]),
        (EventKey(40, 1), []),
        (EventKey(), []),
        (EventKey(product="Firewall", category="Denied"), [3]),
        (EventKey(product="IDS", category="Denied"), [3, 4]),
        (EventKey(product="IDS", category="Login"), [3]),
        (EventKey(product="Firewall", category="Login"), []),
        (EventKey(product="ids", category="Login"), []),
        (EventKey(product="IDS"), []),
        (EventKey(category="Login"), []),
        (EventKey(10, 2, "IDS", "Denied"), [1, 2, 3, 4]),
        (EventKey(20, 1, "Firewall", "Denied"), [2, 3]),
        (EventKey(10, 2, "IDS", "Unknown"), [1, 2, 4]),
        (EventKey(10, 99, "IDS", "Login"), [3]),
    ],
    ids=str,
)
def test_an_event_finds_each_directive_it_can_concern_once(key: EventKey, ids: list[int]) -> None:
    found = INDEX.find(key)
    assert sorted(found) == ids


def test_what_a_rule_of_the_other_type_carries_is_not_looked_at() -> None:
    index = DirectiveIndex(
        map(
            keys_of,
            [
                directive(1, PLUGIN | TAXONOMY | {"type": "PluginRule"}, plugin(9, 9)),
                directive(2, PLUGIN | TAXONOMY, plugin(9, 9)),
            ],
        )
    )
    assert index.find(EventKey(1, 1)) == (1,)
    assert index.find(EventKey(product="Firewall", category="Denied")) == (2,)


def test_no_directives_concern_nothing() -> None:
    assert DirectiveIndex([]).find(EventKey(1, 1, "p", "c")) == ()
