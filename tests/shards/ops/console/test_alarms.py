"""Alarms of the history over HTTP, and one alarm with its stages, addresses and events."""

import json
from pathlib import Path
from typing import Any

import pytest

from shards.file_position import FilePosition, end_of_file
from tests.support.console import AskShards, ConsoleClient, running_console
from tests.support.history import NOW, about, add, alarm_line, run, written
from tests.support.open_backlogs import open_backlogs, shard_of, take, two_stages
from tests.support.replaying import event

API = "/api/v1/"


def test_live_pages_ask_for_what_has_changed(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            await add(client.backend.history, [alarm_line("a"), alarm_line("b", risk_class="High")])
            first = await client.get(f"{API}alarms")
            sequence = first.body["sequence"]
            assert [one["id"] for one in first.body["alarms"]] == ["b", "a"]
            await add(client.backend.history, [alarm_line("a"), alarm_line("c")])
            query = {"after": sequence, "risk": "Medium"}
            later = await client.get(f"{API}alarms", params=query)
            assert [one["id"] for one in later.body["alarms"]] == ["c", "a"]
            assert later.body["risks"] == {"Low": 0, "Medium": 2, "High": 1}

    run(test())


@pytest.mark.parametrize("id_", ["nothing", "a'b", "a%00b", "x" * 200, "é"])
def test_an_alarm_that_is_not_there_is_404(tmp_path: Path, id_: str) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            for end in ("", "/events"):
                answer = await client.get(f"{API}alarms/{id_}{end}")
                assert (answer.status, "alarm with this id" in answer.body["error"]) == (404, True)

    run(test())


async def note_position(client: ConsoleClient) -> None:
    with client.backend.alarm_events.open("rb") as file:
        client.backend.history.add_position(end_of_file(file.fileno()))
    await written(client.backend.history)


def write_events(client: ConsoleClient, alarm: str, *stages: int) -> None:
    lines = [
        json.dumps({"alarm_id": alarm, "stage": s, "event_id": f"e{n}"}, separators=(",", ":"))
        for n, s in enumerate(stages, 1)
    ]
    with client.backend.alarm_events.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def test_the_events_of_an_alarm_come_page_by_page(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            client.backend.alarm_events.write_bytes(b"")
            await note_position(client)
            write_events(client, "other", 1)
            write_events(client, "a", 1, 2, 2, 2, 3)
            await add(client.backend.history, [alarm_line("a", finished=2)])
            path = f"{API}alarms/a/events"
            first = (await client.get(f"{path}?limit=3")).body
            assert [one["event_id"] for one in first["events"]] == ["e1", "e2", "e3"]
            assert (first["total"], first["next"], first["missing"]) == (5, 3, "")
            rest = (await client.get(f"{path}?limit=3&after=3")).body
            assert ([one["number"] for one in rest["events"]], rest["next"]) == ([4, 5], None)
            second = (await client.get(f"{path}?stage=2")).body
            assert ([one["number"] for one in second["events"]], second["total"]) == ([2, 3, 4], 3)

    run(test())


def test_stages_have_the_events_taken_and_the_state(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            client.backend.alarm_events.write_bytes(b"")
            await note_position(client)
            write_events(client, "a", 1, 2, 2, 3)
            await add(client.backend.history, [alarm_line("a", finished=2, stages=4)])
            detail = (await client.get(f"{API}alarms/a")).body
            stages = [(one["taken"], one["needed"], one["state"]) for one in detail["stages"]]
            assert stages == [
                *((1, 1, "finished"), (2, 2, "finished")),
                *((1, 3, "current"), (0, 4, "waiting")),
            ]
            assert (detail["event_count"], detail["events_missing"]) == (4, "")

    run(test())


def test_without_the_events_finished_stages_have_what_they_needed(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            line = alarm_line("a", rules=[rule("finished", 1), rule("timeout", 2), rule("", 3)])
            await add(client.backend.history, [line])
            detail = (await client.get(f"{API}alarms/a")).body
            assert [(one["taken"], one["state"]) for one in detail["stages"]] == [
                *((1, "finished"), (None, "timeout")),
                (None, "waiting"),
            ]
            assert detail["events_missing"]

    run(test())


def test_stages_in_any_order_are_current_at_once_and_absent_ones_averted(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            client.backend.alarm_events.write_bytes(b"")
            await note_position(client)
            write_events(client, "a", 1, 3, 3, 3, 4)
            begun = {"start_time": 1}
            rules = [
                *(rule("finished", 1) | begun, rule("", 2) | begun, rule("finished", 3) | begun),
                rule("", 1) | begun | {"stage": 4, "absent": True},
            ]
            await add(client.backend.history, [alarm_line("a", rules=rules)])
            detail = (await client.get(f"{API}alarms/a")).body
            assert [(one["taken"], one["state"]) for one in detail["stages"]] == [
                *((1, "finished"), (0, "current"), (3, "finished"), (1, "averted")),
            ]

    run(test())


def rule(status: str, stage: int) -> dict[str, Any]:
    fields = {"name": "r", "stage": stage, "occurrence": stage, "reliability": 1}
    return fields | ({"status": status} if status else {})


def test_an_open_alarm_has_the_count_of_its_backlog_and_when_it_expires(tmp_path: Path) -> None:
    shard = shard_of(two_stages(1))
    open_backlogs(shard, range(1))
    outside = {"src_ip": "10.0.0.0", "dst_ip": "192.0.2.9"}
    take(shard, *(event(f"x{i}", i, 101, **outside) for i in range(2)))
    [backlog] = shard.correlator.open_backlogs()[1]

    async def test() -> None:
        async with running_console(tmp_path, {0: shard}) as client:
            id_ = backlog.alarm_id
            line = alarm_line(id_, stages=2, src_ips=["10.0.0.1"])
            await add(client.backend.history, [line], {id_: about(1)})
            detail = (await client.get(f"{API}alarms/{id_}")).body
            current = detail["stages"][1]
            assert (current["taken"], current["state"]) == (2, "current")
            assert current["expires_time"] == backlog.expires_at
            assert detail["directive_name"] == "directive 1"
            ask: Any = client.backend.ask
            assert isinstance(ask, AskShards)
            ask.silent = {0}
            detail = (await client.get(f"{API}alarms/{id_}")).body
            assert detail["stages"][1]["expires_time"] is None

    run(test())


def test_addresses_have_what_the_assets_say(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, {0: shard_of(two_stages())}) as client:
            line = alarm_line("a", src_ips=["10.0.0.1"], dst_ips=["192.0.2.7", "10.0.0.1"])
            await add(client.backend.history, [line])
            detail = (await client.get(f"{API}alarms/a")).body
            web = {"ip": "10.0.0.1", "name": "web", "networks": ["10.0.0.0/8"], "value": 5}
            outside = {"ip": "192.0.2.7", "name": "", "networks": [], "value": 0}
            assert detail["addresses"] == [
                web | {"source": True, "destination": True},
                outside | {"source": False, "destination": True},
            ]

    run(test())


def test_an_alarm_with_a_thousand_addresses_of_each_side_is_shown(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, {0: shard_of(two_stages())}) as client:
            sources = [f"2001:db8::{i:x}" for i in range(1500)]
            line = alarm_line("a", src_ips=sources, dst_ips=sources)
            await add(client.backend.history, [line])
            detail = (await client.get(f"{API}alarms/a")).body
            assert len(detail["addresses"]) == 1000
            assert detail["alarm"]["src_count"] == 1500

    run(test())


def test_hostile_texts_are_data_and_nothing_else(tmp_path: Path) -> None:
    hostile = '</script><img src=x onerror=alert(1)>\u202e\x1b[31m\x00"\\'

    async def test() -> None:
        async with running_console(tmp_path) as client:
            custom = [{"label": hostile, "content": hostile}]
            line = alarm_line("a", title=hostile, custom_data=custom, created_time=NOW)
            await add(client.backend.history, [line], {"a": about(1, _10_0_0_1=hostile)})
            answer = await client.get(f"{API}alarms/a")
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.body["alarm"]["title"] == hostile
            assert answer.body["alarm"]["src"][0]["name"] == hostile
            assert answer.body["custom_data"] == custom

    run(test())


def test_a_damaged_position_is_no_reason_to_fail(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            client.backend.history.add_position(FilePosition(1, 1 << 40, 7))
            await add(client.backend.history, [alarm_line("a")])
            answer = await client.get(f"{API}alarms/a/events")
            assert (answer.status, answer.body["total"]) == (200, 0)
            assert answer.body["missing"]

    run(test())
