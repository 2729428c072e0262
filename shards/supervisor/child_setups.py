"""The set-ups of the children: each worker's directives, and the router's routing keys."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from engine.directives.directive import Directive
from engine.directives.index import routing_keys_of
from engine.directives.packed_directives import PackedDirectives
from shards.config.config_folder import Config, engine_options
from shards.placement import shard_of_directive
from shards.router.start import RouterSetup
from shards.settings.settings import Settings
from shards.worker.start import WorkerSetup


def directives_by_worker(settings: Settings, config: Config) -> list[list[Directive]]:
    """The directives of each worker, without those of other services of the same node name."""
    by_worker: list[list[Directive]] = [[] for _ in range(settings.workers)]
    for directive in config.directives:
        node, worker = shard_of_directive(directive.id, settings.cluster_size, settings.workers)
        if node == settings.cluster_part:
            by_worker[worker].append(directive)
    return by_worker


def worker_setups(
    settings: Settings, config: Config, by_worker: Iterable[list[Directive]]
) -> list[WorkerSetup]:
    """The set-up of each worker, with its directives."""
    options = replace(
        engine_options(settings),
        expiry_grace=settings.expiry_grace,
        lookups=bool(config.sources),
        track_changes=settings.checkpoint_interval > 0,
        count_matches=settings.metrics_per_directive,
    )
    return [
        WorkerSetup(settings, options, PackedDirectives.pack(part), config.assets, config.sources)
        for part in by_worker
    ]


def router_setup(settings: Settings, config: Config) -> RouterSetup:
    """The set-up of the router, with the routing keys of all directives."""
    keys = [routing_keys_of(directive) for directive in config.directives]
    return RouterSetup(settings, msgspec.msgpack.encode(keys), config.assets)
