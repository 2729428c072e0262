"""The lookups in one source: circuit breaker, limits, counts, log."""

import time
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support import lookup_plugins
from tests.support.frontend import Reply
from tests.support.lookup_server import (
    IP,
    MISBEHAVIOUR,
    OTHER_IP,
    PATH,
    WISE_HIT,
    LookupServer,
)
from tests.support.lookup_service import LIMITS, LookupHarness, in_loop, intel, running_lookups


@in_loop
async def test_failures_open_the_breaker_and_a_trial_closes_it(
    server: LookupServer, log_records: list[dict[str, Any]]
) -> None:
    server.usual = Reply(500)
    server.replies[PATH] = Reply(body=WISE_HIT, head_drip=0.001)
    limits = replace(LIMITS, threads=1, breaker_failures=3, request_seconds=5.0)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        await harness.look_up("a", *(f"1.1.1.{n}" for n in range(10)))
        assert len(server.asked) == 3
        expected = {"asked": 10, "errors": {"status_500": 3}, "rejected_breaker": 7, "opened": 1}
        assert harness.counts() == {"breaker": "open", **expected}
        await harness.look_up("a", IP)
        assert harness.counts()["rejected_breaker"] == 8
        harness.clock.now += limits.breaker_open_seconds
        harness.request("a", IP, OTHER_IP)
        await harness.wait_until(lambda: harness.counts()["asked"] == 13)
        expected = {**expected, "asked": 13, "rejected_breaker": 9, "waiting": 1}
        assert harness.counts() == {"breaker": "half_open", **expected}
        await harness.wait_until_done()
        assert harness.counts()["breaker"] == "closed"
        await harness.look_up("a", OTHER_IP)
        expected = {"asked": 14, "found": 1, "errors": {"status_500": 4}, "rejected_breaker": 9}
        assert harness.counts() == {"breaker": "closed", "opened": 1, **expected}
    states = [record["message"] for record in log_records if "reason" not in record]
    assert states == [
        "lookups are suspended: the source keeps failing",
        "lookups resume: the source answers again",
    ]


@in_loop
async def test_a_trial_that_fails_opens_the_breaker_again(server: LookupServer) -> None:
    server.usual = Reply(500)
    limits = replace(LIMITS, threads=1, breaker_failures=2)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        await harness.look_up("a", "1.1.1.1", "1.1.1.2")
        harness.clock.now += limits.breaker_open_seconds
        await harness.look_up("a", "1.1.1.3", "1.1.1.4")
        expected = {"asked": 4, "errors": {"status_500": 3}, "rejected_breaker": 1, "opened": 2}
        assert harness.counts() == {"breaker": "open", **expected}
        assert len(server.asked) == 3


@in_loop
async def test_terms_are_rejected_when_the_queue_is_full(server: LookupServer) -> None:
    server.usual = Reply(body=b"[]", head_drip=0.001)
    limits = replace(LIMITS, threads=2, queued_terms=3, request_seconds=5.0)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        harness.request("a", *(f"1.1.1.{n}" for n in range(10)))
        await harness.wait_until(lambda: harness.counts().get("asked") == 10)
        expected = {"asked": 10, "rejected_full": 5}
        assert harness.counts() == {"breaker": "closed", "waiting": 5, **expected}
        await harness.wait_until_done()
        assert harness.counts() == {"breaker": "closed", "nothing": 5, **expected}
        assert len(server.asked) == 5


