"""What a configuration says about routing, with former definitions and other services."""

from typing import Any

import msgspec
import pytest

from engine.directives.asset_document import parse_assets
from engine.directives.directive import Directive, parse_directives
from engine.directives.index import routing_keys_of
from engine.event import decode_routing_key
from shards.config.generation import RouterConfig
from shards.placement import shard_of_directive
from shards.router.routing_table import ELSEWHERE, RoutingTable
from shards.settings.settings import Settings
from tests.support.generations import router_config
from tests.support.routing import ASSETS, event, rule

WORKERS = 2


def directive(id_: int, *plugins: int) -> Directive:
    """One with a rule for each of these plugins, the last one twice: it has to have two."""
    item = {"id": id_, "name": "d", "kingdom": "k", "category": "c", "priority": 1}
    rules = [rule(stage, plugin) for stage, plugin in enumerate((*plugins, plugins[-1]), 1)]
    (parsed,) = parse_directives(msgspec.json.encode({"directives": [item | {"rules": rules}]}))
    assert parsed.directive is not None
    return parsed.directive


def keys(*directives: Directive) -> bytes:
    return msgspec.msgpack.encode(list(map(routing_keys_of, directives)))


def place(id_: int) -> int:
    return shard_of_directive(id_, 1, WORKERS)[1]


IN_0, ALSO_IN_0, IN_1 = (
    next(id_ for id_ in range(start, 99) if place(id_) == worker)
    for start, worker in ((1, 0), (20, 0), (1, 1))
)


def workers(table: RoutingTable, plugin: int) -> list[int]:
    return sorted(table.find_workers(decode_routing_key(event(plugin))))


def table_of(config: RouterConfig, *restored: bytes, **settings: Any) -> RoutingTable:
    return RoutingTable(3, config, Settings(workers=WORKERS, **settings), restored=restored)


def test_an_event_concerns_the_workers_of_all_its_directives_once() -> None:
    directives = [directive(IN_0, 1, 3), directive(ALSO_IN_0, 1, 4), directive(IN_1, 2, 3)]
    table = table_of(router_config(directives))
    assert [workers(table, plugin) for plugin in (1, 2, 3, 4, 5)] == [[0], [1], [0, 1], [0], []]
    assert table.generation == 3


def test_former_definitions_count_as_well_and_each_worker_once() -> None:
    config = msgspec.structs.replace(
        router_config([directive(IN_0, 1), directive(IN_1, 1)]),
        former=keys(directive(IN_0, 2), directive(IN_0, 1, 3)),
    )
    restored = keys(directive(IN_1, 2, 4)), keys(directive(IN_0, 4))
    table = table_of(config, *restored)
    assert [workers(table, plugin) for plugin in (1, 2, 3, 4, 5)] == [
        [0, 1],
        [0, 1],
        [0],
        [0, 1],
        [],
    ]


def test_directives_of_other_services_are_elsewhere() -> None:
    ids = range(1, 40)
    table = table_of(
        router_config([directive(id_, id_, 99) for id_ in ids]), cluster_size=2, cluster_index="0"
    )
    for id_ in ids:
        node, worker = shard_of_directive(id_, 2, WORKERS)
        assert workers(table, id_) == [worker if node == 0 else ELSEWHERE]
    assert workers(table, 99) == [ELSEWHERE, 0, 1]


@pytest.mark.parametrize(
    ("src_ip", "whitelisted"),
    [("10.9.9.9", True), ("::ffff:10.9.9.9", True), ("10.9.9.8", False)],
)
def test_whitelisted_sources_are_those_of_its_assets(src_ip: str, whitelisted: bool) -> None:
    assets = parse_assets(ASSETS)[0]
    assert table_of(router_config([], assets)).is_whitelisted(src_ip) is whitelisted
    assert not table_of(router_config([])).is_whitelisted(src_ip)


def test_a_configuration_without_directives_concerns_nobody() -> None:
    assert workers(table_of(RouterConfig(b"", ())), 1) == []


def test_progress_is_tracked() -> None:
    taken: list[int] = []

    def track(items: Any) -> Any:
        for item in items:
            taken.append(1)
            yield item

    config = router_config([directive(1, 1), directive(2, 1)], parse_assets(ASSETS)[0])
    RoutingTable(1, config, Settings(workers=WORKERS), track)
    assert len(taken) == 4
