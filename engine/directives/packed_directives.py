"""Directives in MessagePack, each decoded when it is asked for.

Few of thousands of directives are ever concerned by an event; the others need no memory but their
bytes, which processes can share.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import Struct

from engine.directives.directive import Directive
from engine.directives.index import DirectiveRoutingKeys, routing_keys_of


class _Entry(Struct, frozen=True, array_like=True):
    """A directive in the table. `size`: bytes of its document."""

    keys: DirectiveRoutingKeys
    size: int


_encode = msgspec.msgpack.Encoder().encode
_decode_directive = msgspec.msgpack.Decoder(Directive).decode
_decode_table = msgspec.msgpack.Decoder(list[_Entry]).decode


class PackedDirectives(Mapping[int, Directive]):
    """Directives by id, in their order."""

    def __init__(self, table: bytes, documents: bytes | memoryview) -> None:
        """The two parts of another one: its table, and the documents one after the other."""
        self._table = table
        self._documents = memoryview(documents)

    @classmethod
    def pack(cls, directives: Iterable[Directive]) -> "PackedDirectives":
        """Pack directives."""
        packed = [(routing_keys_of(directive), _encode(directive)) for directive in directives]
        table = [_Entry(keys, len(document)) for keys, document in packed]
        return cls(_encode(table), b"".join(document for _, document in packed))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._table, self._documents)

    def routing_keys(self) -> Iterator[DirectiveRoutingKeys]:
        """The part of each directive that the index needs; no document is read."""
        return (entry.keys for entry in _decode_table(self._table))

    @cached_property
    def _places(self) -> dict[int, slice]:
        """Where the document of each directive is."""
        entries = _decode_table(self._table)
        ends = accumulate(entry.size for entry in entries)
        return {
            entry.keys.id: slice(end - entry.size, end)
            for entry, end in zip(entries, ends, strict=True)
        }

    def __getitem__(self, directive: int) -> Directive:
        return _decode_directive(self._documents[self._places[directive]])

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, directive: object) -> bool:
        return directive in self._places
