"""The router process: takes events in, and hands each to the shards that it can concern.

Only the small key of an event is decoded, except where its sender waits for an answer (HTTP).
Everything here is on the path of every event, concerned or not.
"""

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.address import canonical_ip
from engine.asset import Asset, NetworkAssets
from engine.directives.index import DirectiveIds, DirectiveIndex, DirectiveRoutingKeys
from engine.errors import InvalidEventError
from engine.event import decode_event, decode_routing_key
from shards.ipc.messages import RouterReport
from shards.ledger import Events
from shards.logs import InvalidEventLog
from shards.placement import shard_of_directive
from shards.router.send_queue import SendQueue
from shards.settings.settings import Settings
from shards.sources.event_source import QUEUE_FULL, EventSource, Refusal

REPORT_SECONDS = 0.5
_keys = msgspec.msgpack.Decoder(list[DirectiveRoutingKeys])


class RouterSetup(Struct, frozen=True):
    """What a router is started with. `keys`: a list of DirectiveKeys in MessagePack."""

    settings: Settings
    keys: bytes
    assets: tuple[Asset, ...]


class Router:
    """Counts every event, and hands those that concern a directive to its shard's outlet."""

    def __init__(self, setup: RouterSetup, outlets: Sequence[SendQueue]) -> None:
        self.events = Events()
        self._assets = NetworkAssets(setup.assets)
        self._find = DirectiveIndex(_keys.decode(setup.keys)).find
        self._outlets = outlets
        self._cluster = setup.settings.cluster_size, setup.settings.cluster_part
        self._concerned: dict[DirectiveIds, tuple[SendQueue, ...]] = {}
        """By directive ids, as the index has them: the outlets of their shards, each once."""
        self._invalid = InvalidEventLog()

    def route(self, raws: Sequence[bytes]) -> None:
        """Take the events of one read, whose sender does not wait for an answer; and flush."""
        find, unmatched = self._find, 0
        for raw in raws:
            try:
                key = decode_routing_key(raw)
            except InvalidEventError as error:
                self._refuse(error, raw)
                continue
            ids = find(key)
            if ids:
                self._hand_on(ids, key.src_ip, raw)
            else:
                unmatched += 1
        self.events.received += len(raws)
        self.events.unmatched += unmatched
        self.flush()

    def take(self, raw: bytes) -> Refusal | None:
        """Take an event whose sender wants to know at once whether all of it is valid."""
        self.events.received += 1
        try:
            event = decode_event(raw)
        except InvalidEventError as error:
            self._refuse(error, raw)
            return Refusal(error.reason, error.detail)
        ids = self._find(event)
        if not ids:
            self.events.unmatched += 1
            return None
        if self._hand_on(ids, event.src_ip, raw):
            return None
        return Refusal(QUEUE_FULL, "a worker has more events waiting than max-queue")

    def _refuse(self, error: InvalidEventError, raw: bytes) -> None:
        self.events.invalid[error.reason] += 1
        self._invalid.report(error.reason, raw, time.monotonic())

    def _hand_on(self, ids: DirectiveIds, src_ip: str, raw: bytes) -> bool:
        """Whether every shard concerned has taken the event."""
        if self._assets.facts(canonical_ip(src_ip)).whitelisted:
            self.events.whitelisted += 1
            return True
        outlets = self._concerned.get(ids)
        if outlets is None:
            outlets = self._concerned[ids] = self._concerned_by(ids)
        if not outlets:
            self.events.elsewhere += 1
            return True
        self.events.routed += 1
        taken = True
        for outlet in outlets:
            taken = outlet.offer(raw) and taken
        return taken

    def _concerned_by(self, ids: DirectiveIds) -> tuple[SendQueue, ...]:
        """None when other services of the node have all of these directives."""
        size, part = self._cluster
        places = (shard_of_directive(directive, size, len(self._outlets)) for directive in ids)
        workers = dict.fromkeys(worker for node, worker in places if node == part)
        return tuple(self._outlets[worker] for worker in workers)

    def flush(self) -> None:
        """Hand what was taken on to the shards: at the end of each read."""
        for outlet in self._outlets:
            outlet.flush()

    def close(self) -> None:
        """Say what is left to say."""
        self._invalid.close()

    def report(self, source: EventSource) -> RouterReport:
        """The counts so far, and what is known of the source."""
        queues = {worker: outlet.queue for worker, outlet in enumerate(self._outlets)}
        written = {link: n for outlet in self._outlets for link, n in outlet.written.items()}
        return RouterReport(self.events, queues, written, source.feed, source.connected)
