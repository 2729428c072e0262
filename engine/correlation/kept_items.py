"""What a backlog keeps of the events that it has taken."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from engine.alarm import MAX_ITEMS, UNSPECIFIED_ADDRESSES, CustomData, Hit, LookupKind
from engine.correlation import compact_set
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import CompiledDirective
from engine.event import NormalizedEvent

T = TypeVar("T")
_UNSPECIFIED = "0.0.0.0"


class RareData:
    """What only backlogs with lookups, or with more addresses than MAX_ITEMS, have.

    `pairs`: addresses with ports to look up. `hits`: those found, by kind. `asset_value`: the
    highest one of the addresses that were not kept.
    """

    __slots__ = ("asset_value", "hits", "pairs")

    def __init__(self) -> None:
        self.asset_value = 0
        self.pairs: CompactSet[tuple[str, int]] = None
        self.hits: dict[LookupKind, CompactSet[Hit]] = {}


class KeptItems:
    """What a backlog keeps of its events: addresses, custom data, pairs and hits, each bounded.

    `updated`: the clock when the last event was taken, in seconds since the epoch.
    """

    __slots__ = ("compiled", "custom_data", "dst_ips", "rare_data", "src_ips", "updated")

    compiled: CompiledDirective
    updated: int
    src_ips: CompactSet[str]
    dst_ips: CompactSet[str]
    custom_data: CompactSet[CustomData]
    rare_data: RareData | None

    def _record_event(self, event: NormalizedEvent, now: int) -> None:
        """Record the addresses, custom data and time of an event taken at any stage."""
        if event.src_ip != self.src_ips:
            self.src_ips = self._add_address("src_ips", self.src_ips, event.src_ip)
        if event.dst_ip != self.dst_ips:
            self.dst_ips = self._add_address("dst_ips", self.dst_ips, event.dst_ip)
        if now > self.updated:  # noqa: PLR1730 - twice as fast as max()
            self.updated = now
        if event.custom_data1 or event.custom_data2 or event.custom_data3:
            for custom in _custom_data(event):
                self.custom_data = self._add_item("custom_data", self.custom_data, custom)
        if self.compiled.options.lookups:
            self.add_pairs(_pairs(event))

    def _add_item(self, name: str, items: CompactSet[T], item: T) -> CompactSet[T]:
        """A set with an item added, unless it is full: then the item is counted by this name."""
        if isinstance(items, dict) and len(items) >= MAX_ITEMS and item not in items:
            self.compiled.capped[name] += 1
            return items
        return compact_set.add(items, item)

    def _add_address(self, name: str, addresses: CompactSet[str], address: str) -> CompactSet[str]:
        """Add an address to one side; 0.0.0.0 stays only while it is the only one."""
        if address == _UNSPECIFIED and addresses is not None:
            return addresses
        if addresses == _UNSPECIFIED:
            return address
        added = self._add_item(name, addresses, address)
        if not compact_set.contains(added, address):
            self.keep_asset_value(self.compiled.assets.address_info(address).value)
        return added

    def keep_asset_value(self, value: int) -> None:
        """Keep the asset value of an address that is not kept itself: the risk depends on it."""
        if value:
            data = self.rare_data = self.rare_data or RareData()
            data.asset_value = max(data.asset_value, value)

    def enrich(self, kind: LookupKind, hits: Iterable[Hit]) -> bool:
        """Add the hits of a lookup; returns whether any of them is new."""
        data = self.rare_data = self.rare_data or RareData()
        found = data.hits.get(kind)
        known = compact_set.size(found)
        for hit in hits:
            found = self._add_item("hits", found, hit)
        data.hits[kind] = found
        return compact_set.size(found) > known

    def hits_of_kind(self, kind: LookupKind) -> tuple[Hit, ...]:
        """The hits of one kind of lookup, in the order in which they were found."""
        if self.rare_data is None:  # the usual case
            return ()
        return tuple(compact_set.items(self.rare_data.hits.get(kind)))

    def add_pairs(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Add addresses with ports, to be looked up."""
        data = self.rare_data = self.rare_data or RareData()
        for pair in pairs:
            data.pairs = self._add_item("pairs", data.pairs, pair)

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """The addresses with ports to look up, in order."""
        return () if self.rare_data is None else tuple(compact_set.items(self.rare_data.pairs))

    def _max_asset_value(self) -> int:
        """The highest asset value of all addresses so far."""
        address_info = self.compiled.assets.address_info
        values = [address_info(address).value for address in self.addresses()]
        return max(*values, self.rare_data.asset_value) if self.rare_data else max(values)

    def addresses(self) -> tuple[str, ...]:
        """The source, then the destination addresses, in order; one may be in both."""
        return (*compact_set.items(self.src_ips), *compact_set.items(self.dst_ips))


def add_id(ids: CompactSet[str], id_: str) -> CompactSet[str]:
    """Add the id of an event; one that another event had is made unique by a number."""
    if compact_set.contains(ids, id_):
        number = compact_set.size(ids) + 1
        while compact_set.contains(ids, f"{id_} ({number})"):
            number += 1
        id_ = f"{id_} ({number})"
    return compact_set.add(ids, id_)


def _custom_data(event: NormalizedEvent) -> Iterator[CustomData]:
    """The custom data of an event that are not empty, with their labels."""
    if event.custom_data1:
        yield CustomData(event.custom_label1, event.custom_data1)
    if event.custom_data2:
        yield CustomData(event.custom_label2, event.custom_data2)
    if event.custom_data3:
        yield CustomData(event.custom_label3, event.custom_data3)


def _pairs(event: NormalizedEvent) -> Iterator[tuple[str, int]]:
    """The addresses of an event with their ports, as far as both are known."""
    for address, port in ((event.src_ip, event.src_port), (event.dst_ip, event.dst_port)):
        if port and address not in UNSPECIFIED_ADDRESSES:
            yield address, port
