"""The lookup service: which terms are looked up, how often, and the results."""

import asyncio

import pytest
from msgspec.structs import replace

from engine.alarm import Hit, LookupRequest
from shards.lookups.limits import LookupOptions
from shards.lookups.service import LookupHits, LookupsDone, LookupService
from tests.support.frontend import Reply
from tests.support.lookup_server import (
    IP,
    NESD_HITS,
    OTHER_IP,
    PAIR,
    PAIR_PATH,
    PATH,
    WISE_HIT,
    WISE_HITS,
    LookupServer,
)
from tests.support.lookup_service import (
    LIMITS,
    in_loop,
    intel,
    running_lookups,
    vuln,
)

# Results.


@in_loop
async def test_hits_of_both_kinds_are_delivered(server: LookupServer) -> None:
    async with running_lookups(intel(server.url), vuln(server.url)) as harness:
        await harness.look_up("a", IP, PAIR)
        expected = [("a", WISE_HITS, "intel"), ("a", NESD_HITS, "vuln")]
        assert sorted(harness.delivered, key=lambda hits: hits[2]) == expected
        assert {asked.path for asked in server.asked} == {PATH, PAIR_PATH}


@in_loop
async def test_an_answer_without_hits_is_not_delivered(server: LookupServer) -> None:
    async with running_lookups(intel(server.url)) as harness:
        await harness.look_up("a", OTHER_IP)
        assert harness.delivered == []
        assert harness.counts() == {"breaker": "closed", "asked": 1, "nothing": 1}


@in_loop
async def test_every_source_is_asked(server: LookupServer) -> None:
    with LookupServer(Reply(body=WISE_HIT)) as second:
        sources = intel(server.url, name="x"), intel(second.url, name="x"), vuln(server.url)
        async with running_lookups(*sources) as harness:
            await harness.look_up("a", IP)
            assert [hits[0] for hits in harness.delivered] == ["a", "a"]
            assert server.times(PATH) == second.times(PATH) == 1
            asked = {name: counts.asked for name, counts in harness.service.counts.items()}
            assert asked == {"intel_x": 1, "intel_x_2": 1, "vuln_vuln": 0}


@in_loop
async def test_without_sources_a_request_is_done_at_once() -> None:
    async with running_lookups() as harness:
        await harness.look_up("a", IP)
        assert (harness.delivered, harness.service.counts) == ([], {})


@in_loop
async def test_done_comes_once_after_all_hits_of_all_requests(server: LookupServer) -> None:
    service = LookupService([intel(server.url), vuln(server.url)], limits=LIMITS)
    task = asyncio.create_task(service.run())
    for terms in (LookupRequest((IP,), (PAIR,)), LookupRequest((IP, OTHER_IP), ())):
        service.request((1, "a"), terms)
    results = [await service.results.get()]
    while not isinstance(results[-1], LookupsDone):
        results.append(await service.results.get())
    assert results[-1] == LookupsDone((1, "a"), requests=2)
    hits = [result for result in results if isinstance(result, LookupHits)]
    assert {found.kind: found.hits for found in hits} == {"intel": WISE_HITS, "vuln": NESD_HITS}
    assert service.results.empty()
    service.close(5)
    task.cancel()


@in_loop
async def test_failed_and_rejected_lookups_are_done_too(server: LookupServer) -> None:
    server.usual, server.replies = Reply(500), {}
    limits = replace(LIMITS, threads=1, breaker_failures=1, queued_terms=2)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        for name in ("a", "b"):
            await harness.look_up(name, *(f"1.1.1.{n}" for n in range(5)))
        counts = harness.counts()
        assert counts["errors"] == {"status_500": 1}
        assert counts["rejected_full"] + counts["rejected_breaker"] == 9


# Which terms are looked up.

PRIVATE = (
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "127.0.0.1", "169.254.169.254"),
    *("fc00::1", "fdff::1", "::1", "fe80::1", "febf::1"),
)
PUBLIC = ("172.32.0.1", "11.0.0.1", "192.169.0.1", "2001:db8::1", "fec0::1", "::2", "1.0.0.127")
NEVER = ("0.0.0.0", "::")


@pytest.mark.parametrize("private", [False, True])
@in_loop
async def test_which_addresses_are_looked_up(server: LookupServer, private: bool) -> None:
    options = LookupOptions(private_addresses=private)
    async with running_lookups(intel(server.url), options=options) as harness:
        await harness.look_up("a", *PRIVATE, *PUBLIC, *NEVER)
        expected = {*PUBLIC, *PRIVATE} if private else {*PUBLIC}
        assert {asked.path for asked in server.asked} == {f"/ip/{ip}" for ip in expected}
        assert len(server.asked) == len(expected)


@in_loop
async def test_which_pairs_are_looked_up(server: LookupServer) -> None:
    async with running_lookups(vuln(server.url)) as harness:
        await harness.look_up("a", PAIR, ("10.0.0.9", 0), ("0.0.0.0", 80), ("::", 80), (IP, 65535))
        assert {asked.path for asked in server.asked} == {PAIR_PATH, f"/?ip={IP}&port=65535"}
        assert harness.counts()["asked"] == 2


# How often a server is asked.


