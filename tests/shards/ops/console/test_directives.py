"""Directives of the running configuration, with counts of workers and history."""

from pathlib import Path
from typing import Any

from shards.ops.overview import Overview
from shards.worker.shard import Shard
from tests.support.console import AskShards, running_console
from tests.support.history import about, add, alarm_line, run
from tests.support.open_backlogs import open_backlogs, shard_of, two_stages
from tests.support.overviews import overview
from tests.support.replaying import event

API = "/api/v1/"


def two_shards() -> dict[int, Shard]:
    shards = {0: shard_of(*map(two_stages, range(1, 4))), 1: shard_of(two_stages(9))}
    open_backlogs(shards[0], range(4), 2)
    return shards


def test_all_workers_directives_are_listed_with_their_open_backlogs(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, two_shards()) as client:
            answer = await client.get(f"{API}directives?sort=id")
            listed = answer.body["directives"]
            assert [(one["id"], one["worker"], one["backlogs"]) for one in listed] == [
                *((1, 0, 0), (2, 0, 4), (3, 0, 0)),
                (9, 1, 0),
            ]
            assert answer.body["kinds"]["open"] == 1
            first = await client.get(f"{API}directives?sort=id&limit=3")
            assert (len(first.body["directives"]), first.body["next"]) == (3, "3")
            rest = await client.get(f"{API}directives?sort=id&limit=3&after=3")
            assert [one["id"] for one in rest.body["directives"]] == [9]
            assert rest.body["next"] is None

    run(test())


def test_the_workers_are_asked_for_directives_once_for_each_configuration(tmp_path: Path) -> None:
    generation = 1

    def now() -> Overview:
        return overview(config_generation=generation)

    async def test() -> None:
        nonlocal generation
        async with running_console(tmp_path, two_shards(), get_overview=now) as client:
            ask: Any = client.backend.ask
            assert isinstance(ask, AskShards)

            def lists() -> int:
                return sum(type(query).__name__ == "ListDirectives" for query in ask.asked)

            for _ in range(3):
                await client.get(f"{API}directives")
            assert lists() == 2
            generation = 2
            await client.get(f"{API}alarm-groups?by=directive")
            assert lists() == 4

    run(test())


def test_a_directive_has_its_rules(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, two_shards()) as client:
            await add(client.backend.history, [alarm_line("a")], {"a": about(2)})
            answer = await client.get(f"{API}directives/2")
            assert [rule["stage"] for rule in answer.body["rules"]] == [1, 2]
            assert answer.body["rules"][1]["from"] == ":1"
            assert answer.body["directive"]["last_fired"] is not None
            for id_ in ("5", "x", "-1", "9" * 30):
                missing = await client.get(f"{API}directives/{id_}")
                assert (missing.status, "is enabled" in missing.body["error"]) == (404, True)

    run(test())


def test_a_worker_that_does_not_answer_is_said(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, two_shards()) as client:
            ask: Any = client.backend.ask
            await client.get(f"{API}directives")
            ask.silent = {1}
            answer = await client.get(f"{API}directives?sort=id")
            assert [one["backlogs"] for one in answer.body["directives"]] == [0, 4, 0, None]
            answer = await client.get(f"{API}directives/9")
            assert (answer.status, answer.body["error"]) == (503, "worker-1 does not answer")

    run(test())


def test_recent_events_are_those_of_the_workers(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, two_shards()) as client:
            answer = await client.get(f"{API}recent-events?directive=2")
            assert [one["event_id"] for one in answer.body["events"]] == [
                *("e2-3", "e2-2", "e2-1", "e2-0"),
            ]
            answer = await client.get(f"{API}recent-events?directive=77")
            assert answer.body == {"events": []}
            answer = await client.get(f"{API}recent-events?limit=1")
            assert answer.body["events"][0].keys() == event("e", 0, 2).keys()

    run(test())
