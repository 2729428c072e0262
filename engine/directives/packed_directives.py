"""Directives in MessagePack, each decoded when it is asked for.

Few of thousands of directives are ever concerned by an event; the others need no memory but their
bytes, which processes can share.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from engine.directives.directive import Directive
from engine.directives.index import DirectiveRoutingKeys, routing_keys_of


class _Entry(Struct, frozen=True, array_like=True):
    """A directive in the table. `size`: bytes of its document."""

    keys: DirectiveRoutingKeys
    size: int


encode_directive = _encode = msgspec.msgpack.Encoder().encode
"""The document of a directive."""


def encode_routing_keys(directive: Directive) -> msgspec.Raw:
    """The routing keys of a directive, in MessagePack."""
    return msgspec.Raw(_encode(routing_keys_of(directive)))


_LIST_HEAD, _LIST_CODE = struct.Struct(">BI"), 0xDD
"""The head of a list of any length: its code, and its length."""
_decode_directive = msgspec.msgpack.Decoder(Directive).decode
_decode_part = msgspec.msgpack.Decoder(list[_Entry]).decode

_PART_ENTRIES = 1000
"""Entries that are decoded at once, in a millisecond or two, in which no other thread runs."""


class PackedDirectives(Mapping[int, Directive]):
    """Directives by id, in their order."""

    def __init__(self, table: tuple[bytes, ...], documents: bytes | bytearray | memoryview) -> None:
        """The parts of another one: those of its table, and the documents one after the other."""
        self._table = table
        self._documents = memoryview(documents)
        self._known_places: dict[int, slice] | None = None

    @classmethod
    def pack(cls, directives: Iterable[Directive]) -> "PackedDirectives":
        """Pack directives."""
        packer = DirectivesPacker()
        for directive in directives:
            packer.add(directive.id, encode_routing_keys(directive), encode_directive(directive))
        return packer.packed()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._table, self._documents)

    def routing_keys(self) -> Iterator[DirectiveRoutingKeys]:
        """The part of each directive that the index needs; no document is read.

        Once all are taken it is known where each document is, which else is found out on first use.
        """
        places: dict[int, slice] = {}
        end = 0
        for part in self._table:
            for entry in _decode_part(part):
                places[entry.keys.id] = slice(end, end + entry.size)
                end += entry.size
                yield entry.keys
        self._known_places = places

    @property
    def _places(self) -> dict[int, slice]:
        """Where the document of each directive is."""
        if self._known_places is None:
            deque(self.routing_keys(), maxlen=0)
            assert self._known_places is not None
        return self._known_places

    def document(self, directive: int) -> memoryview | None:
        """The directive in MessagePack; equal ones have equal bytes. None if it is not here."""
        place = self._places.get(directive)
        return None if place is None else self._documents[place]

    def __getitem__(self, directive: int) -> Directive:
        return _decode_directive(self._documents[self._places[directive]])

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, directive: object) -> bool:
        return directive in self._places


class DirectivesPacker:
    """Packs directives one by one, so that only one of them is in memory."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        """The ids of the directives, in their order."""
        self._table: list[MessagePackList] = []
        self._documents = bytearray()

    def add(self, directive: int, keys: msgspec.Raw, document: bytes | memoryview) -> None:
        """Add a directive: its id, `encode_routing_keys` of it, and `encode_directive` of it."""
        if len(self.ids) % _PART_ENTRIES == 0:
            self._table.append(MessagePackList())
        self.ids.append(directive)
        self._table[-1].append((keys, len(document)))  # an _Entry
        self._documents += document

    def packed(self) -> PackedDirectives:
        """The directives added so far."""
        table = tuple(part.encoded() for part in self._table)
        return PackedDirectives(table, self._documents)


class MessagePackList:
    """A list in MessagePack that is encoded item by item."""

    def __init__(self) -> None:
        self._items = bytearray()
        self._length = 0
        self._encode_into = msgspec.msgpack.Encoder().encode_into

    def append(self, item: object) -> None:
        """Append an item."""
        self._encode_into(item, self._items, -1)
        self._length += 1

    def encoded(self) -> bytes:
        """The whole list."""
        return _LIST_HEAD.pack(_LIST_CODE, self._length) + self._items
