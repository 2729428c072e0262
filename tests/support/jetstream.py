"""Streams of a real nats-server: its configuration, a publisher that waits, and their state."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.nats_server import NOBODY, Login, NatsServer, Publisher


def on_disk(store: Path) -> str:
    """The line of a server's configuration that keeps streams in this folder.

    Where many processes share a machine, a server falls behind publishers that do not wait for it:
    by default it drops what exceeds 10,000 messages.
    """
    return f"jetstream {{ store_dir: {json.dumps(str(store))}, max_buffered_msgs: 1000000 }}"


class StreamPublisher(Publisher):
    """Publishes plain messages, and waits until a stream has them."""

    def __init__(self, port: int, login: Login = NOBODY) -> None:
        super().__init__(port, login)
        self._inbox = f"_INBOX.{uuid.uuid4().hex}"
        self.send(f"SUB {self._inbox} 1\r\n".encode())

    def publish_and_wait(self, subject: str, payloads: Sequence[bytes]) -> None:
        """Publish these, and wait until all of them are in a stream.

        OSError if not: nobody knows which of them are in it.
        """
        head = f"PUB {subject} {self._inbox}".encode()
        self.send(b"".join(b"%b %d\r\n%b\r\n" % (head, len(one), one) for one in payloads))
        for _ in payloads:
            answer = self._answer()
            if "seq" not in answer:
                raise OSError(f"not in a stream: {answer}")

    def request(self, subject: str, body: Any) -> Any:
        """Ask the server's interface for streams something."""
        text = json.dumps(body).encode()
        self.send(
            b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), self._inbox.encode(), len(text), text)
        )
        return self._answer()

    def _answer(self) -> Any:
        message = self._connection.receive()
        assert message is not None, "nobody has sent a ping"
        return json.loads(message)


def last_sequence(server: NatsServer, stream: str) -> int:
    """The sequence of the last message of a stream: the number of all that it ever had."""
    accounts = server.monitor("jsz?streams=true")["account_details"]
    streams = {one["name"]: one for account in accounts for one in account["stream_detail"]}
    return int(streams[stream]["state"]["last_seq"])
