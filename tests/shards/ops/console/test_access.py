"""Who may use the console: token, cookie, other sites' pages, names that lead here."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shards.ops.console import sessions
from shards.ops.console.sessions import (
    MAX_CLIENTS,
    MAX_FAILURES,
    MAX_SESSIONS,
    LoginLimit,
    Sessions,
)
from tests.support.console import TOKEN, ConsoleClient, running_console
from tests.support.history import Clock, run
from tests.support.replaying import event

API = "/api/v1/"


async def log_in(client: ConsoleClient, token: str = TOKEN, **more: Any) -> int:
    return (await client.post(f"{API}login", json={"token": token}, **more)).status


def test_the_token_gives_a_cookie_that_scripts_cannot_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            assert (await client.get(f"{API}flow")).status == 401
            answer = await client.post(f"{API}login", json={"token": TOKEN})
            cookie = answer.headers["Set-Cookie"]
            assert answer.status == 204
            assert TOKEN not in cookie
            for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
                assert attribute in cookie
            assert (await client.get(f"{API}flow")).status == 200

    run(test())


def test_after_the_logout_the_cookie_opens_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            await log_in(client)
            [cookie] = client.session.cookie_jar
            answer = await client.post(f"{API}logout")
            assert answer.status == 204
            kept = {"Cookie": f"{cookie.key}={cookie.value}"}
            assert (await client.get(f"{API}flow", headers=kept)).status == 401

    run(test())


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "\x00", "ä" * 100])
def test_a_wrong_token_gives_none(tmp_path: Path, token: str) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            answer = await client.post(f"{API}login", json={"token": token})
            assert (answer.status, answer.body) == (401, {"error": "the token is wrong"})
            assert "Set-Cookie" not in answer.headers
            assert (await client.get(f"{API}flow")).status == 401

    run(test())


@pytest.mark.parametrize("cookie", ["", "x", "../..", "a" * 5000])
def test_a_made_up_cookie_opens_nothing(tmp_path: Path, cookie: str) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            headers = {"Cookie": f"dsiem_session_9090={cookie}"}
            assert (await client.get(f"{API}flow", headers=headers)).status == 401

    run(test())


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"token": 1}', b"\xff", b"[" * 2000, b'{"token":"' + b"x" * 5000]
)
def test_a_login_that_is_none_is_refused(tmp_path: Path, body: bytes) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            answer = await client.post(f"{API}login", data=body)
            assert answer.status in (400, 413)

    run(test())


def test_attempts_are_limited_and_the_right_token_must_wait_then_too(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            statuses = [await log_in(client, "wrong") for _ in range(MAX_FAILURES)]
            assert statuses == [401] * MAX_FAILURES
            assert await log_in(client) == 429
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            assert (await client.get(f"{API}flow", headers=bearer)).status == 429

    run(test())


def test_wrong_tokens_of_programs_count_as_attempts(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            bearer = {"Authorization": "Bearer wrong"}
            for _ in range(MAX_FAILURES):
                assert (await client.get(f"{API}flow", headers=bearer)).status == 401
            assert await log_in(client) == 429

    run(test())


def test_programs_may_send_the_token_itself(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            assert (await client.get(f"{API}flow", headers=bearer)).status == 200
            assert (await client.post(f"{API}reload", headers=bearer)).status == 200

    run(test())


@pytest.mark.parametrize(
    "path", ["/", f"{API}session", f"{API}flow", f"{API}events", "/console/x.js"]
)
def test_without_a_token_it_is_closed_where_other_machines_reach_it(
    tmp_path: Path, path: str
) -> None:
    async def test() -> None:
        async with running_console(tmp_path, ops_address="0.0.0.0") as client:
            answer = await client.get(path)
            assert answer.status == 403
            assert "--api-token (DSIEM_API_TOKEN)" in answer.body["error"]

    run(test())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9090", 200),
        ("localhost:9090", 200),
        ("LOCALHOST", 200),
        ("[::1]:9090", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:9090", 403),
        ("", 403),
        ("192.0.2.1", 403),
    ],
)
def test_without_a_token_only_names_of_this_machine_lead_to_it(
    tmp_path: Path, host: str, status: int
) -> None:
    """A name of another site could lead here, whose page would then read everything."""

    async def test() -> None:
        async with running_console(tmp_path) as client:
            assert (await client.get(f"{API}flow", headers={"Host": host})).status == status

    run(test())


def test_with_a_token_any_name_may_lead_to_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN, ops_address="0.0.0.0") as client:
            headers = {"Host": "siem.example", "Authorization": f"Bearer {TOKEN}"}
            assert (await client.get(f"{API}flow", headers=headers)).status == 200

    run(test())


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["login", "logout", "explain", "reload"])
def test_requests_of_other_sites_pages_are_refused(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            await log_in(client)
            answer = await client.post(f"{API}{path}", headers=headers)
            assert (answer.status, "other sites" in answer.body["error"]) == (403, True)

    run(test())


def test_requests_of_the_own_page_are_taken(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            own = {"Origin": client.url, "Sec-Fetch-Site": "same-origin"}
            assert await log_in(client, headers=own) == 204
            assert (await client.post(f"{API}reload", headers=own)).status == 200

    run(test())


def test_without_a_token_nothing_can_be_changed_but_explained(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            answer = await client.post(f"{API}reload")
            assert (answer.status, "needs a token" in answer.body["error"]) == (403, True)
            answer = await client.post(f"{API}explain", json=event("e", 0, 1))
            assert answer.status == 200

    run(test())


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_other_methods_are_refused(tmp_path: Path, method: str) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            for path in (f"{API}flow", "/", f"{API}session"):
                assert (await client.request(method, path)).status == 405

    run(test())


@pytest.mark.parametrize("path", ["nothing", "alarms/a/b", "alarms/a/events/b", "", "flow/x", "/"])
def test_other_paths_are_refused(tmp_path: Path, path: str) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            assert (await client.get(f"{API}{path}")).status == 404

    run(test())


def test_every_answer_has_the_headers_that_keep_other_sites_out(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            for path in (f"{API}flow", f"{API}nothing", f"{API}session"):
                headers = (await client.get(path)).headers
                assert headers["Content-Security-Policy"].startswith("default-src 'self'")
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert headers["Cache-Control"] == "no-store"
                assert "Access-Control-Allow-Origin" not in headers

    run(test())


# Sessions and limits by themselves.


def test_sessions_are_bounded_and_the_oldest_ends() -> None:
    all_ = Sessions(Clock())
    keys = [all_.begin() for _ in range(MAX_SESSIONS + 1)]
    assert len(all_) == MAX_SESSIONS
    assert [all_.is_valid(key) for key in (keys[0], keys[1], keys[-1])] == [False, True, True]


def test_a_session_ends_after_its_time() -> None:
    clock = Clock()
    all_ = Sessions(clock)
    key = all_.begin()
    clock.now += sessions.SESSION_SECONDS - 1
    assert all_.is_valid(key)
    clock.now += 1
    assert not all_.is_valid(key)
    assert len(all_) == 0


def test_failures_of_a_client_are_forgotten_after_a_while() -> None:
    clock = Clock()
    limit = LoginLimit(clock)
    for _ in range(MAX_FAILURES):
        assert limit.allows("a")
        limit.note_failure("a")
    assert (limit.allows("a"), limit.allows("b")) == (False, True)
    clock.now += sessions.FAILURE_SECONDS
    assert limit.allows("a")


def test_failures_of_all_clients_are_limited_too_and_take_bounded_memory() -> None:
    clock = Clock()
    limit = LoginLimit(clock)
    for number in range(10 * MAX_FAILURES):
        limit.note_failure(str(number))
    assert not limit.allows("new")
    clock.now += sessions.FAILURE_SECONDS
    for number in range(3 * MAX_CLIENTS):
        limit.note_failure(str(number))
    assert len(limit._by_client) == MAX_CLIENTS


def test_logins_at_one_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as client:
            assert await asyncio.gather(*(log_in(client) for _ in range(20))) == [204] * 20

    run(test())
