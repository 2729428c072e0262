"""Directives of the running configuration, which the next one takes over without parsing them."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from engine.directives.directive import NO_KNOWN
from engine.directives.packed_directives import PackedDirectives
from shards.config.generation import LoadResult, RouterConfig, RunningConfig, WorkerConfig

_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class PackedDirective(NamedTuple):
    """A hash of the content of a directive, and in MessagePack its routing keys and itself.

    Of directives of other services of the node, the last one may be empty.
    """

    definition: int
    keys: msgspec.Raw
    document: bytes | memoryview


class KnownDirectives:
    """The directives of a configuration that `ids` has by the digests of their texts."""

    def __init__(self, running: RunningConfig | None) -> None:
        """`running`: the configuration; with None there are none."""
        self.ids: Mapping[bytes, int] = NO_KNOWN
        """See `parse_directives`."""
        self._definitions: dict[int, int] = {}
        self._keys: dict[int, msgspec.Raw] = {}
        self._workers: list[PackedDirectives] = []
        if running is None:
            return
        result: LoadResult = running.parts.result.load()
        router: RouterConfig = running.parts.router.load()
        workers: list[WorkerConfig] = [part.load() for part in running.parts.workers]
        assert result.summary is not None  # since it runs
        self.ids = running.parts.known.load()
        self._definitions = result.summary.definitions
        self._keys = dict(zip(self._definitions, _split(router.routing_keys), strict=True))
        self._workers = [worker.directives for worker in workers]

    def packed(self, directive: int, worker: int | None) -> PackedDirective:
        """The directive with this id. `worker`: the one that has it, None in another service."""
        document = b"" if worker is None else self._workers[worker].document(directive)
        assert document is not None
        return PackedDirective(self._definitions[directive], self._keys[directive], document)
