"""What a generation of the configuration says about routing: workers, and whitelisted sources."""

from collections.abc import Iterable

from engine.address import CACHED_ADDRESSES, canonical_event_ip
from engine.asset import NetworkAssets
from engine.cache import FunctionCache
from engine.directives.index import DirectiveIndex, DirectiveRoutingKeys
from shards.config.former_keys import read_routing_keys
from shards.config.generation import RouterConfig
from shards.placement import shard_of_directive
from shards.progress import TrackProgress, untracked
from shards.settings.settings import Settings

ELSEWHERE = -1
"""In place of a worker, for directives that other services of the node have."""


class RoutingTable:
    """The workers that an event concerns, and whether its source is whitelisted.

    It is made ahead of its use, since thousands of directives take long.
    """

    def __init__(
        self,
        generation: int,
        config: RouterConfig,
        settings: Settings,
        track_progress: TrackProgress = untracked,
        restored: Iterable[bytes] = (),
    ) -> None:
        """`restored`: documents with more former definitions, as `RouterConfig.former`."""
        self.generation = generation
        self._assets = NetworkAssets(track_progress(config.assets))
        self.is_whitelisted = FunctionCache(self._find_whitelisted, CACHED_ADDRESSES).__getitem__
        """Whether events with this src_ip, as it was sent, are from a whitelisted asset."""
        documents = (config.routing_keys, config.former, *restored)
        keys = (keys for keys, _ in read_routing_keys(documents))
        self.find_workers = DirectiveIndex(_keys_of_workers(track_progress(keys), settings)).find
        """The workers whose directives an event can concern, each once."""

    def _find_whitelisted(self, src_ip: str) -> bool:
        return self._assets.address_info(canonical_event_ip(src_ip)).whitelisted


def _keys_of_workers(
    keys: Iterable[DirectiveRoutingKeys], settings: Settings
) -> list[DirectiveRoutingKeys]:
    """The keys with the number of the directive's worker, or ELSEWHERE, in place of its id.

    They are sorted by it, since the index removes the duplicates of neighbours. So the index finds
    workers, and its results are short, however many directives there are.
    """
    size, part = settings.cluster_size, settings.cluster_part

    def place(key: DirectiveRoutingKeys) -> DirectiveRoutingKeys:
        node, worker = shard_of_directive(key.id, size, settings.workers)
        return DirectiveRoutingKeys(worker if node == part else ELSEWHERE, key.rules)

    return sorted(map(place, keys), key=lambda key: key.id)
