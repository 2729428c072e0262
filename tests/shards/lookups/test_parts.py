"""The parts of lookups that do without a server: the cache, slices, URLs."""

import asyncio
from collections.abc import Iterator

import pytest

from engine.alarm import Hit
from shards.http_client import HttpClientError
from shards.lookups.cache import LookupCache
from shards.lookups.fetcher import split_url
from shards.lookups.plugins.api import fill_url
from shards.lookups.sliced_work import SlicedWork
from tests.support.lookup_service import without_faults

FOUND = (Hit("p", "t", "r"),)


def test_the_cache_keeps_what_was_found_and_that_nothing_was() -> None:
    cache = LookupCache(seconds=10.0, most=10)
    cache.put("a", FOUND, 0.0)
    cache.put("b", (), 5.0)
    assert (cache.get("a", 9.9), cache.get("b", 9.9)) == (FOUND, ())
    assert (cache.get("a", 10.0), cache.get("b", 14.9)) == (None, ())
    assert len(cache) == 1
    assert cache.get("c", 0.0) is None


def test_the_cache_forgets_the_oldest_first() -> None:
    cache = LookupCache(seconds=10.0, most=3)
    for term in "abca":
        cache.put(term, (), 0.0)
    cache.put("d", (), 0.0)
    assert [term for term in "abcd" if cache.get(term, 0.0) is not None] == ["a", "c", "d"]


def test_what_is_long_takes_more_of_the_cache() -> None:
    cache = LookupCache(seconds=10.0, most=10)
    for term in range(10):
        cache.put(term, (), 0.0)
    cache.put("long", (Hit("p", "t", "x" * 256 * 7),), 0.0)
    assert len(cache) == 3
    cache.put("long", (), 0.0)
    for term in range(20, 29):
        cache.put(term, (), 0.0)
    assert len(cache) == 10


def test_what_is_longer_than_the_cache_is_not_kept() -> None:
    cache = LookupCache(seconds=10.0, most=3)
    cache.put("long", (Hit("p", "t", "x" * 10_000),), 0.0)
    assert len(cache) == 0
    cache.put("a", (), 0.0)
    assert cache.get("a", 0.0) == ()


def test_a_cache_of_no_time_keeps_nothing() -> None:
    cache = LookupCache(seconds=0.0, most=3)
    cache.put("a", FOUND, 0.0)
    assert (cache.get("a", 0.0), len(cache)) == (None, 0)


def test_a_cache_that_is_never_asked_stays_small() -> None:
    cache = LookupCache(seconds=10.0, most=100)
    for term in range(10_000):
        cache.put(term, FOUND, float(term))
    assert len(cache) == 100


def steps(done: list[str], name: str, number: int) -> Iterator[None]:
    for step in range(number):
        done.append(f"{name}{step}")
        yield


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_short_work_is_done_at_once() -> None:
    async def run() -> None:
        done: list[str] = []
        SlicedWork(asyncio.get_running_loop(), 3).run(steps(done, "a", 2))
        assert done == ["a0", "a1"]

    asyncio.run(run())


def test_long_work_is_done_in_slices_and_in_order() -> None:
    async def run() -> None:
        done: list[str] = []
        slices = SlicedWork(asyncio.get_running_loop(), 3)
        slices.run(steps(done, "a", 4))
        slices.run(steps(done, "b", 4))
        slices.run(steps(done, "c", 1))
        assert done == ["a0", "a1", "a2"]
        await turns(1)
        assert done[3:] == ["a3", "b0", "b1"]
        await turns(1)
        assert done[6:] == ["b2", "b3", "c0"]
        await turns(3)
        slices.run(steps(done, "d", 1))
        assert done[9:] == ["d0"]

    asyncio.run(run())


@pytest.mark.parametrize("first", [0, 3])
def test_work_that_breaks_does_not_hold_up_other_work(first: int) -> None:
    def breaks() -> Iterator[None]:
        yield from steps([], "x", first)
        raise KeyError("x")

    async def run() -> list[str]:
        broken: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, about: broken.append(about["message"]))
        done: list[str] = []
        slices = SlicedWork(loop, 3)
        try:
            slices.run(breaks())
        except KeyError:
            broken.append("at once")
        slices.run(steps(done, "a", 5))
        await turns(5)
        assert len(broken) == 1
        return done

    assert asyncio.run(run()) == [f"a{step}" for step in range(5)]


def test_work_may_ask_for_more_or_for_the_end() -> None:
    async def run() -> None:
        done: list[str] = []
        slices = SlicedWork(asyncio.get_running_loop(), 2)

        def asks() -> Iterator[None]:
            yield from steps(done, "a", 3)
            slices.run(steps(done, "b", 2))
            yield

        def ends() -> Iterator[None]:
            yield from steps(done, "c", 2)
            slices.clear()
            yield from steps(done, "d", 1)

        slices.run(asks())
        slices.run(ends())
        slices.run(steps(done, "e", 5))
        await turns(9)
        assert done == ["a0", "a1", "a2", "c0", "c1", "d0"]

    asyncio.run(without_faults(run()))


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("http://wise", "http://wise", "/"),
        ("https://wise:8081/", "https://wise:8081", "/"),
        ("HTTP://wise/a//b?x=1#y", "http://wise", "/a//b?x=1"),
        ("http://user:p%40@wise//x", "http://user:p%40@wise", "//x"),
        ("http://wise?x=/", "http://wise", "/?x=/"),
        ("http://[::1]:80/2001:db8::1", "http://[::1]:80", "/2001:db8::1"),
    ],
)
def test_a_url_is_taken_apart(url: str, origin: str, path: str) -> None:
    assert split_url(url) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        *("", "wise", "//wise", "/x", "ftp://wise/x", "file:///etc/passwd", "http://", "http:///x"),
        *(
            "http://:80/",
            "http://wise:x/",
            "http://[::1/",
            "http://[x]/",
            "gopher://x",
            "http:wise",
        ),
    ],
)
def test_a_url_that_is_none_of_a_server(url: str) -> None:
    with pytest.raises(HttpClientError) as caught:
        split_url(url)
    assert caught.value.code == "bad_url"


def test_urls_are_filled() -> None:
    assert fill_url("http://x/${ip}/${ip}", "::ffff:1.2.3.4") == "http://x/1.2.3.4/1.2.3.4"
    assert (
        fill_url("http://x/?a=${ip}&p=${port}", "2001:DB8::0:1", 80)
        == "http://x/?a=2001:db8::1&p=80"
    )
    assert fill_url("http://x/${ip}/$ip/${other}", "1.2.3.4", 1) == "http://x/1.2.3.4/$ip/${other}"
    with pytest.raises(ValueError, match="there is no port"):
        fill_url("http://x/${ip}/${port}", "1.2.3.4")


@pytest.mark.parametrize("port", [0, -1, 65536, True, "80", 80.0])
def test_urls_are_filled_with_ports_alone(port: int) -> None:
    with pytest.raises(ValueError, match="is no port"):
        fill_url("http://x/${ip}", "1.2.3.4", port)
