"""Answers of workers to queries, and how they are asked for.

A file of its own: the supervisor gives the answers, and need not load the libraries of a server.
"""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from shards.ipc.queries import WorkerQuery

T = TypeVar("T")


class TooManyQueriesError(Exception):
    """Too many queries are under way."""


class WorkerAnswers(Struct, frozen=True):
    """Answers in MessagePack by worker; `missing`: workers that have not answered in time."""

    by_worker: Mapping[int, bytes]
    missing: tuple[int, ...] = ()

    def decode(self, type_: type[T]) -> dict[int, T]:
        """The answers by worker, in the order of the workers."""
        return {
            worker: msgspec.msgpack.decode(answer, type=type_)
            for worker, answer in sorted(self.by_worker.items())
        }


class AskWorkers(Protocol):
    """Asks some workers, or all if none are named. TooManyQueriesError."""

    def __call__(
        self, query: WorkerQuery, workers: Iterable[int] = (), /
    ) -> Awaitable[WorkerAnswers]: ...
