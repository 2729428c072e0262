"""Generations of configurations, without the loader process."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.asset import Asset, NetworkAssets
from engine.correlation.directive_set import DirectiveSet
from engine.directives.directive import Directive
from engine.directives.index import routing_keys_of
from engine.directives.packed_directives import PackedDirectives
from shards.config.generation import (
    ConfigParts,
    ConfigSummary,
    GenerationStart,
    RouterConfig,
    WorkerConfig,
)
from shards.ipc.shared_value import SharedValue
from shards.supervisor.generations import Generation


def generation(*directives: Sequence[int], number: int = 1, **summary: Any) -> Generation:
    """A generation of workers with these ids of directives each; its parts are empty."""
    by_worker = list(map(list, directives))
    parts = ConfigParts.create(len(by_worker))
    return Generation(number, parts, ConfigSummary("abc", by_worker, **summary))


def directive_set(directives: Iterable[Directive], assets: Iterable[Asset]) -> DirectiveSet:
    """A DirectiveSet as workers have it."""
    return DirectiveSet(PackedDirectives.pack(directives), NetworkAssets(assets))


def worker_generation(
    number: int, directives: Iterable[Directive], assets: Iterable[Asset]
) -> GenerationStart:
    """What a worker with these directives is started with."""
    config = WorkerConfig(PackedDirectives.pack(directives), tuple(assets))
    return GenerationStart(number, SharedValue.of(config))


def router_config(directives: Iterable[Directive], assets: Iterable[Asset] = ()) -> RouterConfig:
    """What a router needs of these directives."""
    return RouterConfig(
        msgspec.msgpack.encode(list(map(routing_keys_of, directives))), tuple(assets)
    )
