"""Routes each event to the send queues of the workers whose directives it can concern.

Only the routing key of an event is decoded, except where the sender waits for an answer (HTTP);
such an event goes to all of its workers or to none.
Everything here is on the path of every event.
"""

import time
from collections.abc import Sequence

from engine.cache import FunctionCache
from engine.directives.index import DirectiveIds
from engine.errors import InvalidEventError
from engine.event import decode_event, decode_routing_key
from shards.ipc.messages import RouterReport
from shards.ledger import WORKER_DIED, Ledger, add_counts
from shards.logs import EventLog
from shards.router.routing_table import ELSEWHERE, RoutingTable
from shards.router.send_queue import SendQueue
from shards.sources.event_source import QUEUE_FULL, EventSource, Refusal
from shards.unmatched_events import UnmatchedEvents

_CACHED_QUEUES = 4096
"""Size of the cache of send queues by workers: events concern few combinations of workers."""


class EventCheck:
    """Takes events that are stored before they are routed: only checks them."""

    def __init__(self, router: "Router") -> None:
        self.take = router.check

    def flush(self) -> None:
        """Nothing waits."""


class Router:
    """Counts every event, and puts the matching ones on the send queues of their workers."""

    def __init__(
        self,
        table: RoutingTable,
        send_queues: Sequence[SendQueue],
        unmatched: UnmatchedEvents | None = None,
    ) -> None:
        """`table`: the one to begin with. `send_queues`: for each worker, by worker number.

        `unmatched`: where events that concern no directive are counted by signature.
        """
        self._ledger = Ledger()
        self._events = self._ledger.events
        self.read = 0
        """The position up to which a stream has been read; kept up to date by its owner."""
        self._send_queues = send_queues
        self._queues_of = FunctionCache(self._find_queues, _CACHED_QUEUES).__getitem__
        """The send queues of these workers, without ELSEWHERE."""
        self.use(table)
        self._event_log = EventLog()
        self._note_unmatched = unmatched.add if unmatched is not None else None

    def use(self, table: RoutingTable) -> None:
        """Route by this table from now on, and let the workers use its generation."""
        self._find_workers = table.find_workers
        self._is_whitelisted = table.is_whitelisted
        for queue in self._send_queues:
            queue.begin_generation(table.generation, self.read)

    def route(self, raws: Sequence[bytes], first: int = 0) -> None:
        """Route the events of one read, and flush. Their sender does not wait for an answer.

        `first`: the position of the first event in a stream, if there is one.
        """
        find, unmatched, note_unmatched = self._find_workers, 0, self._note_unmatched
        for position, raw in enumerate(raws, first):
            try:
                key = decode_routing_key(raw)
            except InvalidEventError as error:
                self._count_invalid(error, raw)
                continue
            workers = find(key)
            if not workers:
                unmatched += 1
                if note_unmatched is not None:
                    note_unmatched(key, raw)
            elif self._is_whitelisted(key.src_ip):
                self._events.whitelisted += 1
            else:
                self._put(self._queues_of(workers), raw, position)
        self._events.received += len(raws)
        self._events.unmatched += unmatched
        self.flush()

    def route_again(self, raws: Sequence[bytes], first: int) -> None:
        """As `route`, for events that a router before this one has counted."""
        ledger, self._ledger = self._ledger, Ledger()
        self._events = self._ledger.events
        note_unmatched, self._note_unmatched = self._note_unmatched, None
        self.route(raws, first)
        self._ledger, self._events = ledger, ledger.events
        self._note_unmatched = note_unmatched

    def take(self, raw: bytes) -> Refusal | None:
        """Validate and route one event; returns why it is refused, None if it is accepted."""
        self._events.received += 1
        try:
            event = decode_event(raw)
        except InvalidEventError as error:
            self._count_invalid(error, raw)
            return Refusal(error.reason, error.detail)
        workers = self._find_workers(event)
        if not workers:
            self._events.unmatched += 1
            if self._note_unmatched is not None:
                self._note_unmatched(decode_routing_key(raw), raw)
            return None
        if self._is_whitelisted(event.src_ip):
            self._events.whitelisted += 1
            return None
        queues = self._queues_of(workers)
        if any(queue.full for queue in queues):
            return self._refuse_for_now()
        self._put(queues, raw)
        return None

    def check(self, raw: bytes) -> Refusal | None:
        """Validate one event that is to be routed later; if it is refused, count it and say why."""
        try:
            event = decode_event(raw)
        except InvalidEventError as error:
            self._events.received += 1
            self._count_invalid(error, raw)
            return Refusal(error.reason, error.detail)
        if any(queue.full for queue in self._queues_of(self._find_workers(event))):
            self._events.received += 1
            return self._refuse_for_now()
        return None

    def _refuse_for_now(self) -> Refusal:
        self._events.dropped[QUEUE_FULL] += 1
        return Refusal(QUEUE_FULL, "a worker has more events waiting than max-queue")

    def _count_invalid(self, error: InvalidEventError, raw: bytes) -> None:
        self._ledger.count_invalid(self._events.invalid, error)
        self._event_log.log_invalid(error, raw, time.monotonic())

    def _find_queues(self, workers: DirectiveIds) -> list[SendQueue]:
        return [self._send_queues[worker] for worker in workers if worker != ELSEWHERE]

    def _put(self, queues: Sequence[SendQueue], raw: bytes, position: int = 0) -> None:
        """Put an event on these send queues; one that is full drops it."""
        if not queues:
            self._events.elsewhere += 1
            return
        self._events.routed += 1
        for queue in queues:
            queue.put(raw, position)

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
        queues = dict(enumerate(self._send_queues))
        for queue in self._send_queues:
            ledger.deliveries.sent += queue.sent
            ledger.deliveries.redelivered += queue.redelivered
            if queue.dropped:
                ledger.deliveries.dropped[QUEUE_FULL] += queue.dropped
            if queue.lost:
                ledger.deliveries.lost[WORKER_DIED] += queue.lost
        return RouterReport(
            ledger=ledger,
            accepted={worker: queue.sent - queue.dropped for worker, queue in queues.items()},
            lost={worker: queue.lost for worker, queue in queues.items() if queue.lost},
            queued={worker: queue.queued for worker, queue in queues.items()},
            connected=source.connected,
            read=self.read,
            lag=source.lag,
            without_pipe=[w for w, queue in enumerate(self._send_queues) if not queue.has_pipe],
        )
