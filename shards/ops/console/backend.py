"""What the console gets from the supervisor.

A file of its own: tests give it something else.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from shards.history.history import History, HistoryError
from shards.http_server import RETRY_HEADER, RequestRefusedError
from shards.ipc.queries import WorkerQuery
from shards.ops.event_explanation import Explain
from shards.ops.overview import Overview
from shards.ops.reload_outcome import ReloadOutcome
from shards.ops.worker_answers import AskWorkers, TooManyQueriesError, WorkerAnswers
from shards.settings.schema import Origin
from shards.settings.settings import Settings

T = TypeVar("T")


class ConsoleBackend(Struct, frozen=True, kw_only=True):
    """What the console needs.

    `run`: identifies the run of the service; `worker_of`: the worker of a directive, None if it is
    not here; `alarm_events`: the file; `reload`: None if there is none.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    run: str
    overview: Callable[[], Overview]
    ask: AskWorkers
    worker_of: Callable[[int], int | None]
    explain: Explain
    reload: Callable[[], Awaitable[ReloadOutcome]] | None
    history: History
    alarm_events: Path


async def ask_workers(
    backend: ConsoleBackend, query: WorkerQuery, workers: Iterable[int] = ()
) -> WorkerAnswers:
    """The answers of workers; RequestRefusedError if too much is asked at one time."""
    try:
        return await backend.ask(query, workers)
    except TooManyQueriesError:
        raise RequestRefusedError(429, "too many requests at one time") from None


async def read_history(backend: ConsoleBackend, job: Callable[[sqlite3.Connection], T]) -> T:
    """What a job reads from the history; RequestRefusedError if that cannot be had now."""
    try:
        return await backend.history.read(job)
    except HistoryError as error:
        raise RequestRefusedError(503, str(error), RETRY_HEADER) from None
