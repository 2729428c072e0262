"""Directives: which there are, what each has done, and its rules.

The workers have the rules and the open backlogs, the history has the rest.
"""

import time

import msgspec
from aiohttp import web

from shards.history import directive_rows
from shards.history.directive_rows import DirectiveFilter, LiveCounts
from shards.http_server import RETRY_HEADER, RequestRefusedError, json_response
from shards.ipc.queries import (
    BacklogCounts,
    CountBacklogs,
    EventRows,
    FoundDirective,
    GetDirective,
    RecentEvents,
)
from shards.ops.console.backend import ConsoleBackend, ask_workers, read_history
from shards.ops.console.directive_table import DirectiveTable
from shards.ops.console.parameters import Parameters

_SORTS = ("alarms", "id", "name", "matches", "backlogs", "last_fired")
_KINDS = ("all", "fired", "never", "noisy", "open")
_MAX_START = 1_000_000


class DirectiveHandlers:
    """Answers requests for directives, and for events to explain."""

    def __init__(self, backend: ConsoleBackend, table: DirectiveTable) -> None:
        self._backend = backend
        self._table = table

    async def list(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/directives."""
        parameters = Parameters(request, "sort", "reverse", "kind", "text", "limit", "after")
        start, limit = parameters.integer("after", 0, 0, _MAX_START), parameters.limit()
        wanted = DirectiveFilter(
            sort=parameters.choice("sort", _SORTS),
            reverse=parameters.switch("reverse"),
            kind=parameters.choice("kind", _KINDS),
            text=parameters.text("text"),
            start=start,
            limit=limit,
        )
        page = await self._page(wanted)
        end = start + len(page.directives)
        following = {
            "next": str(end) if end < page.total else None,
            "history_since": self._backend.history.since,
        }
        return json_response(200, msgspec.structs.asdict(page) | following)

    async def _page(self, wanted: DirectiveFilter) -> directive_rows.DirectivePage:
        await self._table.update()
        live, now = await self._live_counts(), time.time()
        return await read_history(
            self._backend, lambda db: directive_rows.list_directives(db, wanted, live, now)
        )

    async def get(self, request: web.BaseRequest, text: str) -> web.StreamResponse:
        """GET /api/v1/directives/{id}."""
        Parameters(request)
        id_ = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        worker = self._backend.worker_of(id_)
        if worker is None:
            raise RequestRefusedError(404, f"no directive {text[:20]} is enabled in this service")
        answers = await ask_workers(self._backend, GetDirective(id_), [worker])
        found = answers.decode(FoundDirective).get(worker)
        if found is None:
            raise RequestRefusedError(503, f"worker-{worker} does not answer", RETRY_HEADER)
        page = await self._page(DirectiveFilter(ids=(id_,), limit=1))
        if found.directive is None or not page.directives:
            raise RequestRefusedError(404, f"no directive {id_} is enabled in this service")
        document = {
            "directive": page.directives[0],
            "all_rules_always_active": found.directive.always_active,
            "wildcards": found.directive.wildcards,
            "rules": found.directive.rules,
        }
        return json_response(200, document)

    async def recent_events(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/recent-events."""
        parameters = Parameters(request, "directive", "limit")
        directive = parameters.integer("directive", 0)
        limit = parameters.integer("limit", 20, 1, 50)
        worker = self._backend.worker_of(directive) if directive else None
        if directive and worker is None:
            return json_response(200, {"events": []})
        workers = () if worker is None else (worker,)
        answers = await ask_workers(self._backend, RecentEvents(directive, limit), workers)
        events = [raw for rows in answers.decode(EventRows).values() for raw in rows.events]
        return json_response(200, {"events": list(map(msgspec.Raw, events[:limit]))})

    async def _live_counts(self) -> LiveCounts:
        """The open backlogs of each directive, and its matches if they are counted."""
        answers = await ask_workers(self._backend, CountBacklogs())
        backlogs: dict[int, int] = {}
        for found in answers.decode(BacklogCounts).values():
            backlogs |= found.by_directive
        return LiveCounts(backlogs, self._backend.overview().matches, answers.missing)
