"""A console with a real history and a real shard, at a port of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
from msgspec import Struct
from msgspec.structs import replace

from shards.history.history import History
from shards.http_server import HttpServer
from shards.ipc.queries import AskWorker, WorkerQuery, encode_answer
from shards.ops.console import console as console_module
from shards.ops.console.backend import ConsoleBackend
from shards.ops.console.console import Console
from shards.ops.event_explanation import EventExplanation
from shards.ops.overview import Overview
from shards.ops.reload_outcome import ReloadOutcome
from shards.ops.worker_answers import WorkerAnswers
from shards.settings.schema import Origin
from shards.settings.settings import Settings
from shards.worker.queries import answer_steps
from shards.worker.shard import Shard
from tests.support.history import NOW
from tests.support.overviews import overview, reload_outcome
from tests.support.replaying import Json

OPENAPI: Json = json.loads(
    Path(console_module.__file__).with_name("openapi.json").read_text("utf-8")
)
TOKEN = "a-secret-token"


class Answer(Struct):
    """A response: its status, its headers, and its body, as JSON if it is that."""

    status: int
    headers: Mapping[str, str]
    body: Any


class ConsoleClient(Struct):
    """A running console. What the service does can be changed."""

    console: Console
    backend: ConsoleBackend
    port: int
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.request("GET", path, **more)

    async def post(self, path: str, **more: Any) -> Answer:
        return await self.request("POST", path, **more)

    async def request(self, method: str, path: str, **more: Any) -> Answer:
        async with self.session.request(method, f"{self.url}{path}", **more) as reply:
            data = await reply.read()
            is_json = reply.content_type == "application/json" and data
            return Answer(reply.status, reply.headers, json.loads(data) if is_json else data)


def schema_of(name: str) -> Json:
    """The schema of one of the components."""
    return {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}


def check_schema(value: Any, schema: Json) -> None:
    """Check a value by a schema of openapi.json."""
    whole = schema | {"components": OPENAPI["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


class AskShards:
    """Asks shards in this process, as a supervisor asks workers; `silent` ones do not answer."""

    def __init__(self, shards: Mapping[int, Shard]) -> None:
        self._shards = shards
        self.silent: set[int] = set()
        self.asked: list[WorkerQuery] = []

    async def __call__(self, query: WorkerQuery, workers: Iterable[int] = ()) -> WorkerAnswers:
        self.asked.append(query)
        await asyncio.sleep(0)
        asked = set(workers) or set(self._shards)
        silent = asked - self._shards.keys() | self.silent
        request = AskWorker(1, query, inf)
        answers = {
            worker: encode_answer([*answer_steps(self._shards[worker], request, NOW)][-1])
            for worker in asked - silent
        }
        return WorkerAnswers(answers, tuple(sorted(asked & silent)))


async def _explain(_: bytes, directives: tuple[int, ...]) -> EventExplanation:
    return EventExplanation([], [], len(directives))


async def _reload() -> ReloadOutcome:
    return reload_outcome()


def make_backend(
    folder: Path,
    shards: Mapping[int, Shard],
    get_overview: Callable[[], Overview] = overview,
    **settings: Any,
) -> ConsoleBackend:
    """A backend whose history is in the folder."""
    defaults: Json = {"log_dir": folder, "config_dir": folder, "workers": len(shards) or 1}
    places = {
        id_: worker for worker, shard in shards.items() for id_ in shard.directives.directives
    }
    return ConsoleBackend(
        settings=Settings(**defaults | settings),
        origins={"api_token": Origin("variable", "DSIEM_API_TOKEN")},
        run="run",
        overview=get_overview,
        ask=AskShards(shards),
        worker_of=places.get,
        explain=_explain,
        reload=_reload,
        history=History(folder / "history.sqlite"),
        alarm_events=folder / "siem_alarm_events.json",
    )


@asynccontextmanager
async def running_console(
    folder: Path, shards: Mapping[int, Shard] | None = None, **more: Any
) -> AsyncIterator[ConsoleClient]:
    """A console at a free port; `more`: fields of the backend, or settings."""
    fields = {name: more.pop(name) for name in ("reload", "explain", "origins") if name in more}
    backend = replace(make_backend(folder, shards or {}, **more), **fields)
    console = Console(backend)
    backend.history.start(console.announce)
    server = HttpServer(console.respond)
    _, port = await server.start("127.0.0.1", 0)
    cookies = aiohttp.CookieJar(unsafe=True)  # also for addresses
    try:
        async with aiohttp.ClientSession(cookie_jar=cookies) as session:
            yield ConsoleClient(console, backend, port, session)
            console.close_streams()
    finally:
        await server.close(1.0)
        await asyncio.to_thread(backend.history.close, 20.0)
