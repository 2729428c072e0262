"""Events reach a stream in order, whatever happens to its server."""

import base64
import threading
from pathlib import Path

import pytest

from benchmarks.exactly_once.senders import NatsSender
from tests.support.cluster import EVENTS
from tests.support.jetstream import StreamPublisher, last_sequence, on_disk
from tests.support.nats_server import NatsServer

pytestmark = pytest.mark.integration

STREAM = "tested"
BATCHES, BATCH = 300, 20


def stored(server: NatsServer) -> list[bytes]:
    """All messages of the stream."""
    with StreamPublisher(server.port) as client:
        numbers = range(1, last_sequence(server, STREAM) + 1)
        subject = f"$JS.API.STREAM.MSG.GET.{STREAM}"
        answers = [client.request(subject, {"seq": number}) for number in numbers]
    return [base64.b64decode(answer["message"]["data"]) for answer in answers]


def test_a_killed_server_has_all_that_was_sent_to_its_stream(tmp_path: Path) -> None:
    batches = [[b"%d-%d" % (batch, n) for n in range(BATCH)] for batch in range(BATCHES)]
    with NatsServer(tmp_path, on_disk(tmp_path / "store")) as server:
        with StreamPublisher(server.port) as client:
            stream = {"name": STREAM, "subjects": [EVENTS], "storage": "file"}
            assert "error" not in client.request(f"$JS.API.STREAM.CREATE.{STREAM}", stream)
        sender, half = NatsSender(server, to_stream=True), threading.Event()

        def send() -> None:
            for number, batch in enumerate(batches):
                sender.send(batch)
                if number == BATCHES // 4:
                    half.set()

        thread = threading.Thread(target=send)
        thread.start()
        half.wait()
        for _ in range(2):
            server.kill()
            server.start()
        thread.join()
        sender.close()
        found = stored(server)
    assert list(dict.fromkeys(found)) == [one for batch in batches for one in batch]
    assert len(found) <= BATCHES * BATCH + sender.sent_again
