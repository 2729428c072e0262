"""Open backlogs: each worker gives its first ones, and the first of all are shown."""

import time
from collections.abc import Mapping
from heapq import nlargest, nsmallest
from typing import Any

import msgspec
from aiohttp import web

from shards.history.alarm_filter import MAX_WORDS, parse_address
from shards.history.alarm_queries import RISK_CLASSES
from shards.http_server import RequestRefusedError, json_response
from shards.ipc.queries import BacklogOrder, BacklogRow, BacklogRows, FindBacklogs
from shards.ops.console.backend import ConsoleBackend, ask_workers
from shards.ops.console.parameters import Parameters
from shards.ops.console.shared_answers import SharedAnswers

_ORDERS: Mapping[BacklogOrder, bool] = {
    "updated": True,
    "age": False,
    "expires": False,
    "progress": True,
    "stage": True,
    "directive": False,
    "risk": True,
}
"""The orders, and whether the highest comes first."""
CACHE_SECONDS = 2.0
"""How long an answer is used again."""


class BacklogHandlers:
    """Answers requests for open backlogs."""

    def __init__(self, backend: ConsoleBackend) -> None:
        self._backend = backend
        self._answers = SharedAnswers[dict[str, Any]](CACHE_SECONDS)

    async def list(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/backlogs."""
        query = _read_query(request)
        document = await self._answers.get(msgspec.msgpack.encode(query), lambda: self._ask(query))
        if len(document["workers_missing"]) == self._backend.settings.workers:
            raise RequestRefusedError(503, "no worker has answered in time")
        return json_response(200, document)

    async def _ask(self, query: FindBacklogs) -> dict[str, Any]:
        answers = await ask_workers(self._backend, query)
        found = answers.decode(BacklogRows)
        first = nlargest if query.descending else nsmallest
        rows = [row for answer in found.values() for row in answer.rows]
        best = first(query.limit, rows, lambda row: (row.rank, row.id))
        slow = [worker for worker, answer in found.items() if not answer.complete]
        return {
            "backlogs": best,
            "next": _cursor(best[-1]) if len(best) == query.limit else None,
            "total": sum(answer.matching for answer in found.values()),
            "open": sum(answer.open for answer in found.values()),
            "time": max((answer.now for answer in found.values()), default=time.time()),
            "workers_missing": sorted({*answers.missing, *slow}),
        }


def _read_query(request: web.BaseRequest) -> FindBacklogs:
    filters = ("text", "directive", "address", "risk", "stage")
    parameters = Parameters(request, "sort", "reverse", *filters, "limit", "after")
    order = parameters.choice("sort", tuple(_ORDERS))
    return FindBacklogs(
        sort=order,
        descending=_ORDERS[order] != parameters.switch("reverse"),
        limit=parameters.limit(),
        after=_read_cursor(parameters.text("after")),
        words=parameters.text("text").casefold().split()[:MAX_WORDS],
        network=_network(parameters.text("address")),
        directives=list(parameters.ids("directive")),
        stage=parameters.integer("stage", 0),
        risks=list(parameters.choices("risk", RISK_CLASSES)),
    )


def _network(text: str) -> str:
    if not text:
        return ""
    try:
        return str(parse_address(text))
    except ValueError as error:
        raise RequestRefusedError(400, str(error)) from None


def _cursor(row: BacklogRow) -> str:
    return f"{row.rank}~{row.id}"


def _read_cursor(text: str) -> tuple[float, str] | None:
    if not text:
        return None
    rank, _, id_ = text.partition("~")
    try:
        return float(rank), id_
    except ValueError:
        raise RequestRefusedError(400, "after must be the `next` of a page") from None