@in_loop
async def test_cached_hits_are_delivered_together(server: LookupServer) -> None:
    second = Hit("Wise", "198.51.100.8", "ip.asn: AS64500")
    server.replies[f"/ip/{second.term}"] = Reply(body=WISE_HIT)
    async with running_lookups(intel(server.url)) as harness:
        await harness.look_up("a", IP, OTHER_IP, second.term)
        harness.delivered.clear()
        await harness.look_up("b", IP, OTHER_IP, second.term)
        assert harness.delivered == [("b", (*WISE_HITS, second), "intel")]
        assert len(server.asked) == 3
        expected = {"asked": 6, "found": 2, "nothing": 1, "cached": 3}
        assert harness.counts() == {"breaker": "closed", **expected}


@in_loop
async def test_answers_are_cached_for_the_configured_minutes(server: LookupServer) -> None:
    options = LookupOptions(cache_minutes=2)
    async with running_lookups(intel(server.url), options=options) as harness:
        await harness.look_up("a", IP, OTHER_IP)
        harness.clock.now += 119.9
        await harness.look_up("a", IP, OTHER_IP)
        assert len(server.asked) == 2
        harness.clock.now += 0.1
        await harness.look_up("a", IP, OTHER_IP)
        assert len(server.asked) == 4


@in_loop
async def test_without_a_cache_every_request_asks_the_server(server: LookupServer) -> None:
    options = LookupOptions(cache_minutes=0)
    async with running_lookups(intel(server.url), options=options) as harness:
        await harness.look_up("a", IP)
        await harness.look_up("a", IP)
        assert server.times(PATH) == 2
        assert len(harness.delivered) == 2


@in_loop
async def test_a_failure_is_not_cached(server: LookupServer) -> None:
    server.replies[PATH] = [Reply(500), Reply(body=WISE_HIT)]
    async with running_lookups(intel(server.url)) as harness:
        await harness.look_up("a", IP)
        assert harness.delivered == []
        await harness.look_up("a", IP)
        assert harness.delivered == [("a", WISE_HITS, "intel")]
        expected = {"asked": 2, "found": 1, "errors": {"status_500": 1}}
        assert harness.counts() == {"breaker": "closed", **expected}


@in_loop
async def test_a_term_that_many_wait_for_is_looked_up_once(server: LookupServer) -> None:
    server.replies[PATH] = Reply(body=WISE_HIT, head_drip=0.002)
    limits = replace(LIMITS, request_seconds=5.0)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        for number in range(200):
            harness.request(f"alarm {number}", IP)
        harness.request("alarm 7", IP)
        await harness.wait_until_done()
        names = [hits[0] for hits in harness.delivered]
        assert names == [f"alarm {number}" for number in range(200)]
        assert server.times(PATH) == 1
        expected = {"asked": 201, "found": 1, "shared": 200}
        assert harness.counts() == {"breaker": "closed", **expected}


# Work per turn of the event loop.


@in_loop
async def test_a_long_request_does_not_hold_up_the_loop(server: LookupServer) -> None:
    limits = replace(LIMITS, queued_terms=10, steps_per_turn=10)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        harness.request("a", *(f"1.1.{n // 250}.{n % 250}" for n in range(2000)))
        turns = 0
        while (asked := harness.counts().get("asked", 0)) < 2000:
            await asyncio.sleep(0)
            assert harness.counts().get("asked", 0) - asked <= 10
            turns += 1
        assert turns >= 199


@in_loop
async def test_a_term_that_many_wait_for_does_not_hold_up_the_loop(server: LookupServer) -> None:
    server.replies[PATH] = Reply(body=WISE_HIT, head_drip=0.002)
    async with running_lookups(
        intel(server.url), limits=replace(LIMITS, steps_per_turn=10, request_seconds=5.0)
    ) as harness:
        for number in range(500):
            harness.request(f"alarm {number}", IP)
        most = 0
        while len(harness.delivered) < 500:
            before = len(harness.delivered)
            await asyncio.sleep(0)
            most = max(most, len(harness.delivered) - before)
        assert 0 < most <= 10


@in_loop
async def test_a_long_request_that_is_cached_is_delivered_as_one_result(
    server: LookupServer,
) -> None:
    limits = replace(LIMITS, steps_per_turn=2)
    async with running_lookups(intel(server.url), limits=limits) as harness:
        terms = [f"1.1.1.{n}" for n in range(6)]
        for ip in terms:
            server.replies[f"/ip/{ip}"] = Reply(body=WISE_HIT)
        await harness.look_up("a", *terms)
        assert len(harness.delivered) == 6
        harness.delivered.clear()
        await harness.look_up("b", *terms)
        [(name, hits, _)] = harness.delivered
        assert (name, [hit.term for hit in hits]) == ("b", terms)


@in_loop
async def test_results_that_are_not_taken_stop_the_service_at_a_limit(server: LookupServer) -> None:
    service = LookupService([intel(server.url)], limits=replace(LIMITS, queued_results=5))
    task = asyncio.create_task(service.run())
    for number in range(100):
        service.request((1, f"alarm {number}"), LookupRequest((IP,), ()))
    done = 0
    while done < 100:
        result = await service.results.get()
        assert service.results.qsize() <= 5
        done += isinstance(result, LookupsDone)
    service.close(5)
    task.cancel()
