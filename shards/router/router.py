"""Routes each event to the send queues of the workers whose directives it can concern.

Only the routing key of an event is decoded, except where the sender waits for an answer (HTTP).
Everything here is on the path of every event.
"""

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.address import canonical_event_ip
from engine.asset import Asset, NetworkAssets
from engine.directives.index import DirectiveIds, DirectiveIndex, DirectiveRoutingKeys
from engine.errors import InvalidEventError
from engine.event import decode_event, decode_routing_key
from shards.ipc.messages import RouterReport
from shards.ledger import Ledger, add_counts
from shards.logs import EventLog
from shards.placement import shard_of_directive
from shards.progress import TrackProgress, untracked
from shards.router.send_queue import SendQueue
from shards.settings.settings import Settings
from shards.sources.event_source import QUEUE_FULL, EventSource, Refusal

_decode_routing_keys = msgspec.msgpack.Decoder(list[DirectiveRoutingKeys]).decode


class RouterSetup(Struct, frozen=True):
    """The set-up of a router. `routing_keys`: a list of DirectiveRoutingKeys in MessagePack."""

    settings: Settings
    routing_keys: bytes
    assets: tuple[Asset, ...]


class Router:
    """Counts every event, and puts the matching ones on the send queues of their workers."""

    def __init__(
        self,
        setup: RouterSetup,
        send_queues: Sequence[SendQueue],
        track_progress: TrackProgress = untracked,
    ) -> None:
        """`send_queues`: one for each worker, by worker number."""
        self._ledger = Ledger()
        self._events = self._ledger.events
        self._assets = NetworkAssets(track_progress(setup.assets))
        keys = _decode_routing_keys(setup.routing_keys)
        self._find_directives = DirectiveIndex(track_progress(keys)).find
        self._send_queues = send_queues
        self._cluster = setup.settings.cluster_size, setup.settings.cluster_part
        self._queues_by_directives: dict[DirectiveIds, tuple[SendQueue, ...]] = {}
        """For each result of the index, the send queues of its directives' workers, each once."""
        self._event_log = EventLog()

    def route(self, raws: Sequence[bytes]) -> None:
        """Route the events of one read, and flush. Their sender does not wait for an answer."""
        find, unmatched = self._find_directives, 0
        for raw in raws:
            try:
                key = decode_routing_key(raw)
            except InvalidEventError as error:
                self._count_invalid(error, raw)
                continue
            ids = find(key)
            if ids:
                self._send(ids, key.src_ip, raw)
            else:
                unmatched += 1
        self._events.received += len(raws)
        self._events.unmatched += unmatched
        self.flush()

    def take(self, raw: bytes) -> Refusal | None:
        """Validate and route one event; returns why it is refused, None if it is accepted."""
        self._events.received += 1
        try:
            event = decode_event(raw)
        except InvalidEventError as error:
            self._count_invalid(error, raw)
            return Refusal(error.reason, error.detail)
        ids = self._find_directives(event)
        if not ids:
            self._events.unmatched += 1
            return None
        if self._send(ids, event.src_ip, raw):
            return None
        return Refusal(QUEUE_FULL, "a worker has more events waiting than max-queue")

    def _count_invalid(self, error: InvalidEventError, raw: bytes) -> None:
        self._ledger.count_invalid(self._events.invalid, error)
        self._event_log.log_invalid(error, raw, time.monotonic())

    def _send(self, ids: DirectiveIds, src_ip: str, raw: bytes) -> bool:
        """Put an event on the send queues of these directives; False if one of them is full."""
        if self._assets.address_info(canonical_event_ip(src_ip)).whitelisted:
            self._events.whitelisted += 1
            return True
        queues = self._queues_by_directives.get(ids)
        if queues is None:
            queues = self._queues_by_directives[ids] = self._find_queues(ids)
        if not queues:
            self._events.elsewhere += 1
            return True
        self._events.routed += 1
        accepted = True
        for queue in queues:
            accepted = queue.put(raw) and accepted
        return accepted

    def _find_queues(self, ids: DirectiveIds) -> tuple[SendQueue, ...]:
        """The send queues of these directives; none if other services of the node have them all."""
        size, part = self._cluster
        shards = (shard_of_directive(directive, size, len(self._send_queues)) for directive in ids)
        workers = dict.fromkeys(worker for node, worker in shards if node == part)
        return tuple(self._send_queues[worker] for worker in workers)

    def flush(self) -> None:
        """Let the send queues write what was put on them; called at the end of each read."""
        for queue in self._send_queues:
            queue.flush()

    def close(self) -> None:
        """Log the number of suppressed log lines."""
        self._event_log.close()

    def make_report(self, source: EventSource) -> RouterReport:
        """The counts so far, including those of the event source."""
        ledger = Ledger(feed=source.feed)
        add_counts(ledger, self._ledger)
        for queue in self._send_queues:
            ledger.deliveries.sent += queue.sent
            if queue.dropped:
                ledger.deliveries.dropped[QUEUE_FULL] += queue.dropped
        return RouterReport(
            ledger=ledger,
            queued={worker: queue.queued for worker, queue in enumerate(self._send_queues)},
            written={pipe: n for queue in self._send_queues for pipe, n in queue.written.items()},
            connected=source.connected,
            without_pipe=[w for w, queue in enumerate(self._send_queues) if not queue.has_pipe],
        )
