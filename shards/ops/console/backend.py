"""What the console gets from the supervisor.

A file of its own: tests give it something else.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from shards.history.history import History
from shards.http_server import Handler, RequestRefusedError
from shards.ipc.queries import WorkerQuery
from shards.ops.event_explanation import Explain
from shards.ops.overview import Overview
from shards.settings.schema import Origin
from shards.settings.settings import Settings

T = TypeVar("T")


class WorkerAnswers(Struct, frozen=True):
    """Answers in MessagePack by worker; `missing`: workers that have not answered in time."""

    by_worker: Mapping[int, bytes]
    missing: tuple[int, ...] = ()

    def decode(self, type_: type[T]) -> dict[int, T]:
        """The answers by worker."""
        return {
            worker: msgspec.msgpack.decode(answer, type=type_)
            for worker, answer in sorted(self.by_worker.items())
        }


class AskWorkers(Protocol):
    """Asks workers; none named are all of them. TooManyQueriesError."""

    def __call__(
        self, query: WorkerQuery, workers: Iterable[int] = (), /
    ) -> Awaitable[WorkerAnswers]: ...


class TooManyQueriesError(Exception):
    """Too many queries are under way."""


class ConsoleBackend(Struct, frozen=True, kw_only=True):
    """What the console needs.

    `run`: identifies the run of the service; `worker_of`: the worker of a directive, None if it is
    not here; `alarm_events`: the file; `reload`: answers POST /reload, None if there is none;
    `slow_streams`: counts.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    run: str
    overview: Callable[[], Overview]
    ask: AskWorkers
    worker_of: Callable[[int], int | None]
    explain: Explain
    reload: Handler | None
    history: History
    alarm_events: Path


ConsoleHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def ask_workers(
    backend: ConsoleBackend, query: WorkerQuery, workers: Iterable[int] = ()
) -> WorkerAnswers:
    """The answers of workers; RequestRefusedError if too much is asked at one time."""
    try:
        return await backend.ask(query, workers)
    except TooManyQueriesError:
        raise RequestRefusedError(429, "too many requests at one time") from None
