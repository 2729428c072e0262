"""POST /explain at the ops port of a running service: its live backlogs, and nothing changes."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.nats_server import free_port
from tests.support.replaying import Json, directive, event, rule
from tests.support.serving import (
    DEADLINE,
    Service,
    directives_of,
    serving,
    wait_until,
    write_config,
)

FIRST, SECOND = directives_of(0, 2)[0], directives_of(1, 2)[0]
"""Directives of the two workers."""


class Asking:
    """A service with two workers, and requests to its ops port."""

    def __init__(self, service: Service, port: int) -> None:
        self.service = service
        self._port = port

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        with closing(self.connect()) as connection:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), dict(answer.getheaders())

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)

    def explain(self, of: Json, path: str = "/explain", **headers: str) -> tuple[int, Any]:
        return self.request("POST", path, json.dumps(of).encode(), **headers)[:2]

    def verdicts(self, of: Json, path: str = "/explain") -> list[Json]:
        """The verdicts of all directives."""
        status, answer = self.explain(of, path)
        assert (status, answer["shards_missing"]) == (200, [])
        return [verdict for one in answer["directives"] for verdict in one["verdicts"]]

    def status(self) -> Any:
        return self.request("GET", "/status")[1]

    def wait_for_opened(self, number: int) -> None:
        wait_until(lambda: self.status()["ledger"]["backlogs"]["opened"] == number, "backlogs")


@contextmanager
def asking(folder: Path, *options: str) -> Iterator[Asking]:
    """Directive FIRST takes plugin_sid 1, then 3 of 2 from the same source; SECOND sid 3 and 2."""
    write_config(
        folder,
        [
            directive(FIRST, rule(1, 1), rule(2, 2, occurrence=3, **{"from": ":1"})),
            directive(SECOND, rule(1, 3), rule(2, 2, port_to="22")),
        ],
    )
    port = free_port()
    with serving(folder, f"--ops-port={port}", *options) as service:
        yield Asking(service, port)


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[Asking]:
    with asking(tmp_path) as found:
        yield found


def test_it_says_what_live_backlogs_would_do_and_changes_nothing(ops: Asking) -> None:
    assert ops.service.post([event("a", 0, 1), event("b", 1, 3), event("c", 2, 2)]).accepted == 3
    ops.wait_for_opened(2)
    wait_until(lambda: ops.service.lines() == 3, "3 lines")
    before = ops.status()
    status, answer = ops.explain(event("d", 3, 2, src_ip="203.0.113.9"))
    assert status == 200
    assert [(one["directive"], one["shard"]) for one in answer["directives"]] == sorted(
        [(FIRST, 0), (SECOND, 1)]
    )
    found = {one["directive"]: one for one in answer["directives"]}
    refused, opening = found[FIRST]["verdicts"]
    assert refused["verdict"] == opening["verdict"] == "no_match"
    assert refused["backlog"] in {alarm["alarm_id"] for alarm in ops.service.alarms()}
    assert refused["refusal"] == {
        "field": "from",
        "rule": ":1",
        "wants": "192.0.2.1",
        "got": "203.0.113.9",
        "met": 2,
        "conditions": 3,
    }
    assert found[FIRST]["open_backlogs"] == found[SECOND]["open_backlogs"] == 1
    assert found[SECOND]["verdicts"][0]["refusal"]["field"] == "port_to"
    # What it says happens.
    assert [
        (one["verdict"], one.get("count"), one.get("needed"))
        for one in ops.verdicts(event("d", 3, 2), f"/explain?directive={FIRST}")
    ] == [("taken", 2, 3)]
    assert ops.verdicts(event("c", 2, 2), f"/explain?directive={FIRST}") == [
        {"verdict": "repeated", "directive": FIRST}
    ]
    assert {one["verdict"] for one in ops.verdicts(event("e", 3, 3))} == {"no_match", "opened"}
    assert ops.service.lines() == 3
    after = ops.status()
    assert after["ledger"] == before["ledger"]
    assert [shard["backlogs"] for shard in after["shards"]] == [1, 1]
    ops.service.post([event("d", 3, 2)])
    wait_until(lambda: ops.service.lines() == 4, "the line that was foretold")
    ended = ops.service.stop()
    assert ended.code == 0
    ended.ledger.check()
    assert ended.ledger["events_received"] == 4


def test_events_that_concern_no_directive_come_from_the_whitelist_or_are_invalid(
    ops: Asking,
) -> None:
    status, answer = ops.explain(event("a", 0, 99))
    assert (status, answer["verdicts"]) == (200, [{"verdict": "unmatched"}])
    status, answer = ops.explain(event("a", 0, 1, src_ip="10.0.0.99"))
    assert (status, answer["verdicts"], answer["directives"]) == (
        200,
        [{"verdict": "whitelisted"}],
        [],
    )
    # A directive that is selected is explained for events that do not concern it, too.
    [verdict] = ops.verdicts(event("a", 0, 99), f"/explain?directive={FIRST}")
    assert verdict["refusal"]["field"] == "plugin_sid"
    status, answer = ops.explain({"event_id": "x"})
    assert (status, answer["error"], answer["reason"]) == (
        400,
        "the event is invalid",
        "missing_field",
    )
    assert answer["verdicts"] == [
        {"verdict": "invalid", "detail": f"missing_field: {answer['detail']}"}
    ]
    assert ops.status()["ledger"]["events"]["received"] == 0
    assert ops.status()["ledger"]["events"]["invalid"] == {}


def test_requests_that_are_refused(ops: Asking) -> None:
    assert ops.request("POST", "/explain", b" " * (48 << 10) + b"{}")[0] == 413
    assert ops.request("POST", "/explain")[0] == 400
    status, answer = ops.explain(event("a", 0, 1), "/explain?directive=4711")
    assert (status, answer) == (404, {"error": "no directive 4711 is enabled in this service"})
    for wrong in ("x", "", "-1", "1,", "²", "9" * 20):
        status, answer = ops.explain(event("a", 0, 1), f"/explain?directive={_quoted(wrong)}")
        assert (status, answer) == (
            400,
            {"error": "directive must be ids, like ?directive=1001,1002"},
        )
    status, _, headers = ops.request("GET", "/explain")
    assert (status, headers["Allow"]) == (405, "POST")
    assert ops.request("POST", "/explain", b"x", **{"Content-Encoding": "gzip"})[0] == 415


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def test_a_token_is_asked_for_as_at_the_source_of_events(tmp_path: Path) -> None:
    with asking(tmp_path, "--api-token=s3cret") as ops:
        status, answer, headers = ops.request("POST", "/explain", b"{}")
        assert (status, answer) == (401, {"error": "wrong or missing token"})
        assert headers["WWW-Authenticate"] == "Bearer"
        assert ops.explain(event("a", 0, 1), Authorization="Bearer wrong")[0] == 401
        assert ops.explain(event("a", 0, 1), Authorization="Bearer s3cret")[0] == 200
        assert ops.request("GET", "/status")[0] == 200


def test_a_shard_that_does_not_answer_is_named_and_the_others_are_there(ops: Asking) -> None:
    hung, _ = ops.service.workers
    os.kill(hung, signal.SIGSTOP)
    since = time.monotonic()
    status, answer, headers = ops.request("POST", "/explain", json.dumps(event("a", 0, 2)).encode())
    assert 2 <= time.monotonic() - since < DEADLINE
    assert (status, answer["shards_missing"], headers["Retry-After"]) == (503, [0], "1")
    assert [one["shard"] for one in answer["directives"]] == [1]
    assert ops.verdicts(event("a", 0, 2), f"/explain?directive={SECOND}")
    os.kill(hung, signal.SIGCONT)
    wait_until(lambda: ops.explain(event("a", 0, 2))[0] == 200, "all shards again")


def test_a_worker_that_dies_meanwhile_ends_the_waiting(ops: Asking) -> None:
    hung, _ = ops.service.workers
    os.kill(hung, signal.SIGSTOP)
    with closing(ops.connect()) as connection:
        connection.request("POST", "/explain", json.dumps(event("a", 0, 2)))
        assert ops.status(), "once this is answered, the request is under way"
        os.kill(hung, signal.SIGKILL)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["shards_missing"]) == (503, [0])
    ops.service.wait_for_children(3, hung)
    wait_until(lambda: ops.explain(event("a", 0, 2))[0] == 200, "all shards again")


def test_more_than_four_requests_at_one_time_are_refused_and_none_blocks_the_supervisor(
    ops: Asking,
) -> None:
    """A stopped worker leaves requests of the largest size unread."""
    hung, _ = ops.service.workers
    os.kill(hung, signal.SIGSTOP)
    large = event("a", 0, 2, title="x" * 48_000)
    found: list[int] = []
    askers = [_in_background(lambda: found.append(ops.explain(large)[0])) for _ in range(40)]
    for asker in askers:
        asker.join(DEADLINE)
    assert set(found) == {503, 429}
    assert ops.request("GET", "/other")[0] == 404
    assert found.count(503) >= 4
    os.kill(hung, signal.SIGCONT)
    wait_until(lambda: ops.explain(event("a", 0, 2))[0] == 200, "all shards again")


def _in_background(target: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread
