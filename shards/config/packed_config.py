"""Reads a configuration, and packs it for the processes of a service while it is read.

Directives are packed one by one, so that only one of them is in memory.
"""

import msgspec
from xxhash import xxh3_64_intdigest

from engine.directives.directive import Directive
from engine.directives.index import routing_keys_of
from engine.directives.packed_directives import (
    DirectivesPacker,
    MessagePackList,
    encode_directive,
)
from shards.config.config_reader import ConfigReader
from shards.config.former_keys import former_routing_keys
from shards.config.generation import (
    ConfigParts,
    ConfigSummary,
    RouterConfig,
    RunningConfig,
    WorkerConfig,
)
from shards.placement import shard_of_directive
from shards.progress import TrackProgress, untracked
from shards.safe_text import encodable
from shards.settings.settings import Settings

_encode = msgspec.msgpack.Encoder(enc_hook=str).encode  # of networks


class PackedConfig:
    """The configuration that its reader reads, packed."""

    def __init__(self, settings: Settings, track_progress: TrackProgress = untracked) -> None:
        self.reader = ConfigReader(settings, self._add, track_progress=track_progress)
        self._cluster = settings.cluster_part, settings.cluster_size
        self._workers = [DirectivesPacker() for _ in range(settings.workers)]
        self._routing_keys = MessagePackList()
        self._definitions: dict[int, int] = {}

    def _add(self, directive: Directive) -> None:
        keys, document = routing_keys_of(directive), encode_directive(directive)
        self._routing_keys.append(keys)
        self._definitions[directive.id] = xxh3_64_intdigest(document)
        part, size = self._cluster
        node, worker = shard_of_directive(directive.id, size, len(self._workers))
        if node == part:
            self._workers[worker].add(keys, document)

    def summary(self, trouble: str) -> ConfigSummary:
        """The summary of the configuration; `trouble`: why it is not the newest one, or ""."""
        reader = self.reader
        return ConfigSummary(
            reader.hash,
            [packer.ids for packer in self._workers],
            reader.rejected,
            tuple(reader.disabled),
            self._definitions,
            xxh3_64_intdigest(_encode(reader.assets)),
            xxh3_64_intdigest(_encode(reader.sources)) if reader.sources else 0,
            trouble,
            {encodable(path.name): entries for path, entries in reader.entries.items()},
        )

    def write(self, parts: ConfigParts, running: RunningConfig | None = None) -> None:
        """Write the parts of the router and of each worker. OSError without memory left.

        `running`: the configuration that this one follows.
        """
        assets, sources = tuple(self.reader.assets), tuple(self.reader.sources)
        keys, former = self._routing_keys.encoded(), b""
        if running is not None:
            former = former_routing_keys(running.router.load(), running.former.load(), keys)
        parts.router.write(RouterConfig(keys, assets, former))
        for packer, part in zip(self._workers, parts.workers, strict=True):
            part.write(WorkerConfig(packer.packed(), assets, sources))
