"""openapi.json is what the console does: its paths, methods, parameters, statuses and answers."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shards.history.service_rows import Incident, Sample
from shards.ops.console.console import API, Console
from shards.worker.shard import Shard
from tests.support.console import (
    OPENAPI,
    TOKEN,
    ConsoleClient,
    check_schema,
    make_backend,
    running_console,
)
from tests.support.history import NOW, about, alarm_line, run, written
from tests.support.open_backlogs import open_backlogs, shard_of, two_stages
from tests.support.replaying import Json, event

VALUES: Json = {
    "text": "brute",
    "risk": "High,Medium",
    "state": "open,timeout",
    "directive": "1",
    "address": "10.0.0.0/8",
    "source": "10.0.0.1",
    "since": str(NOW - 100),
    "until": str(NOW + 100.5),
    "limit": "2",
    "before": "1795000000000",
    "after": "1",
    "by": "source",
    "parts": "7",
    "sort": "updated",
    "reverse": "true",
    "stage": "2",
    "kind": "all",
    "process": "worker-0",
}
"""A right value of each parameter."""
AFTER = {"backlogs": "5.0~abc"}
SORTS = {"directives": "name"}


def operations() -> Iterator[tuple[str, str, Json]]:
    """Each path without its beginning, with its method."""
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            yield path.removeprefix(API), method.upper(), operation


READS = [
    (path, operation)
    for path, method, operation in operations()
    if method == "GET" and path not in ("events", "session")
]


def parameters_of(operation: Json) -> list[Json]:
    found = []
    for parameter in operation.get("parameters", []):
        if "$ref" in parameter:
            name = parameter["$ref"].rpartition("/")[2]
            found.append(OPENAPI["components"]["parameters"][name])
        else:
            found.append(parameter)
    return found


def busy_shard() -> Shard:
    shard = shard_of(two_stages(1, name="SSH brute force"), two_stages(2))
    open_backlogs(shard, range(3))
    return shard


async def fill(tested: ConsoleClient) -> None:
    """Give the history something of everything."""
    history = tested.backend.history
    tested.backend.alarm_events.write_bytes(b'{"alarm_id":"aaaaaaaaa","stage":1,"event_id":"e"}\n')
    lines = [
        alarm_line("aaaaaaaaa", intel_hits=[{"provider": "p", "term": "t", "result": "r"}]),
        alarm_line("bbbbbbbbb", finished=3, custom_data=[{"label": "l", "content": "c"}]),
    ]
    history.add_lines(b"".join(lines), {"aaaaaaaaa": about(1, _10_0_0_1="web")})
    history.add_incident(Incident(NOW, "restart", "worker-0", "text"))
    history.add_samples([Sample(at=NOW, process="", seconds=60.0)])
    await written(history)


def path_of(path: str) -> str:
    return API + path.replace("{id}", "1" if path.startswith("directives") else "aaaaaaaaa")


def test_it_is_valid_openapi_as_far_as_its_schemas_go() -> None:
    for schema in OPENAPI["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for kind, name in re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(OPENAPI)):
        assert name in OPENAPI["components"][kind]


def test_each_path_has_a_handler_and_each_handler_a_path(tmp_path: Path) -> None:
    console = Console(make_backend(tmp_path, {}))
    handled = {(path, "GET") for path in (*console.reads, *console.reads_of_one)}
    handled |= {(path, "POST") for path in console.writes}
    handled |= {(path, method) for path, (method, _) in console.open.items()}
    assert handled == {(path, method) for path, method, _ in operations()}


@pytest.mark.parametrize(("path", "operation"), READS, ids=[path for path, _ in READS])
def test_answers_are_as_it_says(tmp_path: Path, path: str, operation: Json) -> None:
    async def test() -> None:
        async with running_console(tmp_path, {0: busy_shard()}) as tested:
            await fill(tested)
            answer = await tested.get(path_of(path))
            assert answer.status == 200, answer.body
            check_schema(answer.body, json_schema_of(operation, 200))

    run(test())


def json_schema_of(operation: Json, status: int) -> Json:
    found: Json = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    return found


@pytest.mark.parametrize(("path", "operation"), READS, ids=[path for path, _ in READS])
def test_all_parameters_and_no_others_are_taken(tmp_path: Path, path: str, operation: Json) -> None:
    names = [one["name"] for one in parameters_of(operation) if one["in"] == "query"]
    query = {name: value_of(path, name) for name in names}

    async def test() -> None:
        async with running_console(tmp_path, {0: busy_shard()}) as tested:
            await fill(tested)
            answer = await tested.get(path_of(path), params=query)
            assert answer.status == 200, answer.body
            check_schema(answer.body, json_schema_of(operation, 200))
            for name in names:
                answer = await tested.get(path_of(path), params={name: value_of(path, name)})
                assert answer.status == 200, answer.body
            wrong = await tested.get(path_of(path), params={"nonsense": "1"})
            assert (wrong.status, "400" in operation["responses"]) == (400, True)
            check_schema(wrong.body, json_schema_of(operation, 400))

    run(test())


def value_of(path: str, name: str) -> str:
    if name == "after":
        return AFTER.get(path, "1")
    if name == "sort":
        return SORTS.get(path, "updated")
    return str(VALUES[name])


@pytest.mark.parametrize(("path", "operation"), READS, ids=[path for path, _ in READS])
def test_wrong_parameters_are_refused_with_the_reason(
    tmp_path: Path, path: str, operation: Json
) -> None:
    wrong = list(wrong_values(operation))

    async def test() -> None:
        async with running_console(tmp_path, {0: busy_shard()}) as tested:
            await fill(tested)
            for name, value in wrong:
                answer = await tested.get(path_of(path), params={name: value})
                assert answer.status == 400, (name, value, answer.body)
                assert answer.body["error"]

    run(test())


def wrong_values(operation: Json) -> Iterator[tuple[str, str]]:
    """Values that the schemas of parameters exclude."""
    for parameter in parameters_of(operation):
        schema, name = parameter["schema"], parameter["name"]
        if parameter["in"] != "query":
            continue
        if schema["type"] in ("integer", "number", "boolean"):
            yield name, "x"
        if "minimum" in schema:
            yield name, str(schema["minimum"] - 1)
        if "maximum" in schema:
            yield name, str(schema["maximum"] + 1)
        if "maxLength" in schema:
            yield name, "x" * (schema["maxLength"] + 1)
        if "enum" in schema:
            yield name, "x"


@pytest.mark.parametrize(("path", "operation"), READS, ids=[path for path, _ in READS])
def test_a_login_is_asked_for(tmp_path: Path, path: str, operation: Json) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN) as tested:
            answer = await tested.get(path_of(path))
            assert answer.status == 401
            check_schema(answer.body, json_schema_of(operation, 401))
        async with running_console(tmp_path, ops_address="0.0.0.0") as tested:
            answer = await tested.get(path_of(path))
            assert answer.status == 403
            check_schema(answer.body, json_schema_of(operation, 403))

    run(test())


def test_writes_answer_as_it_says(tmp_path: Path) -> None:
    writes = {path: operation for path, method, operation in operations() if method == "POST"}
    assert writes.keys() == {"login", "logout", "explain", "reload"}

    async def test() -> None:
        async with running_console(tmp_path, {0: busy_shard()}, api_token=TOKEN) as tested:
            for path in ("explain", "reload"):
                answer = await tested.post(API + path, json=event("e", 0, 1))
                assert answer.status == 401
            answer = await tested.post(f"{API}login", json={"token": TOKEN})
            assert (answer.status, answer.body) == (204, b"")
            answer = await tested.post(f"{API}explain", json=event("e", 0, 1))
            assert answer.status == 200
            check_schema(answer.body, json_schema_of(writes["explain"], 200))
            answer = await tested.post(f"{API}explain", data=b"{}")
            assert answer.status == 400
            assert answer.body["reason"]
            answer = await tested.post(f"{API}reload")
            assert answer.status == 200
            check_schema(answer.body, json_schema_of(writes["reload"], 200))

    run(test())


@pytest.mark.parametrize(("login", "token"), [("off", ""), ("needed", TOKEN)])
def test_the_session_is_told_without_a_login(tmp_path: Path, login: str, token: str) -> None:
    schema = OPENAPI["paths"][f"{API}session"]["get"]

    async def test() -> None:
        async with running_console(tmp_path, api_token=token) as tested:
            answer = await tested.get(f"{API}session")
            check_schema(answer.body, json_schema_of(schema, 200))
            assert (answer.body["login"], answer.body["writes"]) == (login, False)
            if token:
                await tested.post(f"{API}login", json={"token": token})
                answer = await tested.get(f"{API}session")
                assert (answer.body["login"], answer.body["writes"]) == ("done", True)

    run(test())


def test_server_sent_events_are_as_it_says(tmp_path: Path) -> None:
    schemas: dict[str, Any] = {
        "alarms": {"type": "object", "required": ["sequence"]},
        "flow": {"$ref": "#/components/schemas/Flow"},
        "incident": {"$ref": "#/components/schemas/Incident"},
        "config": {"type": "object", "required": ["generation"]},
    }

    async def test() -> None:
        async with running_console(tmp_path) as tested:
            url = f"{tested.url}{API}events"
            async with tested.session.get(url) as stream:
                assert stream.content_type == "text/event-stream"
                await stream.content.readline()
                tested.console.tick(tested.backend.overview())
                tested.console.tell(Incident(NOW, "restart", "router", "text"))
                await fill(tested)
                seen: set[str] = set()
                while seen != schemas.keys():
                    line = (await stream.content.readline()).decode()
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ").strip()
                        data = (await stream.content.readline()).decode().removeprefix("data: ")
                        check_schema(json.loads(data), schemas[kind])
                        seen.add(kind)
            await asyncio.sleep(0)

    run(test())
