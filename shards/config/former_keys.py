"""Routing keys of former definitions: their events still concern the backlogs that they opened."""

from collections.abc import Iterable, Iterator

import msgspec

from engine.directives.index import DirectiveRoutingKeys
from engine.directives.packed_directives import MessagePackList
from shards.config.generation import FormerDefinitions, RouterConfig

_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_keys = msgspec.msgpack.Decoder(DirectiveRoutingKeys).decode


def read_routing_keys(
    documents: Iterable[bytes],
) -> Iterator[tuple[DirectiveRoutingKeys, bytes]]:
    """The routing keys in these documents, see RouterConfig, each decoded when it is taken.

    With the bytes of each.
    """
    for document in documents:
        for raw in _split(document) if document else ():
            yield _decode_keys(raw), bytes(raw)


def former_routing_keys(
    running: RouterConfig, former: FormerDefinitions, routing_keys: bytes
) -> bytes:
    """The `RouterConfig.former` of the configuration that follows the running one.

    `routing_keys`: those of its directives. Directives that it does not have need no keys, since
    their backlogs are closed.
    """
    new = {keys.id: raw for keys, raw in read_routing_keys((routing_keys,))}
    found = {
        raw: keys
        for keys, raw in read_routing_keys((running.former, *former.restored))
        if keys.id in new and (former.directives is None or keys.id in former.directives)
    } | {
        raw: keys
        for keys, raw in read_routing_keys((running.routing_keys,))
        if keys.id in new and raw != new[keys.id]
    }
    encoded = MessagePackList()
    for keys in found.values():
        encoded.append(keys)
    return encoded.encoded() if found else b""
