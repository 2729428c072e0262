"""A router with two workers, for tests: directives, events, and an event source."""

import json
from typing import Any

import msgspec

from engine.directives.asset_document import parse_assets
from engine.directives.directive import Directive, parse_directives
from engine.directives.index import routing_keys_of
from shards.config.generation import RouterConfig
from shards.ledger import Events, Feed
from shards.router.router import Router
from shards.router.routing_table import RoutingTable
from shards.router.send_queue import SendQueue
from shards.settings.settings import Settings
from shards.unmatched_events import UnmatchedEvents

ASSETS = b"""{"assets": [{"name": "lan", "cidr": "10.0.0.0/8", "value": 3},
    {"name": "scanner", "cidr": "10.9.9.9", "value": 1, "whitelisted": true}]}"""
DIRECTIVES = range(1, 9)
"""Each matches the plugin with its own id; all of them match plugin 99."""


class Source:
    """An event source that is connected, with a feed."""

    feed = Feed(lost=1)
    connected = True
    lag = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def rule(stage: int, plugin: int) -> dict[str, Any]:
    return {
        "name": "r",
        "type": "PluginRule",
        "stage": stage,
        "occurrence": 1,
        "plugin_id": plugin,
        "plugin_sid": [1],
        "from": "ANY",
        "to": "ANY",
        "reliability": 1,
        "timeout": 0,
    }


def directives() -> list[Directive]:
    items = [
        {"id": n, "name": "d", "kingdom": "k", "category": "c", "priority": 1}
        | {"rules": [rule(1, n), rule(2, 99)]}
        for n in DIRECTIVES
    ]
    parsed = parse_directives(json.dumps({"directives": items}).encode())
    return [item.directive for item in parsed if item.directive is not None]


class Routed:
    """A router with a send queue for each of two workers."""

    def __init__(
        self, max_queue: int = 0, unmatched: UnmatchedEvents | None = None, **settings: Any
    ) -> None:
        self.queues = [SendQueue(max_queue, retain_bytes=0, life=1, clock=int) for _ in range(2)]
        keys = msgspec.msgpack.encode([routing_keys_of(directive) for directive in directives()])
        assets = tuple(parse_assets(ASSETS)[0])
        config, for_two = RouterConfig(keys, assets), Settings(workers=2, **settings)
        self.table = RoutingTable(1, config, for_two)
        self.router = Router(self.table, self.queues, unmatched)

    @property
    def queued(self) -> list[int]:
        return [queue.queued for queue in self.queues]

    @property
    def events(self) -> Events:
        return self.router.make_report(Source()).ledger.events


def event(plugin: int, src_ip: str = "192.0.2.1", **more: Any) -> bytes:
    fields = {"event_id": "e", "timestamp": "2026-01-01T00:00:00Z", "sensor": "s"}
    fields |= {"src_ip": src_ip, "dst_ip": "10.0.0.1"}
    return json.dumps(fields | {"plugin_id": plugin, "plugin_sid": 1} | more).encode()
