"""The lookup service with servers and plugins that misbehave."""

import time
from typing import Any

import pytest
from msgspec.structs import replace

from engine.alarm import Hit
from tests.support import lookup_plugins
from tests.support.frontend import Reply
from tests.support.lookup_server import (
    IP,
    MISBEHAVIOUR,
    NESD_HITS,
    OTHER_IP,
    OTHER_PATH,
    PAIR,
    PAIR_PATH,
    PATH,
    WISE_HIT,
    WISE_HITS,
    LookupServer,
    hanging,
)
from tests.support.lookup_service import LIMITS, in_loop, intel, running_lookups, vuln

pytestmark = pytest.mark.integration  # real servers, and time limits


async def counts_of(server: LookupServer, reply: Reply, *, term: Any, path: str) -> dict[str, Any]:
    """The counts after the lookup of a term with this reply; there are no hits, and no delay."""
    source = intel(server.url) if isinstance(term, str) else vuln(server.url)
    server.replies[path] = reply
    began = time.monotonic()
    async with running_lookups(source) as harness:
        await harness.look_up("a", term)
        assert time.monotonic() - began < 2
        assert harness.delivered == []
        return harness.counts()


@pytest.mark.parametrize("name", MISBEHAVIOUR)
@pytest.mark.parametrize(("term", "path"), [(IP, PATH), (PAIR, PAIR_PATH)], ids=["wise", "nesd"])
@in_loop
async def test_a_server_that_misbehaves(
    name: str, term: Any, path: str, server: LookupServer
) -> None:
    reply, code = MISBEHAVIOUR[name]
    counts = await counts_of(server, reply, term=term, path=path)
    assert counts == {"breaker": "closed", "asked": 1, "errors": {code: 1}}
    assert [asked.path for asked in server.asked] == [path]


@in_loop
async def test_statuses_that_only_nesd_accepts(server: LookupServer) -> None:
    for status, code in ((404, "status_404"), (418, "status_418")):
        counts = await counts_of(server, Reply(status), term=IP, path=PATH)
        assert counts["errors"] == {code: 1}
    no_vulnerability = Reply(418, b"no vulnerability found\n")
    counts = await counts_of(server, no_vulnerability, term=PAIR, path=PAIR_PATH)
    assert counts == {"breaker": "closed", "asked": 1, "nothing": 1}
    counts = await counts_of(server, Reply(404), term=PAIR, path=PAIR_PATH)
    assert counts["errors"] == {"bad_answer": 1}


@in_loop
async def test_a_server_that_is_down(server: LookupServer) -> None:
    server.stop()
    async with running_lookups(intel(server.url)) as harness:
        await harness.look_up("a", IP)
        assert harness.counts()["errors"] == {"connection": 1}


@in_loop
async def test_a_slow_reply_that_is_complete_in_time_is_used(server: LookupServer) -> None:
    server.replies[PATH] = Reply(body=WISE_HIT, drip=0.002)
    limits = replace(LIMITS, request_seconds=5.0)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        await harness.look_up("a", IP)
        assert harness.delivered == [("a", WISE_HITS, "intel")]


@in_loop
async def test_a_source_that_hangs_does_not_hold_up_another(server: LookupServer) -> None:
    server.replies[OTHER_PATH] = hanging()
    limits = replace(LIMITS, request_seconds=5.0, threads=1)
    async with running_lookups(intel(server.url), vuln(server.url), limits=limits) as harness:
        harness.request("a", OTHER_IP, PAIR)
        await harness.wait_until(lambda: harness.delivered)
        assert harness.delivered == [("a", NESD_HITS, "vuln")]


@pytest.mark.parametrize("name", lookup_plugins.BAD_CHECKS)
@in_loop
async def test_a_thread_survives_whatever_a_plugin_does(
    name: str, monkeypatch: pytest.MonkeyPatch, log_records: list[dict[str, Any]]
) -> None:
    lookup_plugins.register(monkeypatch, "intel", "BadCheck")
    check, code = lookup_plugins.BAD_CHECKS[name]
    monkeypatch.setattr(lookup_plugins.BadCheck, "check", check)
    limits = replace(LIMITS, threads=1)
    async with running_lookups(intel("http://x", "BadCheck"), limits=limits) as harness:
        await harness.look_up("a", IP)
        assert harness.delivered == []
        monkeypatch.setattr(lookup_plugins.BadCheck, "check", lambda self, ip: WISE_HITS)
        await harness.look_up("a", IP)
        assert harness.delivered == [("a", WISE_HITS, "intel")]
        expected = {"asked": 2, "found": 1, "errors": {code: 1}}
        assert harness.counts() == {"breaker": "closed", **expected}
    [record] = log_records
    assert (record["message"], record["source"]) == ("a lookup failed", "intel")
    assert record["reason"] == code
    assert "hunter2" not in str(record)


@pytest.mark.parametrize("name", ["Meddling", "Refusing", "FetchingEarly", "nobody", "checkless"])
@in_loop
async def test_a_plugin_that_cannot_be_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(
        monkeypatch, "intel", "Meddling", "Refusing", "FetchingEarly", "checkless"
    )
    source = intel("http://127.0.0.1:1", name)
    async with running_lookups(source) as harness:
        await harness.look_up("a", IP)
        [code] = harness.counts()["errors"]
        assert code in {"bad_url", "plugin_error", "connection"}
    assert source.options["url"]


@in_loop
async def test_a_plugin_that_does_not_return_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    lookup_plugins.release.clear()
    limits = replace(
        LIMITS, threads=2, request_seconds=0.02, grace_seconds=0.02, breaker_failures=2
    )
    async with running_lookups(intel("http://x", "Hanging"), limits=limits) as harness:
        await harness.look_up("a", IP, OTHER_IP, "1.1.1.1", "1.1.1.2")
        expected = {"asked": 4, "errors": {"hung": 2}, "rejected_breaker": 2, "opened": 1}
        assert harness.counts() == {"breaker": "open", **expected}
        lookup_plugins.release.set()
        harness.clock.now += limits.breaker_open_seconds
        await harness.wait_until(harness.has_free_thread)
        await harness.look_up("b", IP)
        assert harness.delivered == [("b", (Hit("late", IP, "x"),), "intel")]
