"""Lookups against real servers: who is told what, how often a server is asked, what is counted."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger
from msgspec.structs import replace

from engine.alarm import Hit, LookupRequest
from shards.lookups.limits import LookupOptions
from shards.lookups.service import LookupService
from tests.support import lookup_plugins
from tests.support.frontend import Reply
from tests.support.lookup_server import MISBEHAVIOUR, NESD_HIT, WISE_HIT, LookupServer, hanging
from tests.support.lookup_service import LIMITS, Desk, desk, in_loop, intel, vuln

IP, OTHER = "203.0.113.9", "198.51.100.7"
PATH, OTHER_PATH = f"/ip/{IP}", f"/ip/{OTHER}"
PAIR = ("10.0.0.9", 443)
PAIR_PATH = "/?ip=10.0.0.9&port=443"
WISE_FOUND = (Hit("Wise", IP, "ip.asn: AS64500"),)
NESD_FOUND = (Hit("Nesd", "10.0.0.9:443", "High - Heartbleed (CVE-2014-0160)"),)


@pytest.fixture
def server() -> Iterator[LookupServer]:
    with LookupServer() as served:
        served.replies[PATH] = Reply(body=WISE_HIT)
        served.replies[PAIR_PATH] = Reply(body=NESD_HIT)
        yield served


@pytest.fixture
def said() -> Iterator[list[dict[str, Any]]]:
    """What is logged: the message and what is bound to it."""
    lines: list[dict[str, Any]] = []
    sink = logger.add(
        lambda m: lines.append({"message": m.record["message"], **m.record["extra"]}), level="INFO"
    )
    yield lines
    logger.remove(sink)


# Who is told what.


@in_loop
async def test_hits_are_told(server: LookupServer) -> None:
    async with desk(intel(server.url), vuln(server.url)) as at:
        await at.asked("a", IP, PAIR)
        found = [("a", WISE_FOUND, "intel"), ("a", NESD_FOUND, "vuln")]
        assert sorted(at.told, key=lambda told: told[2]) == found
        assert {asked.path for asked in server.asked} == {PATH, PAIR_PATH}


@in_loop
async def test_nothing_found_is_not_told(server: LookupServer) -> None:
    async with desk(intel(server.url)) as at:
        await at.asked("a", OTHER)
        assert at.told == []
        assert at.counts() == {"breaker": "closed", "asked": 1, "nothing": 1}


@in_loop
async def test_every_source_is_asked(server: LookupServer) -> None:
    with LookupServer(Reply(body=WISE_HIT)) as second:
        sources = intel(server.url, name="x"), intel(second.url, name="x"), vuln(server.url)
        async with desk(*sources) as at:
            await at.asked("a", IP)
            assert [told[0] for told in at.told] == ["a", "a"]
            assert server.times(PATH) == second.times(PATH) == 1
            counted = {name: counts.asked for name, counts in at.lookups.counts.items()}
            assert counted == {"intel_x": 1, "intel_x_2": 1, "vuln_vuln": 0}


@in_loop
async def test_without_sources_nothing_happens() -> None:
    async with desk() as at:
        at.ask("a", IP)
        assert (at.told, at.lookups.counts) == ([], {})


PRIVATE = (
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "127.0.0.1", "169.254.169.254"),
    *("fc00::1", "fdff::1", "::1", "fe80::1", "febf::1"),
)
PUBLIC = ("172.32.0.1", "11.0.0.1", "192.169.0.1", "2001:db8::1", "fec0::1", "::2", "1.0.0.127")
NEVER = ("0.0.0.0", "::")


@pytest.mark.parametrize("private", [False, True])
@in_loop
async def test_which_addresses_are_looked_up(server: LookupServer, private: bool) -> None:
    options = LookupOptions(private=private)
    async with desk(intel(server.url), options=options) as at:
        await at.asked("a", *PRIVATE, *PUBLIC, *NEVER)
        wanted = {*PUBLIC, *PRIVATE} if private else {*PUBLIC}
        assert {asked.path for asked in server.asked} == {f"/ip/{ip}" for ip in wanted}
        assert len(server.asked) == len(wanted)


@in_loop
async def test_which_pairs_are_looked_up(server: LookupServer) -> None:
    async with desk(vuln(server.url)) as at:
        await at.asked("a", PAIR, ("10.0.0.9", 0), ("0.0.0.0", 80), ("::", 80), (IP, 65535))
        assert {asked.path for asked in server.asked} == {PAIR_PATH, f"/?ip={IP}&port=65535"}
        assert at.counts()["asked"] == 2


# How often a server is asked.


@in_loop
async def test_what_is_known_is_told_at_once(server: LookupServer) -> None:
    async with desk(intel(server.url)) as at:
        await at.asked("a", IP, OTHER)
        at.told.clear()
        at.ask("b", IP, OTHER)
        assert at.told == [("b", WISE_FOUND, "intel")]
        assert len(server.asked) == 2
        counted = {"asked": 4, "found": 1, "nothing": 1, "cached": 2}
        assert at.counts() == {"breaker": "closed", **counted}


@in_loop
async def test_it_is_known_for_so_many_minutes(server: LookupServer) -> None:
    async with desk(intel(server.url), options=LookupOptions(cache=2)) as at:
        await at.asked("a", IP, OTHER)
        at.clock.now += 119.9
        await at.asked("a", IP, OTHER)
        assert len(server.asked) == 2
        at.clock.now += 0.1
        await at.asked("a", IP, OTHER)
        assert len(server.asked) == 4


@in_loop
async def test_without_a_cache_every_alarm_asks_anew(server: LookupServer) -> None:
    async with desk(intel(server.url), options=LookupOptions(cache=0)) as at:
        await at.asked("a", IP)
        await at.asked("a", IP)
        assert server.times(PATH) == 2
        assert len(at.told) == 2


@in_loop
async def test_a_failure_is_not_kept(server: LookupServer) -> None:
    server.replies[PATH] = [Reply(500), Reply(body=WISE_HIT)]
    async with desk(intel(server.url)) as at:
        await at.asked("a", IP)
        assert at.told == []
        await at.asked("a", IP)
        assert at.told == [("a", WISE_FOUND, "intel")]
        counted = {"asked": 2, "found": 1, "errors": {"status_500": 1}}
        assert at.counts() == {"breaker": "closed", **counted}


@in_loop
async def test_a_term_is_asked_for_once_however_many_want_it(server: LookupServer) -> None:
    server.replies[PATH] = Reply(body=WISE_HIT, head_drip=0.002)
    async with desk(intel(server.url)) as at:
        for number in range(200):
            at.ask(f"alarm {number}", IP)
        at.ask("alarm 7", IP)
        await at.answered()
        await at.until(lambda: len(at.told) == 200)
        assert [told[0] for told in at.told] == [f"alarm {number}" for number in range(200)]
        assert server.times(PATH) == 1
        counted = {"asked": 201, "found": 1, "shared": 200}
        assert at.counts() == {"breaker": "closed", **counted}


# What servers and plugins may do.


async def _asked_who_misbehaves(
    server: LookupServer, reply: Reply, *, term: Any, path: str
) -> dict[str, Any]:
    source = intel(server.url) if isinstance(term, str) else vuln(server.url)
    server.replies[path] = reply
    began = time.monotonic()
    async with desk(source) as at:
        await at.asked("a", term)
        assert time.monotonic() - began < 2
        assert at.told == []
        return at.counts()


@pytest.mark.parametrize("name", MISBEHAVIOUR)
@pytest.mark.parametrize(("term", "path"), [(IP, PATH), (PAIR, PAIR_PATH)], ids=["wise", "nesd"])
@in_loop
async def test_a_server_that_misbehaves(
    name: str, term: Any, path: str, server: LookupServer
) -> None:
    reply, code = MISBEHAVIOUR[name]
    counted = await _asked_who_misbehaves(server, reply, term=term, path=path)
    assert counted == {"breaker": "closed", "asked": 1, "errors": {code: 1}}
    assert [asked.path for asked in server.asked] == [path]


@in_loop
async def test_what_only_nesd_takes_for_an_answer(server: LookupServer) -> None:
    for status, code in ((404, "status_404"), (418, "status_418")):
        counted = await _asked_who_misbehaves(server, Reply(status), term=IP, path=PATH)
        assert counted["errors"] == {code: 1}
    nothing = Reply(418, b"no vulnerability found\n")
    counted = await _asked_who_misbehaves(server, nothing, term=PAIR, path=PAIR_PATH)
    assert counted == {"breaker": "closed", "asked": 1, "nothing": 1}
    counted = await _asked_who_misbehaves(server, Reply(404), term=PAIR, path=PAIR_PATH)
    assert counted["errors"] == {"bad_answer": 1}


@in_loop
async def test_a_server_that_is_not_there(server: LookupServer) -> None:
    server.stop()
    async with desk(intel(server.url)) as at:
        await at.asked("a", IP)
        assert at.counts()["errors"] == {"connection": 1}


@in_loop
async def test_a_slow_server_that_comes_to_its_end_in_time(server: LookupServer) -> None:
    server.replies[PATH] = Reply(body=WISE_HIT, drip=0.002)
    async with desk(intel(server.url), limits=replace(LIMITS, seconds=5.0)) as at:
        await at.asked("a", IP)
        assert at.told == [("a", WISE_FOUND, "intel")]


@in_loop
async def test_a_server_that_hangs_does_not_hold_up_others(server: LookupServer) -> None:
    server.replies[OTHER_PATH] = hanging()
    limits = replace(LIMITS, seconds=5.0, threads=1)
    async with desk(intel(server.url), vuln(server.url), limits=limits) as at:
        at.ask("a", OTHER, PAIR)
        await at.until(lambda: at.told)
        assert at.told == [("a", NESD_FOUND, "vuln")]


@pytest.mark.parametrize("name", lookup_plugins.NONSENSE)
@in_loop
async def test_a_plugin_that_gives_nonsense(
    name: str, monkeypatch: pytest.MonkeyPatch, said: list[dict[str, Any]]
) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Nonsense")
    check, code = lookup_plugins.NONSENSE[name]
    monkeypatch.setattr(lookup_plugins.Nonsense, "check", check)
    async with desk(intel("http://x", "Nonsense")) as at:
        await at.asked("a", IP)
        assert at.told == []
        monkeypatch.setattr(lookup_plugins.Nonsense, "check", lambda self, ip: WISE_FOUND)
        await at.asked("a", IP)
        assert at.told == [("a", WISE_FOUND, "intel")]
        counted = {"asked": 2, "found": 1, "errors": {code: 1}}
        assert at.counts() == {"breaker": "closed", **counted}
    [line] = said
    assert (line["message"], line["source"], line["reason"]) == ("a lookup failed", "intel", code)
    assert "hunter2" not in str(line)


@pytest.mark.parametrize("name", ["Greedy", "Refusing", "Asking", "nobody", "checkless"])
@in_loop
async def test_a_plugin_that_cannot_be_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Greedy", "Refusing", "Asking", "checkless")
    source = intel("http://127.0.0.1:1", name)
    async with desk(source) as at:
        await at.asked("a", IP)
        [code] = at.counts()["errors"]
        assert code in {"bad_url", "plugin_error", "connection"}
    assert source.options["url"]


@in_loop
async def test_a_plugin_that_does_not_come_back_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    lookup_plugins.release.clear()
    limits = replace(LIMITS, threads=2, seconds=0.02, grace=0.02, failures=2)
    async with desk(intel("http://x", "Hanging"), limits=limits) as at:
        await at.asked("a", IP, OTHER, "1.1.1.1", "1.1.1.2")
        counted = {"asked": 4, "errors": {"hung": 2}, "rejected_breaker": 2, "opened": 1}
        assert at.counts() == {"breaker": "open", **counted}
        lookup_plugins.release.set()
        at.clock.now += limits.rest
        await at.asked("b", IP)
        assert at.told == [("b", (Hit("late", IP, "x"),), "intel")]


# The breaker, the queue, and that it all adds up.


@in_loop
async def test_a_server_that_keeps_failing_is_left_alone(
    server: LookupServer, said: list[dict[str, Any]]
) -> None:
    server.usual = Reply(500)
    limits = replace(LIMITS, threads=1, failures=3)
    async with desk(intel(server.url), limits=limits) as at:
        await at.asked("a", *(f"1.1.1.{n}" for n in range(10)))
        assert len(server.asked) == 3
        counted = {"asked": 10, "errors": {"status_500": 3}, "rejected_breaker": 7, "opened": 1}
        assert at.counts() == {"breaker": "open", **counted}
        at.ask("a", IP)
        assert at.counts()["rejected_breaker"] == 8
        at.clock.now += limits.rest
        at.ask("a", IP, OTHER)
        counts = at.counts()
        assert (counts["breaker"], counts["waiting"], counts["rejected_breaker"]) == (
            "half_open",
            1,
            9,
        )
        await at.answered()
        assert at.counts()["breaker"] == "closed"
        await at.asked("a", OTHER)
        counted = {"asked": 14, "found": 1, "errors": {"status_500": 4}, "rejected_breaker": 9}
        assert at.counts() == {"breaker": "closed", "opened": 1, **counted}
    states = [line["message"] for line in said if "source" in line and "reason" not in line]
    assert states == ["lookups are put off: it keeps failing", "lookups go on: it answers again"]


@in_loop
async def test_a_server_that_still_fails_is_left_alone_again(server: LookupServer) -> None:
    server.usual = Reply(500)
    limits = replace(LIMITS, threads=1, failures=2)
    async with desk(intel(server.url), limits=limits) as at:
        await at.asked("a", "1.1.1.1", "1.1.1.2")
        at.clock.now += limits.rest
        await at.asked("a", "1.1.1.3", "1.1.1.4")
        counted = {"asked": 4, "errors": {"status_500": 3}, "rejected_breaker": 1, "opened": 2}
        assert at.counts() == {"breaker": "open", **counted}
        assert len(server.asked) == 3


@in_loop
async def test_too_many_terms_are_refused(server: LookupServer) -> None:
    server.usual = Reply(body=b"[]", head_drip=0.001)
    limits = replace(LIMITS, threads=2, queue=3, seconds=5.0)
    async with desk(intel(server.url), limits=limits) as at:
        at.ask("a", *(f"1.1.1.{n}" for n in range(10)))
        counted = {"asked": 10, "rejected_full": 5}
        assert at.counts() == {"breaker": "closed", "waiting": 5, **counted}
        await at.answered()
        assert at.counts() == {"breaker": "closed", "nothing": 5, **counted}
        assert len(server.asked) == 5


@in_loop
async def test_too_many_askers_are_refused(server: LookupServer) -> None:
    server.replies[PATH] = Reply(body=WISE_HIT, head_drip=0.001)
    async with desk(intel(server.url), limits=replace(LIMITS, askers=3, seconds=5.0)) as at:
        for alarm in "abcde":
            at.ask(alarm, IP)
        await at.answered()
        assert [told[0] for told in at.told] == ["a", "b", "c"]
        counted = {"asked": 5, "found": 1, "shared": 2, "rejected_full": 2}
        assert at.counts() == {"breaker": "closed", **counted}
        await at.asked("f", OTHER)
        assert at.counts()["nothing"] == 1


@in_loop
async def test_whatever_comes_the_counts_add_up(server: LookupServer) -> None:
    replies = [reply for reply, code in MISBEHAVIOUR.values() if code != "timeout"]
    limits = replace(LIMITS, threads=3, queue=5, askers=9, failures=3, rest=1.0)
    async with desk(intel(server.url), limits=limits) as at:
        for number in range(120):
            ip = f"1.1.1.{number % 40}"
            server.replies[f"/ip/{ip}"] = (
                Reply(body=WISE_HIT) if number % 3 else replies[number % len(replies)]
            )
            at.ask(f"alarm {number}", ip, f"1.1.2.{number % 7}", IP)
            assert _missing(at) == 0
            at.clock.now += 0.3
            if number % 4 == 0:
                await at.answered()
        await at.answered()
        assert _missing(at) == 0
        counts = at.counts()
        assert counts["asked"] == 360
        assert "waiting" not in counts
        assert counts["found"] > 0
        assert counts["errors"]


def _missing(at: Desk) -> int:
    [counts] = at.lookups.counts.values()
    return counts.missing


# The loop, and the end.


@in_loop
async def test_the_loop_has_its_turns_while_much_is_asked(server: LookupServer) -> None:
    limits = replace(LIMITS, queue=10, slice=10)
    async with desk(intel(server.url), limits=limits) as at:
        due = [f"1.1.{n // 250}.{n % 250}" for n in range(2000)]
        at.ask("a", *due)
        assert at.counts()["asked"] == 10
        turns = 0
        while at.counts()["asked"] < 2000:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 199


@in_loop
async def test_what_is_known_is_told_once_however_long_it_takes(server: LookupServer) -> None:
    async with desk(intel(server.url), limits=replace(LIMITS, slice=2)) as at:
        due = [f"1.1.1.{n}" for n in range(6)]
        for ip in due:
            server.replies[f"/ip/{ip}"] = Reply(body=WISE_HIT)
        await at.asked("a", *due)
        await at.until(lambda: len(at.told) == 6)
        at.told.clear()
        at.ask("b", *due)
        await at.until(lambda: at.told)
        [(alarm, hits, _)] = at.told
        assert (alarm, [hit.term for hit in hits]) == ("b", due)


@in_loop
async def test_what_has_come_back_is_not_given_up(server: LookupServer) -> None:
    async with desk(intel(server.url), limits=replace(LIMITS, seconds=0.15, grace=0.0)) as at:
        await at.asked("a", IP)
        later = time.monotonic() + 0.2
        await at.until(lambda: time.monotonic() > later)
        assert at.counts() == {"breaker": "closed", "asked": 1, "found": 1}


@in_loop
async def test_the_end_waits_for_nothing(server: LookupServer, said: list[dict[str, Any]]) -> None:
    server.usual = hanging()
    at = Desk(intel(server.url), vuln(server.url), limits=replace(LIMITS, seconds=60.0))
    at.ask("a", *(f"1.1.1.{n}" for n in range(20)), PAIR)
    server.wait_for("/ip/1.1.1.3")
    assert all(t.daemon for t in threading.enumerate() if t.name.startswith("lookup"))
    began = time.monotonic()
    at.lookups.close()
    assert time.monotonic() - began < 0.02
    at.lookups.close(5)
    assert time.monotonic() - began < 1
    assert not any(thread.name.startswith("lookup") for thread in threading.enumerate())
    at.ask("a", IP)
    await asyncio.sleep(0.05)
    counts = at.lookups.counts["intel_intel"]
    assert (counts.asked, counts.waiting, counts.errors) == (20, 0, {"stopped": 20})
    assert (at.told, said) == ([], [])


@in_loop
async def test_the_end_does_not_wait_for_a_plugin_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    lookup_plugins.release.clear()
    at = Desk(intel("http://x", "Hanging"))
    at.ask("a", IP)
    began = time.monotonic()
    at.lookups.close(0.05)
    assert time.monotonic() - began < 0.5
    lookup_plugins.release.set()
    at.lookups.close(5)
    await asyncio.sleep(0.01)
    assert at.told == []


def test_a_loop_that_has_ended_is_nothing_to_a_thread(
    monkeypatch: pytest.MonkeyPatch, server: LookupServer
) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    lookup_plugins.release.clear()
    opened: list[LookupService] = []

    async def ask() -> None:
        opened.append(Desk(intel(server.url, "Hanging")).lookups)
        opened[0].ask("a", LookupRequest((IP,), ()))

    asyncio.run(ask())
    lookup_plugins.release.set()
    opened[0].close(5)


# What is logged.


@in_loop
async def test_what_fails_is_logged_a_little_and_without_secrets(
    server: LookupServer, said: list[dict[str, Any]]
) -> None:
    source = intel(server.url_with_login("user:hunter2"))
    url = source.url + "?key=hunter2"
    source = replace(source, url=url, options={"url": url})
    place = f"{server.url}{PATH}?key=hunter2"
    server.usual = Reply(302, b"hunter2", headers={"Location": place})
    async with desk(source, limits=replace(LIMITS, threads=1)) as at:
        await at.asked("a", *(f"1.1.1.{n}" for n in range(9)))
        server.usual = Reply(401, b"hunter2")
        await at.asked("a", IP)
        server.stop()
        await at.asked("a", OTHER)
    assert [line["reason"] for line in said] == [*["redirect"] * 3, "status_401", "connection"]
    assert said[-1]["why"] == "cannot be read: Connection refused"
    assert "hunter2" not in str(said)
