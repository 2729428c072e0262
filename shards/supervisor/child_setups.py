"""What the children are started with: each worker's part of the directives, the router's keys.

May live here: that, made of settings and config. May not: processes.
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from engine.directives.directive import Directive
from engine.directives.index import routing_keys_of
from shards.config.config_folder import Config, engine_options
from shards.placement import shard_of_directive
from shards.router.router import RouterSetup
from shards.settings.settings import Settings
from shards.worker.shard import WorkerSetup


def directives_by_worker(settings: Settings, config: Config) -> list[list[Directive]]:
    """The directives of each worker; those of other services of the node are left out."""
    divided: list[list[Directive]] = [[] for _ in range(settings.workers)]
    for directive in config.directives:
        node, worker = shard_of_directive(directive.id, settings.cluster_size, settings.workers)
        if node == settings.cluster_part:
            divided[worker].append(directive)
    return divided


def worker_setups(
    settings: Settings, config: Config, divided: Iterable[list[Directive]]
) -> list[WorkerSetup]:
    """What each worker gets, with its part of the directives."""
    options = replace(
        engine_options(settings),
        expiry_grace=settings.expiry_grace,
        lookups=bool(config.sources),
        track_changes=settings.checkpoint_interval > 0,
        count_matches=settings.metrics_per_directive,
    )
    return [
        WorkerSetup(settings, options, msgspec.msgpack.encode(part), config.assets, config.sources)
        for part in divided
    ]


def router_setup(settings: Settings, config: Config) -> RouterSetup:
    """What the router gets."""
    keys = [routing_keys_of(directive) for directive in config.directives]
    return RouterSetup(settings, msgspec.msgpack.encode(keys), config.assets)
