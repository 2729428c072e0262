"""POST /reload at the HTTP server, in the process of the test; see tests/integration too."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from shards.config.generation import ConfigChanges
from shards.ops.http_server import run_ops_server
from shards.ops.reload_handler import MAX_WAITING, ReloadHandler
from shards.ops.reload_outcome import ReloadOutcome
from tests.support.nats_server import free_port
from tests.support.overviews import FAULT, LINT, overview, reload_outcome

CHANGED = reload_outcome(generation=2, changes=ConfigChanges(changed=[7], unchanged=3))
Answer = tuple[int, Any]


class Reloads:
    """Counts the reloads, which end with the same outcome, once they may."""

    def __init__(self, outcome: ReloadOutcome = CHANGED, *, may_end: bool = True) -> None:
        self.begun = 0
        self.ended = 0
        self.may_end = asyncio.Event()
        if may_end:
            self.may_end.set()
        self._outcome = outcome

    async def __call__(self) -> ReloadOutcome:
        self.begun += 1
        await self.may_end.wait()
        self.ended += 1
        return self._outcome


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(
    reloads: Reloads, token: str = "", address: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """A server that listens on a loopback address, whatever its handler believes; its port."""
    port = free_port()
    posts = {"/reload": ReloadHandler(reloads, token, address).respond}
    async with run_ops_server("127.0.0.1", port, overview, posts):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.001)
            else:
                writer.close()
                break
        yield port


async def post(port: int, headers: dict[str, str] | None = None, body: Any = None) -> Answer:
    url = f"http://127.0.0.1:{port}/reload"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        return answer.status, json.loads(await answer.text())


def answer(
    reloads: Reloads, *, token: str = "", address: str = "127.0.0.1", **about: Any
) -> Answer:
    """What one request gets."""
    found: list[Answer] = []

    async def ask() -> None:
        async with serving(reloads, token, address) as port:
            found.append(await post(port, **about))

    run(ask())
    return found[0]


@pytest.mark.parametrize("outcome", [CHANGED, reload_outcome(problems=[LINT])])
def test_a_reload_is_answered_with_what_has_changed(outcome: ReloadOutcome) -> None:
    assert answer(Reloads(outcome)) == (200, outcome.document())


def test_a_faulty_configuration_is_answered_with_every_fault() -> None:
    outcome = reload_outcome(successful=False, problems=[FAULT, LINT])
    status, document = answer(Reloads(outcome))
    assert (status, document["result"]) == (422, "failed")
    assert document["problems"] == [FAULT, LINT]
    assert document["error"] == "the configuration has 1 fault"


def test_a_configuration_that_cannot_be_read_now_is_to_be_asked_for_again() -> None:
    outcome = reload_outcome(successful=False, error="the service is stopping")
    status, document = answer(Reloads(outcome))
    assert (status, document["error"]) == (503, "the service is stopping")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_token_is_needed_if_there_is_one(address: str) -> None:
    reloads = Reloads()
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic s3cret"}):
        refused = answer(reloads, token="s3cret", address=address, headers=headers)
        assert refused == (401, {"error": "wrong or missing token"})
    assert reloads.begun == 0
    right = {"Authorization": "Bearer s3cret"}
    assert answer(reloads, token="s3cret", address=address, headers=right)[0] == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.5", "backend.example", ""])
def test_without_a_token_it_is_refused_where_others_reach_the_port(address: str) -> None:
    reloads = Reloads()
    status, refused = answer(reloads, address=address)
    assert status == 403
    for wanted in ("--api-token", "DSIEM_API_TOKEN", "--ops-address", "DSIEM_OPS_ADDRESS"):
        assert wanted in refused["error"]
    assert reloads.begun == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_without_a_token_it_is_open_to_this_machine(address: str) -> None:
    assert answer(Reloads(), address=address)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("token", ["", "s3cret"])
def test_a_web_page_cannot_have_a_browser_reload(headers: dict[str, str], token: str) -> None:
    reloads = Reloads()
    refused = answer(reloads, token=token, headers=headers | {"Authorization": f"Bearer {token}"})
    assert refused == (403, {"error": "requests of web pages are refused"})
    assert reloads.begun == 0


def test_a_body_is_refused_unread() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 1000

    for body in (b"{}", b"x" * (1 << 20), chunks()):
        reloads = Reloads()
        assert answer(reloads, body=body) == (400, {"error": "a reload takes no body"})
        assert reloads.begun == 0
    assert answer(Reloads(), body=b"")[0] == 200


def test_other_methods_are_refused() -> None:
    async def ask() -> None:
        reloads = Reloads()
        async with serving(reloads) as port, aiohttp.ClientSession() as session:
            for method in ("GET", "PUT"):
                async with session.request(method, f"http://127.0.0.1:{port}/reload") as refused:
                    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
        assert reloads.begun == 0

    run(ask())


def test_the_number_of_requests_that_wait_is_bounded() -> None:
    async def ask() -> None:
        reloads = Reloads(may_end=False)
        async with serving(reloads) as port:
            tasks = [asyncio.create_task(post(port)) for _ in range(MAX_WAITING)]
            await until(lambda: reloads.begun == MAX_WAITING)
            assert await post(port) == (429, {"error": "too many requests at one time"})
            reloads.may_end.set()
            assert [status for status, _ in await asyncio.gather(*tasks)] == [200] * MAX_WAITING
            assert (await post(port))[0] == 200

    run(ask())


def test_a_client_that_goes_away_does_not_cancel_its_reload_and_still_counts() -> None:
    async def ask() -> None:
        reloads = Reloads(may_end=False)
        async with serving(reloads) as port:
            for number in range(MAX_WAITING):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"POST /reload HTTP/1.1\r\nHost: a\r\n\r\n")
                await until(lambda number=number: reloads.begun == number + 1)
                writer.transport.abort()
            assert (await post(port))[0] == 429
            reloads.may_end.set()
            await until(lambda: reloads.ended == MAX_WAITING)
            assert (await post(port))[0] == 200

    run(ask())


def test_a_reload_goes_on_when_the_server_ends() -> None:
    async def ask() -> None:
        reloads = Reloads(may_end=False)
        async with serving(reloads) as port:
            waiting = asyncio.create_task(post(port))
            await until(lambda: reloads.begun == 1)
        with pytest.raises(aiohttp.ClientError):
            await waiting
        reloads.may_end.set()
        await until(lambda: reloads.ended == 1)

    run(ask())
