"""A real nats-server with JetStream, and requests to its API over a plain connection."""

import json
import re
from itertools import count
from pathlib import Path
from typing import Any, Self

from tests.support.jetstream import on_disk
from tests.support.nats_server import NatsServer, frame

STREAM, EVENTS = "EV", "dsiem_events"
_INBOX = "_INBOX.tests"


def jetstream_server(folder: Path, *config: str, **more: Any) -> NatsServer:
    """A server that keeps streams in files, also over its death."""
    return NatsServer(folder, on_disk(folder / "jetstream"), *config, **more)


def configured_server(config: Path, folder: Path) -> NatsServer:
    """A server with this configuration, but with a free port, and its files in a folder."""
    text, ports = re.subn(r"^(port|http_port): \d+\n", "", config.read_text("utf-8"), flags=re.M)
    text, places = re.subn(r"store_dir: /data$", f"store_dir: {folder}/data", text, flags=re.M)
    assert (ports, places) == (2, 1)
    return NatsServer(folder, text)


class JetStream:
    """Makes and changes streams; each method waits for the server's answer."""

    def __init__(self, server: NatsServer) -> None:
        self._numbers = count()
        self._answers = server.listener(f"{_INBOX}.*")
        self._publisher = server.publisher()

    def request(self, api: str, body: Any = None, *, may_fail: bool = False) -> Any:
        """The answer to a request to `$JS.API.` and this, which must not be an error."""
        number = next(self._numbers)
        payload = b"" if body is None else json.dumps(body).encode()
        self._publisher.send(frame(f"$JS.API.{api}", payload, f"{_INBOX}.{number}"))
        answer = json.loads(self._answers.wait_for(number + 1)[number])
        assert may_fail or "error" not in answer, answer
        return answer

    def create(self, *subjects: str, name: str = STREAM, **config: Any) -> None:
        """Create a stream, of events unless there are other subjects."""
        body = {"name": name, "subjects": subjects or [EVENTS], "storage": "file", **config}
        self.request(f"STREAM.CREATE.{name}", body)

    def update(self, **config: Any) -> None:
        """Change the configuration of the stream."""
        self.request(f"STREAM.UPDATE.{STREAM}", self.info()["config"] | config)

    def info(self) -> Any:
        """What the server says about the stream."""
        return self.request(f"STREAM.INFO.{STREAM}")

    @property
    def last(self) -> int:
        """The sequence of the last message."""
        return int(self.info()["state"]["last_seq"])

    def purge(self) -> None:
        """Remove all messages."""
        self.request(f"STREAM.PURGE.{STREAM}")

    def delete(self) -> None:
        """Delete the stream."""
        self.request(f"STREAM.DELETE.{STREAM}")

    def consumers(self) -> list[str]:
        """The names of its consumers."""
        return list(self.request(f"CONSUMER.NAMES.{STREAM}")["consumers"] or ())

    def delete_consumers(self) -> int:
        """Delete all of its consumers; returns their number."""
        names = self.consumers()
        for name in names:
            self.request(f"CONSUMER.DELETE.{STREAM}.{name}", may_fail=True)
        return len(names)

    def publish(self, first: int, number: int, subject: str = EVENTS, size: int = 0) -> None:
        """Publish numbered messages of at least this size, and wait until the stream has them."""
        before = self.last
        payloads = (b"%d" % n + b" " * size for n in range(first, first + number))
        self._publisher.publish(subject, payloads)
        while self.last < before + number:
            pass

    def send(self, frames: bytes) -> None:
        """Send frames as they are, and wait until the server has them."""
        self._publisher.send(frames)
        self._publisher.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._publisher.close()
        self._answers.close()