@in_loop
async def test_a_breaker_admits_no_trial_while_all_threads_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trial would wait behind the lookups that hang, and the breaker stay half open."""
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    lookup_plugins.release.clear()
    limits = replace(
        LIMITS, threads=2, request_seconds=0.02, grace_seconds=0.02, breaker_failures=2
    )
    async with running_lookups(intel("http://x", "Hanging"), limits=limits) as harness:
        await harness.look_up("a", "1.1.1.1", "1.1.1.2")
        for trial in range(3):
            harness.clock.now += limits.breaker_open_seconds
            await harness.look_up("b", f"2.2.2.{trial}")
            assert harness.counts()["breaker"] == "open"
        assert harness.counts()["rejected_breaker"] == 3
        lookup_plugins.release.set()
        await harness.wait_until(harness.has_free_thread)
        await harness.look_up("c", "3.3.3.3")
        assert harness.counts()["breaker"] == "closed"


@in_loop
async def test_requests_are_rejected_when_too_many_wait(server: LookupServer) -> None:
    limits = replace(LIMITS, queued_requests=3)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        for number in range(10):
            harness.request("a", f"1.1.1.{number}", f"2.2.2.{number}")
        await harness.wait_until_done()
        assert harness.counts() == {
            "breaker": "closed",
            "asked": 20,
            "nothing": 6,
            "rejected_full": 14,
        }


@in_loop
async def test_waiters_are_rejected_at_their_limit(server: LookupServer) -> None:
    server.replies[PATH] = Reply(body=WISE_HIT, head_drip=0.001)
    limits = replace(LIMITS, waiters=3, request_seconds=5.0)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        for name in "abcde":
            harness.request(name, IP)
        await harness.wait_until_done()
        assert [hits[0] for hits in harness.delivered] == ["a", "b", "c"]
        expected = {"asked": 5, "found": 1, "shared": 2, "rejected_full": 2}
        assert harness.counts() == {"breaker": "closed", **expected}
        await harness.look_up("f", OTHER_IP)
        assert harness.counts()["nothing"] == 1


@in_loop
async def test_the_counts_add_up_whatever_happens(server: LookupServer) -> None:
    replies = [reply for reply, code in MISBEHAVIOUR.values() if code != "timeout"]
    limits = replace(
        LIMITS,
        threads=3,
        queued_terms=5,
        waiters=9,
        breaker_failures=3,
        breaker_open_seconds=1.0,
    )
    async with running_lookups(intel(server.url), limits=limits) as harness:
        for number in range(120):
            ip = f"1.1.1.{number % 40}"
            server.replies[f"/ip/{ip}"] = (
                Reply(body=WISE_HIT) if number % 3 else replies[number % len(replies)]
            )
            harness.request(f"alarm {number}", ip, f"1.1.2.{number % 7}", IP)
            assert missing(harness) == 0
            harness.clock.now += 0.3
            if number % 4 == 0:
                await harness.wait_until_done()
        await harness.wait_until_done()
        assert missing(harness) == 0
        counts = harness.counts()
        assert counts["asked"] == 360
        assert "waiting" not in counts
        assert counts["found"] > 0
        assert counts["errors"]


def missing(harness: LookupHarness) -> int:
    """Lookups that were asked for and are in no other count."""
    [counts] = harness.service.counts.values()
    return counts.missing


@in_loop
async def test_an_answer_in_time_is_not_counted_as_hung_later(server: LookupServer) -> None:
    limits = replace(LIMITS, request_seconds=0.15, grace_seconds=0.0)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        await harness.look_up("a", IP)
        later = time.monotonic() + 0.2
        await harness.wait_until(lambda: time.monotonic() > later)
        assert harness.counts() == {"breaker": "closed", "asked": 1, "found": 1}


@in_loop
async def test_failures_are_logged_at_a_limited_rate_and_without_secrets(
    server: LookupServer, log_records: list[dict[str, Any]]
) -> None:
    source = intel(server.url_with_login("user:hunter2"))
    url = source.url + "?key=hunter2"
    source = replace(source, url=url, options={"url": url})
    location = f"{server.url}{PATH}?key=hunter2"
    server.usual = Reply(302, b"hunter2", headers={"Location": location})
    async with running_lookups(source, limits=replace(LIMITS, threads=1)) as harness:
        await harness.look_up("a", *(f"1.1.1.{n}" for n in range(9)))
        server.usual = Reply(401, b"hunter2")
        await harness.look_up("a", IP)
        server.stop()
        await harness.look_up("a", OTHER_IP)
    reasons = [record["reason"] for record in log_records]
    assert reasons == [*["redirect"] * 3, "status_401", "connection"]
    assert log_records[-1]["why"] == "cannot be read: Connection refused"
    assert "hunter2" not in str(log_records)
