"""Sends batches of events at a steady rate, over HTTP or NATS, until the service has taken all."""

import http.client
import json
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from shards.sources.event_source import QUEUE_FULL
from tests.support.cluster import EVENTS
from tests.support.jetstream import StreamPublisher
from tests.support.nats_server import NatsServer, frame

_RETRY_SECONDS = 0.05
_GIVE_UP_SECONDS = 60.0


class Sender(Protocol):
    """`refused`: number of refusals, each of which was followed by another try.

    `sent_again`: number of events that were sent again since nobody knew whether they had arrived.
    """

    refused: int
    sent_again: int

    def send(self, events: Sequence[bytes]) -> None:
        """Send events; returns when they are accepted. OSError if they are not, for a minute."""

    def close(self) -> None:
        """Close the connection."""


class NatsSender:
    """Publishes to a server, which accepts everything; it connects again to one that was killed."""

    def __init__(self, server: NatsServer, *, to_stream: bool = False) -> None:
        """`to_stream`: wait until a stream has the events."""
        self.refused = 0
        self.sent_again = 0
        self._server = server
        self._to_stream = to_stream
        self._publisher: StreamPublisher | None = None

    def send(self, events: Sequence[bytes]) -> None:
        """Publish events until that has worked for all of them."""
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        while True:
            try:
                self._publish(events)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                self.close()
                self.sent_again += len(events)
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _publish(self, events: Sequence[bytes]) -> None:
        if self._publisher is None:
            self._publisher = StreamPublisher(self._server.port, self._server.login)
        if self._to_stream:
            self._publisher.publish_and_wait(EVENTS, events)
        else:
            self._publisher.send(b"".join(frame(EVENTS, event) for event in events))

    def close(self) -> None:
        """Close the connection; the next events open another."""
        if self._publisher is not None:
            self._publisher.close()
        self._publisher = None


class HttpSender:
    """Posts to the service; what it refuses is posted again before anything else."""

    def __init__(self, port: int) -> None:
        self.refused = 0
        self.sent_again = 0
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def send(self, events: Sequence[bytes]) -> None:
        """Post events until each is accepted once."""
        deadline, key = time.monotonic() + _GIVE_UP_SECONDS, uuid.uuid4().hex
        while events:
            if time.monotonic() > deadline:
                raise OSError(f"{len(events)} events are not accepted")
            try:
                status, answer = self._post(events, key)
            except (OSError, http.client.HTTPException):
                self.close()
                self.sent_again += len(events)
                time.sleep(_RETRY_SECONDS)
                continue  # with the same key: if they were accepted, the service says so
            rest = _not_accepted(events, status, answer)
            if rest:
                self.refused += len(rest)
                time.sleep(_RETRY_SECONDS)
            if len(rest) < len(events):
                key = uuid.uuid4().hex
            events = rest

    def _post(self, events: Sequence[bytes], key: str) -> tuple[int, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Idempotency-Key": key}
        self._connection.request("POST", "/events", b"\n".join(events), headers)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _not_accepted(events: Sequence[bytes], status: int, answer: Any) -> list[bytes]:
    """The events to send again; ValueError if the answer says that this is of no use."""
    if status == 200:
        return []
    if status not in (409, 429, 503, 507):
        raise ValueError(f"the service answered {status}: {answer}")
    if "received" not in answer:
        return list(events)
    rest: list[bytes] = []
    for reason, ranges in answer["rejected_ranges"].items():
        if reason != QUEUE_FULL:
            raise ValueError(f"the service answered {status}: {answer}")
        for first, last in ranges:
            rest += events[first : last + 1]
    return rest + list(events[answer.get("not_taken_from", len(events)) :])


class SenderThread(threading.Thread):
    """Sends a batch every `interval` seconds; one that is late is followed by the next at once."""

    def __init__(self, sender: Sender, batches: Iterable[list[bytes]], interval: float) -> None:
        super().__init__(daemon=True)
        self._sender = sender
        self._batches = batches
        self._interval = interval
        self.fault = ""
        """Why it has ended early."""
        self.sent = 0
        self.seconds = 0.0
        """Time that it took."""

    def run(self) -> None:
        """Send all batches."""
        begun = due = time.monotonic()
        try:
            for batch in self._batches:
                time.sleep(max(0.0, due - time.monotonic()))
                self._sender.send(batch)
                self.sent += len(batch)
                # A service that stopped taking events is not flooded afterwards.
                due = max(due + self._interval, time.monotonic() - 1.0)
        except (OSError, ValueError) as error:
            self.fault = f"the driver has ended: {error}"
        self.seconds = time.monotonic() - begun
