"""Open backlogs over all workers: order, pages, filters, missing workers, one question for many."""

from pathlib import Path
from typing import Any

from shards.worker.shard import Shard
from tests.support.console import AskShards, ConsoleClient, running_console
from tests.support.history import run
from tests.support.open_backlogs import open_backlogs, shard_of, source, two_stages

PATH = "/api/v1/backlogs"


def two_shards() -> dict[int, Shard]:
    """Backlogs of ages 0, 2, 4, … in worker 0, and of 1, 3, … in worker 1."""
    shards = {0: shard_of(two_stages(1)), 1: shard_of(two_stages(2))}
    for shard, numbers in ((0, range(0, 20, 2)), (1, range(1, 20, 2))):
        open_backlogs(shards[shard], numbers, shard + 1)
    return shards


async def found(client: ConsoleClient, **query: Any) -> tuple[list[str], Any]:
    answer = await client.get(PATH, params=query)
    assert answer.status == 200, answer.body
    return [row["src"][0]["ip"] for row in answer.body["backlogs"]], answer.body


def test_the_first_of_all_workers_are_given_page_by_page(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, two_shards()) as client:
            seen: list[str] = []
            query = {"sort": "age", "limit": 6}
            while True:
                sources, body = await found(client, **query)
                seen += sources
                assert (body["open"], body["total"]) == (20, 20)
                if body["next"] is None:
                    break
                query["after"] = body["next"]
            assert seen == [source(number) for number in range(20)]
            reverse, _ = await found(client, sort="age", reverse="true", limit=3)
            assert reverse == [source(number) for number in (19, 18, 17)]

    run(test())


def test_filters_are_those_of_the_workers(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, two_shards()) as client:
            sources, body = await found(client, directive="2", sort="age", limit="2")
            assert sources == [source(1), source(3)]
            assert (body["open"], body["total"]) == (20, 10)
            assert (await found(client, address="10.0.0.4/31", sort="age"))[0] == [
                source(4),
                source(5),
            ]
            assert (await found(client, text="WEB"))[0] == [source(1)]
            assert (await found(client, risk="Low"))[0] == []
            wrong = await client.get(PATH, params={"address": "nonsense"})
            assert (wrong.status, "no IP address" in wrong.body["error"]) == (400, True)
            wrong = await client.get(PATH, params={"after": "nonsense"})
            assert wrong.status == 400

    run(test())


def test_workers_that_do_not_answer_are_named(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, two_shards()) as client:
            ask = client.backend.ask
            assert isinstance(ask, AskShards)
            ask.silent = {1}
            sources, body = await found(client, sort="age", limit="2")
            assert (sources, body["workers_missing"]) == ([source(0), source(2)], [1])
            ask.silent = {0, 1}
            answer = await client.get(PATH, params={"sort": "stage"})
            assert (answer.status, answer.body["error"]) == (503, "no worker has answered in time")

    run(test())


def test_pages_with_the_same_view_ask_the_workers_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, two_shards()) as client:
            ask = client.backend.ask
            assert isinstance(ask, AskShards)
            for _ in range(5):
                await found(client, sort="age")
            assert len(ask.asked) == 1
            for number in range(40):
                await found(client, text=str(number))
            assert len(ask.asked) == 41

    run(test())
