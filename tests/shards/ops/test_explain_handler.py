"""POST /explain at the HTTP server, in the process of the test; see tests/integration too."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import aiohttp

from engine.explain.verdict import Verdict
from shards.ipc.explanations import DirectiveExplanation
from shards.ops.event_explanation import EventExplanation, Explain, UnknownDirectiveError
from shards.ops.explain_handler import MAX_BODY_BYTES, MAX_DIRECTIVES, MAX_UNDER_WAY, ExplainHandler
from shards.ops.http_server import run_ops_server
from shards.ops.worker_answers import TooManyQueriesError
from tests.support.nats_server import free_port
from tests.support.overviews import overview
from tests.support.replaying import event

EVENT = json.dumps(event("a", 0, 1)).encode()
VERDICT = Verdict("taken", 1, 2, "abc", 2, 3)
ANSWER = EventExplanation([], [DirectiveExplanation(1, "n", 0, 7, [VERDICT], 3, 2)], 4)
Answer = tuple[int, Any]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


async def post(
    port: int, query: str = "", body: bytes = EVENT, headers: dict[str, str] | None = None
) -> Answer:
    url = f"http://127.0.0.1:{port}/explain{query}"
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.post(url, data=body, headers=headers) as answer:
                    return answer.status, json.loads(await answer.text())
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.01)


def answers(explain: Explain, *requests: dict[str, Any], token: str = "") -> list[Answer]:
    found: list[Answer] = []

    async def ask() -> None:
        port = free_port()
        handler = ExplainHandler(explain, token)
        async with run_ops_server("127.0.0.1", port, overview, {"/explain": handler.respond}):
            found.extend([await post(port, **request) for request in requests])

    run(ask())
    return found


class Explained:
    """Answers with a fixed explanation, and keeps what was asked."""

    def __init__(self, answer: EventExplanation = ANSWER) -> None:
        self.asked: list[tuple[bytes, tuple[int, ...]]] = []
        self._answer = answer

    async def __call__(self, raw: bytes, directives: tuple[int, ...]) -> EventExplanation:
        self.asked.append((raw, directives))
        if 404 in directives:
            raise UnknownDirectiveError("no directive 404 is enabled in this service")
        if 429 in directives:
            raise TooManyQueriesError
        return self._answer


def test_the_explanation_is_json() -> None:
    explained = Explained()
    [(status, answer)] = answers(explained, {})
    assert status == 200
    assert answer == {
        "verdicts": [],
        "directives": [
            {
                "directive": 1,
                "name": "n",
                "shard": 0,
                "open_backlogs": 7,
                "verdicts": [
                    {
                        "verdict": "taken",
                        "directive": 1,
                        "stage": 2,
                        "backlog": "abc",
                        "count": 2,
                        "needed": 3,
                    }
                ],
                "verdicts_omitted": 3,
                "backlogs_unasked": 2,
            }
        ],
        "directives_omitted": 4,
        "shards_missing": [],
    }
    assert explained.asked == [(EVENT, ())]


def test_directives_are_selected_by_ids_each_once() -> None:
    explained = Explained()
    answers(explained, {"query": "?directive=1,2&directive=2,3"})
    assert explained.asked == [(EVENT, (1, 2, 3))]


def test_missing_shards_make_it_503_with_what_has_arrived() -> None:
    [(status, answer)] = answers(Explained(EventExplanation([], [], 0, [1, 3])), {})
    assert (status, answer["shards_missing"]) == (503, [1, 3])


def test_what_is_wrong_with_a_request_is_said() -> None:
    many = ",".join(map(str, range(MAX_DIRECTIVES + 1)))
    explained = Explained()
    found = answers(
        explained,
        {"query": "?directive=404"},
        {"query": "?directive=429"},
        {"query": "?directive=x"},
        {"query": f"?directive={many}"},
        {"body": b"x" * (MAX_BODY_BYTES + 1)},
        {"body": b"[" * 40_000},
        {"body": b"\xff"},
        {"headers": {"Content-Encoding": "gzip"}},
    )
    statuses = [status for status, _ in found]
    assert statuses == [404, 429, 400, 400, 413, 400, 400, 415]
    errors = [answer["error"] for _, answer in found]
    assert errors[:5] == [
        "no directive 404 is enabled in this service",
        "too many requests at one time",
        "directive must be ids, like ?directive=1001,1002",
        f"at most {MAX_DIRECTIVES} directives at one time",
        f"a body may have {MAX_BODY_BYTES} bytes",
    ]
    assert errors[5:7] == ["the event is invalid"] * 2
    assert [answer["reason"] for _, answer in found[5:7]] == ["bad_json"] * 2
    assert errors[7] == "a body may not be compressed"
    assert len(explained.asked) == 2, "only the first two got there"


def test_a_token_is_needed_if_there_is_one() -> None:
    right = {"Authorization": "bearer  s3cret"}
    found = answers(
        Explained(),
        {},
        {"headers": {"Authorization": "Bearer other"}},
        {"headers": {"Authorization": "Basic s3cret"}},
        {"headers": right},
        token="s3cret",
    )
    assert [status for status, _ in found] == [401, 401, 401, 200]
    assert found[0][1] == {"error": "wrong or missing token"}


def test_four_requests_are_under_way_at_most() -> None:
    async def ask() -> None:
        ended = asyncio.Event()
        waiting = 0

        async def explain(_: bytes, __: tuple[int, ...]) -> EventExplanation:
            nonlocal waiting
            waiting += 1
            await ended.wait()
            return ANSWER

        port = free_port()
        handler = ExplainHandler(explain, "")
        async with run_ops_server("127.0.0.1", port, overview, {"/explain": handler.respond}):
            tasks = [asyncio.create_task(post(port)) for _ in range(MAX_UNDER_WAY)]
            while waiting < MAX_UNDER_WAY:
                await asyncio.sleep(0.001)
            assert await post(port) == (429, {"error": "too many requests at one time"})
            ended.set()
            assert [status for status, _ in await asyncio.gather(*tasks)] == [200] * MAX_UNDER_WAY
            assert (await post(port))[0] == 200

    run(ask())
