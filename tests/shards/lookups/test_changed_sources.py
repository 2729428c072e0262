"""A lookup service whose sources change while lookups are in progress."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from engine.alarm import LookupRequest
from shards.ledger import FORMER
from shards.lookups.limits import LookupLimits
from tests.support import lookup_plugins
from tests.support.frontend import Reply
from tests.support.lookup_server import (
    IP,
    NESD_HITS,
    OTHER_IP,
    PAIR,
    PATH,
    WISE_HIT,
    WISE_HITS,
    LookupServer,
    hanging,
)
from tests.support.lookup_service import (
    LIMITS,
    LookupHarness,
    in_loop,
    intel,
    running_lookups,
    vuln,
)

SLOW = Reply(body=WISE_HIT, head_drip=0.003)
"""Takes some tenths of a second."""
PATIENT = replace(LIMITS, request_seconds=60.0)


def lookup_threads() -> Counter[str]:
    """Threads by the name of their source."""
    names = (thread.name.partition(" ") for thread in threading.enumerate())
    return Counter(name for lookup, _, name in names if lookup == "lookup")


def missing(harness: LookupHarness) -> int:
    """Terms that are in no count, and breakers that are not those of the present sources."""
    counts = harness.service.counts.values()
    breakers = sum(one.breakers.total() for one in counts)
    return sum(one.missing for one in counts) + breakers - len(harness.service._clients)


def asked(harness: LookupHarness) -> int:
    return sum(one.asked for one in harness.service.counts.values())


def errors(harness: LookupHarness) -> Counter[str]:
    return sum((one.errors for one in harness.service.counts.values()), Counter())


@in_loop
async def test_equal_sources_keep_their_threads_cache_breaker_and_counts(
    server: LookupServer,
) -> None:
    limits = replace(LIMITS, breaker_failures=1)
    with LookupServer(Reply(500)) as broken:
        sources = intel(server.url, name="x"), intel(broken.url, name="x")
        async with running_lookups(*sources, limits=limits) as harness:
            await harness.look_up("a", IP)
            threads = set(threading.enumerate())
            harness.service.use_sources((intel(server.url, name="x"), sources[1]))
            await harness.look_up("b", IP)
            assert set(threading.enumerate()) == threads
            assert (server.times(PATH), broken.times(PATH)) == (1, 1)
            counts = harness.service.counts
            assert (counts["intel_x"].asked, counts["intel_x"].cached) == (2, 1)
            assert (counts["intel_x_2"].rejected_breaker, counts["intel_x_2"].opened) == (1, 1)
            assert missing(harness) == 0


@in_loop
async def test_a_source_that_stays_is_not_affected_by_the_change_of_another(
    server: LookupServer,
) -> None:
    async with running_lookups(intel(server.url), vuln(server.url)) as harness:
        await harness.look_up("a", IP, PAIR)
        harness.service.use_sources((vuln(server.url), intel(server.url, name="new")))
        await harness.look_up("b", IP, PAIR)
        by_name = {name: (one.asked, one.cached) for name, one in harness.service.counts.items()}
        assert by_name == {"vuln_vuln": (2, 1), "intel_new": (1, 0), "intel_intel": (1, 0)}
        assert missing(harness) == 0


@in_loop
async def test_a_changed_source_finishes_what_is_in_progress_and_its_threads_end(
    server: LookupServer,
) -> None:
    server.replies[PATH] = SLOW
    with LookupServer(Reply(body=WISE_HIT)) as second:
        async with running_lookups(intel(server.url), limits=PATIENT) as harness:
            harness.request("a", IP)
            await harness.wait_until(lambda: server.times(PATH))
            harness.service.use_sources((intel(second.url),))
            assert lookup_threads() == {"intel": 2 * LIMITS.threads}
            await harness.look_up("b", IP)
            assert sorted(harness.delivered) == [
                ("a", WISE_HITS, "intel"),
                ("b", WISE_HITS, "intel"),
            ]
            assert (server.times(PATH), second.times(PATH)) == (1, 1)
            await harness.wait_until(lambda: lookup_threads() == {"intel": LIMITS.threads})
            expected = {"breaker": "closed", "asked": 2, "found": 2}
            assert harness.counts() == expected


@in_loop
async def test_without_sources_what_is_in_progress_is_finished(server: LookupServer) -> None:
    server.replies[PATH] = SLOW
    async with running_lookups(intel(server.url), vuln(server.url), limits=PATIENT) as harness:
        await harness.look_up("a", PAIR)
        harness.request("a", IP)
        await harness.wait_until(lambda: server.times(PATH))
        harness.service.use_sources(())
        assert missing(harness) == 0
        await harness.wait_until_done()
        assert harness.delivered == [("a", NESD_HITS, "vuln"), ("a", WISE_HITS, "intel")]
        await harness.look_up("b", IP, PAIR)
        await harness.wait_until(lambda: not lookup_threads())
        assert {name: one.asked for name, one in harness.service.counts.items()} == {
            "intel_intel": 1,
            "vuln_vuln": 1,
        }
        assert missing(harness) == 0


@in_loop
async def test_sources_after_none_go_on_with_the_counts_of_their_names(
    server: LookupServer,
) -> None:
    async with running_lookups(intel(server.url)) as harness:
        await harness.look_up("a", IP)
        harness.service.use_sources(())
        harness.service.use_sources((intel(server.url),))
        await harness.look_up("b", IP)
        assert harness.counts() == {"breaker": "closed", "asked": 2, "found": 2}
        assert server.times(PATH) == 2  # with a new cache


@in_loop
async def test_a_source_that_goes_while_a_request_is_started_is_asked_no_more(
    server: LookupServer,
) -> None:
    limits = replace(LIMITS, steps_per_turn=1)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        harness.request("a", *(f"1.1.1.{number}" for number in range(50)))
        while not asked(harness):
            await asyncio.sleep(0)  # one turn, in which one term is started
        harness.service.use_sources(())
        await harness.wait_until_done()
        assert 0 < harness.service.counts["intel_intel"].asked < 50
        assert missing(harness) == 0


@in_loop
async def test_names_of_sources_that_stay_do_not_change(server: LookupServer) -> None:
    first, second = intel(f"{server.url}/1", name="x"), intel(f"{server.url}/2", name="x")
    async with running_lookups(first, second) as harness:
        await harness.look_up("a", IP)
        harness.service.use_sources((second,))
        await harness.look_up("a", OTHER_IP)
        by_name = {name: counts.asked for name, counts in harness.service.counts.items()}
        assert by_name == {"intel_x_2": 2, "intel_x": 1}
        harness.service.use_sources((second, intel(server.url, name="x_2"), first))
        assert list(harness.service._clients) == ["intel_x_2", "intel_x_2_2", "intel_x"]


@in_loop
async def test_counts_of_former_sources_are_merged_at_a_limit(server: LookupServer) -> None:
    limits = replace(LIMITS, threads=1, former_sources=5)
    async with running_lookups(limits=limits) as harness:
        for number in range(100):
            harness.service.use_sources((intel(server.url, name=f"s{number}"),))
            await harness.look_up(f"alarm {number}", IP)
            assert missing(harness) == 0
        counts = harness.service.counts
        assert len(counts) == 1 + 5 + 1  # present, former, merged
        assert list(counts) == [f"intel_s{number}" for number in (99, *range(94, 99))] + [FORMER]
        assert (counts[FORMER].asked, counts[FORMER].found) == (94, 94)
        await harness.wait_until(lambda: lookup_threads().total() == 1)


@in_loop
async def test_counts_that_still_change_are_not_merged(server: LookupServer) -> None:
    server.replies[PATH] = SLOW
    limits = replace(PATIENT, former_sources=0)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        harness.request("a", IP)
        await harness.wait_until(lambda: server.times(PATH))
        harness.service.use_sources(())
        await harness.wait_until_done()
        harness.service.use_sources(())
        [(name, counts)] = harness.service.counts.items()
        assert (name, counts.asked, counts.found, counts.waiting) == (FORMER, 1, 1, 0)


@in_loop
async def test_sources_that_hang_are_aborted_when_too_many_are_gone(server: LookupServer) -> None:
    """Backlogs wait for them in vain, and learn that."""
    server.replies[PATH] = hanging()
    limits = replace(PATIENT, threads=2, retired_sources=3, former_sources=5)
    async with running_lookups(limits=limits) as harness:
        for number in range(20):
            harness.service.use_sources((intel(server.url, name=f"s{number}"),))
            harness.request(f"alarm {number}", IP)
            await harness.wait_until(lambda number=number: server.times(PATH) > number)  # type: ignore[misc]
            await harness.wait_until(lambda: lookup_threads().total() <= 2 * (3 + 1))
            assert missing(harness) == 0
        assert errors(harness) == {"replaced": 16}
        assert len(harness.service.counts) <= 1 + 5 + 1
        await harness.wait_until(lambda: harness._outstanding.total() == 4)
        assert set(+harness._outstanding) == {f"alarm {number}" for number in range(16, 20)}


@in_loop
async def test_all_terms_of_an_aborted_source_are_counted(server: LookupServer) -> None:
    server.usual, server.replies = hanging(), {}
    limits = replace(PATIENT, threads=1, retired_sources=0)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        for name in "ab":
            harness.request(name, *(f"1.1.1.{number}" for number in range(9)))
        await harness.wait_until(lambda: harness.counts().get("asked") == 18)
        harness.service.use_sources(())
        await harness.wait_until_done()
        [counts] = harness.service.counts.values()
        assert (counts.asked, counts.shared, counts.errors) == (18, 9, {"replaced": 9})
        assert missing(harness) == 0


@in_loop
async def test_threads_that_hang_for_ever_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    lookup_plugins.release.clear()
    limits = LookupLimits(
        threads=2, process_threads=threading.active_count() + 7, retired_sources=1
    )
    async with running_lookups(limits=limits) as harness:
        for number in range(10):
            harness.service.use_sources((intel("http://x", "Hanging", name=f"s{number}"),))
            harness.request(f"alarm {number}", IP, OTHER_IP)
            await harness.wait_until(lambda number=number: asked(harness) == 2 * (number + 1))  # type: ignore[misc]
        assert lookup_threads().total() <= 7
        lookup_plugins.release.set()
        await harness.wait_until_done()
        assert errors(harness)["no_thread"] > 0
        assert missing(harness) == 0
        await harness.wait_until(lambda: lookup_threads().total() <= 2)


@in_loop
async def test_close_stops_sources_that_are_gone_too(
    server: LookupServer, log_records: list[dict[str, Any]]
) -> None:
    server.replies[PATH] = hanging()
    harness = LookupHarness(intel(server.url), limits=PATIENT)
    harness.request("a", IP)
    await harness.wait_until(lambda: server.times(PATH))
    harness.service.use_sources(())
    harness.service.close(30)
    assert not lookup_threads()
    [counts] = harness.service.counts.values()
    assert (counts.asked, counts.waiting, counts.errors) == (1, 0, {"stopped": 1})
    assert not harness.service.request((1, "b"), LookupRequest((IP,), ()))
    assert log_records == []
    await harness.stop()
