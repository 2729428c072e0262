"""The end of the lookup service: close, threads that hang, failures."""

import asyncio
import threading
import time
from typing import Any

import pytest
from msgspec.structs import replace

from engine.alarm import LookupRequest
from shards.lookups.service import LookupService
from tests.support import lookup_plugins
from tests.support.lookup_server import IP, PAIR, LookupServer, hanging
from tests.support.lookup_service import LIMITS, LookupHarness, in_loop, intel, vuln


def lookup_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("lookup")]


@in_loop
async def test_close_waits_for_no_server(
    server: LookupServer, log_records: list[dict[str, Any]]
) -> None:
    server.usual, server.replies = hanging(), {}
    limits = replace(LIMITS, request_seconds=60.0)
    harness = LookupHarness(intel(server.url), vuln(server.url), limits=limits)
    harness.request("a", *(f"1.1.1.{n}" for n in range(20)), PAIR)
    await harness.wait_until(lambda: server.times("/ip/1.1.1.3"))
    assert all(thread.daemon for thread in lookup_threads())
    began = time.monotonic()
    harness.service.close()
    harness.service.close(30)
    assert time.monotonic() - began < 20  # the server answers after 60 s
    assert lookup_threads() == []
    harness.request("a", IP)
    await asyncio.sleep(0.05)  # long enough for a request or a result, if there were one
    counts = harness.service.counts["intel_intel"]
    assert (counts.asked, counts.waiting, counts.errors) == (20, 0, {"stopped": 20})
    assert (harness.delivered, log_records) == ([], [])
    await harness.stop()


@in_loop
async def test_close_does_not_wait_for_a_plugin_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    lookup_plugins.release.clear()
    harness = LookupHarness(intel("http://x", "Hanging"))
    harness.request("a", IP)
    await harness.wait_until(lambda: harness.counts().get("waiting"))
    began = time.monotonic()
    harness.service.close(0.05)
    assert time.monotonic() - began < 20  # the plugin hangs until it is released
    lookup_plugins.release.set()
    await harness.stop()
    assert harness.delivered == []


def test_a_thread_ends_after_the_event_loop_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    lookup_plugins.release.clear()
    services: list[LookupService] = []

    async def request() -> None:
        harness = LookupHarness(intel("http://x", "Hanging"))
        harness.request("a", IP)
        await harness.wait_until(lambda: harness.counts().get("waiting"))
        services.append(harness.service)

    asyncio.run(request())
    assert lookup_threads()
    lookup_plugins.release.set()
    services[0].close(5)
    assert lookup_threads() == []


@in_loop
async def test_a_failure_of_the_service_ends_run(
    monkeypatch: pytest.MonkeyPatch, server: LookupServer
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("shards.lookups.source_client.LookupCache.put", fail)
    service = LookupService([intel(server.url)], limits=LIMITS)
    service.request((1, "a"), LookupRequest((IP,), ()))
    with pytest.raises(ExceptionGroup) as raised:
        await service.run()
    assert raised.value.subgroup(KeyError)
    service.close(5)
