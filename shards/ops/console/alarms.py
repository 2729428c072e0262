"""Alarms of the last day: lists, groups and counts over time, all read from the history."""

import time
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from shards.history import alarm_groups, alarm_queries
from shards.history.alarm_filter import AlarmFilter
from shards.history.alarm_groups import AlarmTimeline
from shards.history.alarm_queries import AlarmPage
from shards.http_server import RequestRefusedError, json_response
from shards.ops.console.backend import ConsoleBackend, read_history
from shards.ops.console.directive_table import DirectiveTable
from shards.ops.console.parameters import Parameters
from shards.ops.console.shared_answers import SharedAnswers

STATES = ("open", "finished", "timeout")
_FILTERS = ("text", "risk", "state", "directive", "address", "source", "since", "until")
_DAY_SECONDS = 86_400.0
_PAGE_SECONDS = 1.0
"""How long a page of the list is used again, unless an alarm has changed."""
_TIMELINE_SECONDS = 4.0
"""Likewise the numbers over time, also if alarms have changed: less than an open page waits."""


class AlarmHandlers:
    """Answers requests for alarms."""

    def __init__(self, backend: ConsoleBackend, directives: DirectiveTable) -> None:
        self._backend = backend
        self._directives = directives
        self._pages = SharedAnswers[AlarmPage](_PAGE_SECONDS)
        self._timelines = SharedAnswers[AlarmTimeline](_TIMELINE_SECONDS)

    async def list(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/alarms."""
        parameters = Parameters(request, *_FILTERS, "limit", "before", "after")
        wanted, limit = _filter(parameters), parameters.limit()
        before = parameters.integer("before", 0) or None
        after = parameters.integer("after", 0) if "after" in request.query else None
        page = await self._pages.get(
            (self._backend.history.sequence, wanted, limit, before, after),
            lambda: read_history(
                self._backend,
                lambda history: alarm_queries.list_alarms(
                    history, wanted, limit, before=before, after=after
                ),
            ),
        )
        return json_response(200, self._with_history(page))

    async def group(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/alarm-groups."""
        parameters = Parameters(request, *_FILTERS, "limit", "by")
        wanted, limit = _filter(parameters), parameters.limit()
        by = parameters.choice("by", alarm_groups.GROUPINGS)
        span = self._span(wanted)
        if by == "directive":
            with suppress(RequestRefusedError):  # then without the names of new ones
                await self._directives.update()
        groups = await read_history(
            self._backend,
            lambda history: alarm_groups.group_alarms(history, wanted, by, limit, span),
        )
        return json_response(200, self._with_history(groups))

    async def timeline(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/alarm-timeline."""
        parameters = Parameters(request, *_FILTERS, "parts")
        wanted, parts = _filter(parameters), parameters.integer("parts", 96, 1, 500)
        span = self._span(wanted)
        timeline = await self._timelines.get(
            (wanted, parts),
            lambda: read_history(
                self._backend,
                lambda history: alarm_groups.alarm_timeline(history, wanted, span, parts),
            ),
        )
        return json_response(200, timeline)

    def _with_history(self, found: msgspec.Struct) -> dict[str, Any]:
        """An answer with the time since which there are alarms."""
        since = {"history_since": self._backend.history.since}
        return msgspec.structs.asdict(found) | since

    def _span(self, wanted: AlarmFilter) -> tuple[float, float]:
        """The time asked for, at most the last day."""
        now = time.time()
        until = min(now, wanted.until or now)
        return min(wanted.since or now - _DAY_SECONDS, until), until


def _filter(parameters: Parameters) -> AlarmFilter:
    wanted = AlarmFilter(
        text=parameters.text("text"),
        risks=parameters.choices("risk", alarm_queries.RISK_CLASSES),
        states=parameters.choices("state", STATES),
        directives=parameters.ids("directive"),
        address=parameters.text("address"),
        source=parameters.text("source"),
        since=parameters.number("since"),
        until=parameters.number("until"),
    )
    try:
        wanted.conditions()
    except ValueError as error:
        raise RequestRefusedError(400, str(error)) from None
    return wanted
