"""Reads a configuration, and packs it for the processes of a service while it is read.

Directives are packed one by one, so that only one of them is in memory. Those whose text is in the
running configuration, too, are taken over from there without parsing them.
"""

import msgspec
from xxhash import xxh3_64_intdigest

from engine.directives.directive import Directive, ParsedDirective
from engine.directives.packed_directives import (
    DirectivesPacker,
    MessagePackList,
    encode_directive,
    encode_routing_keys,
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
from shards.config.known_directives import KnownDirectives, PackedDirective
from shards.placement import shard_of_directive
from shards.progress import TrackProgress, untracked
from shards.safe_text import encodable
from shards.settings.settings import Settings

_encode = msgspec.msgpack.Encoder(enc_hook=str).encode  # of networks


class PackedConfig:
    """The configuration that its reader reads, packed."""

    def __init__(
        self,
        settings: Settings,
        known: KnownDirectives,
        track_progress: TrackProgress = untracked,
    ) -> None:
        """`known`: the directives of the running configuration."""
        self.reader = ConfigReader(
            settings, self._add, known=known.ids, track_progress=track_progress
        )
        self._known = known
        self._cluster = settings.cluster_part, settings.cluster_size
        self._workers = [DirectivesPacker() for _ in range(settings.workers)]
        self._routing_keys = MessagePackList()
        self._definitions: dict[int, int] = {}
        self._without_findings: dict[bytes, int] = {}
        """Ids by digest."""

    def _add(self, parsed: ParsedDirective) -> None:
        id_, directive = parsed.id, parsed.directive
        assert id_ is not None
        part, size = self._cluster
        node, worker = shard_of_directive(id_, size, len(self._workers))
        if directive is not None:
            packed = _pack(directive)
        else:
            packed = self._known.packed(id_, worker if node == part else None)
        self._routing_keys.append(packed.keys)
        self._definitions[id_] = packed.definition
        if not parsed.findings:
            self._without_findings[parsed.digest] = id_
        if node == part:
            self._workers[worker].add(id_, packed.keys, packed.document)

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
        """Write all parts but the result. OSError without memory left.

        `running`: the configuration that this one follows.
        """
        assets, sources = tuple(self.reader.assets), tuple(self.reader.sources)
        keys, former = self._routing_keys.encoded(), b""
        if running is not None:
            former = former_routing_keys(running.parts.router.load(), running.former.load(), keys)
        parts.known.write(self._without_findings)
        parts.router.write(RouterConfig(keys, assets, former))
        for packer, part in zip(self._workers, parts.workers, strict=True):
            part.write(WorkerConfig(packer.packed(), assets, sources))


def _pack(directive: Directive) -> PackedDirective:
    document = encode_directive(directive)
    keys = encode_routing_keys(directive)
    return PackedDirective(xxh3_64_intdigest(document), keys, document)
