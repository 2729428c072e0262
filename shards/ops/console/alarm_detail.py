"""One alarm with all that is known about it, and the events that it has taken.

The history has its last line, the workers the state of its backlog and the names of its addresses,
and the alarm events file the events.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web

from shards.history import alarm_queries, service_rows
from shards.history.alarm_queries import AlarmSummary, StoredAlarm
from shards.history.directive_rows import name_of_directive
from shards.history.event_scan import TakenEvent, TakenEvents, scan_events
from shards.http_server import RETRY_HEADER, RequestRefusedError, json_response
from shards.ipc.queries import (
    AddressRow,
    AddressRows,
    BacklogRow,
    BacklogRows,
    DescribeAddresses,
    FindBacklogs,
)
from shards.ops.console.backend import ConsoleBackend, ask_workers, read_history
from shards.ops.console.directive_table import DirectiveTable
from shards.ops.console.parameters import Parameters

MAX_ADDRESSES = 1000
"""Addresses of a side that are shown."""
_ASKED_ADDRESSES = 500
"""Addresses that a worker is asked about at one time: as many as fit into a message."""
_MAX_SCANS = 4
"""Searches for events that wait at one time."""
_KEPT_SCANS = 8
"""Alarms whose events are kept until their next line."""
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class AlarmDetails:
    """Answers requests for single alarms."""

    def __init__(self, backend: ConsoleBackend, directives: DirectiveTable) -> None:
        self._backend = backend
        self._directives = directives
        self._scanning = asyncio.Lock()
        self._waiting = 0
        self._scans: OrderedDict[tuple[str, int], TakenEvents] = OrderedDict()
        """By id and sequence of an alarm that will not change."""

    async def get(self, request: web.BaseRequest, id_: str) -> web.StreamResponse:
        """GET /api/v1/alarms/{id}."""
        Parameters(request)
        stored = await self._stored(id_)
        record: dict[str, Any] = msgspec.json.decode(stored.record)
        backlog = await self._backlog(stored.summary)
        events = await self._events(stored)
        directive = stored.summary.directive
        with suppress(RequestRefusedError):  # then without its name, if it is new
            await self._directives.update()
        name = await read_history(self._backend, lambda db: name_of_directive(db, directive))
        document = {
            "alarm": stored.summary,
            "directive_name": name,
            "stages": _stages(record, stored.summary, backlog, events),
            "addresses": await self._addresses(record),
            "networks": record["networks"],
            "hits": [*_hits(record, "intel_hits"), *_hits(record, "vulnerabilities")],
            "custom_data": record.get("custom_data", []),
            "changes": stored.changes,
            "event_count": len(events.events),
            "events_missing": events.why,
            "record": msgspec.Raw(stored.record),
        }
        return json_response(200, document)

    async def list_events(self, request: web.BaseRequest, id_: str) -> web.StreamResponse:
        """GET /api/v1/alarms/{id}/events."""
        parameters = Parameters(request, "stage", "after", "limit")
        stage, after = parameters.integer("stage", 0), parameters.integer("after", 0)
        limit = parameters.limit()
        found = await self._events(await self._stored(id_))
        numbered = [
            (number, event)
            for number, event in enumerate(found.events, 1)
            if stage in (0, event.stage)
        ]
        page = list(islice((one for one in numbered if one[0] > after), limit + 1))
        document = {
            "events": [_event(*one) for one in page[:limit]],
            "next": page[limit - 1][0] if len(page) > limit else None,
            "total": len(numbered),
            "missing": found.why,
        }
        return json_response(200, document)

    async def _stored(self, id_: str) -> StoredAlarm:
        if len(id_) > 100 or not _ID_CHARACTERS.issuperset(id_):
            raise RequestRefusedError(404, "there is no alarm with this id")
        stored = await read_history(self._backend, lambda db: alarm_queries.get_alarm(db, id_))
        if stored is None:
            raise RequestRefusedError(404, "the history of the last day has no alarm with this id")
        return stored

    async def _backlog(self, alarm: AlarmSummary) -> BacklogRow | None:
        """The open backlog of an alarm; None if there is none, or if its worker does not say."""
        worker = None if alarm.directive is None else self._backend.worker_of(alarm.directive)
        if alarm.state != "open" or alarm.directive is None or worker is None:
            return None
        query = FindBacklogs(directives=[alarm.directive], alarm=alarm.id, limit=1)
        answers = await ask_workers(self._backend, query, [worker])
        rows = [row for found in answers.decode(BacklogRows).values() for row in found.rows]
        return rows[0] if rows else None

    async def _addresses(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        src = list(dict.fromkeys(record["src_ips"][:MAX_ADDRESSES]))
        dst = list(dict.fromkeys(record["dst_ips"][:MAX_ADDRESSES]))
        both = list(dict.fromkeys([*src, *dst]))
        known: dict[str, AddressRow] = {}
        for start in range(0, len(both), _ASKED_ADDRESSES):
            query = DescribeAddresses(both[start : start + _ASKED_ADDRESSES])
            answers = await ask_workers(self._backend, query, [0])
            for found in answers.decode(AddressRows).values():
                known.update((row.ip, row) for row in found.rows)
        sources, destinations = set(src), set(dst)
        return [
            msgspec.structs.asdict(known.get(ip) or AddressRow(ip, "", [], 0))
            | {"source": ip in sources, "destination": ip in destinations}
            for ip in both
        ]

    async def _events(self, stored: StoredAlarm) -> TakenEvents:
        """The events of an alarm, from the alarm events file; one search at a time."""
        alarm = stored.summary
        key = alarm.id, alarm.sequence
        if key in self._scans:
            return self._scans[key]
        if self._waiting >= _MAX_SCANS:
            raise RequestRefusedError(429, "too many requests at one time", RETRY_HEADER)
        until = float("inf") if alarm.state == "open" else alarm.written_time
        positions = await read_history(
            self._backend,
            lambda db: service_rows.positions_between(db, stored.first_written, until),
        )
        self._waiting += 1
        try:
            async with self._scanning:
                found = await asyncio.to_thread(
                    scan_events, self._backend.alarm_events, alarm.id, positions, until
                )
        finally:
            self._waiting -= 1
        if alarm.state != "open":
            self._scans[key] = found
            while len(self._scans) > _KEPT_SCANS:
                self._scans.popitem(last=False)
        return found


def _event(number: int, event: TakenEvent) -> dict[str, Any]:
    """An event in a list."""
    return {
        "number": number,
        "event_id": event.event_id,
        "stage": event.stage,
        "written_time": event.written,
    }


def _stages(
    record: Mapping[str, Any],
    alarm: AlarmSummary,
    backlog: BacklogRow | None,
    events: TakenEvents,
) -> list[dict[str, Any]]:
    taken = Counter(event.stage for event in events.events)
    return [
        _stage(rule, alarm, backlog, None if events.why else taken[number])
        for number, rule in enumerate(record["rules"], 1)
    ]


def _stage(
    rule: Mapping[str, Any], alarm: AlarmSummary, backlog: BacklogRow | None, taken: int | None
) -> dict[str, Any]:
    """A stage; `taken`: the events that were found for it, None if that is not known."""
    number, status = int(rule["stage"]), rule.get("status", "")
    has_begun = "start_time" in rule or number == alarm.stages_finished + 1
    is_current = not status and has_begun and alarm.state == "open"
    live = backlog if is_current and backlog is not None and backlog.stage == number else None
    if taken is None and status == "finished":
        taken = rule["occurrence"]
    return {
        "stage": number,
        "name": rule["name"],
        "taken": live.taken if live else taken,
        "needed": rule["occurrence"],
        "state": status or _state(rule, taken, live, is_current=is_current),
        "start_time": rule.get("start_time"),
        "end_time": rule.get("end_time"),
        "expires_time": live.expires_time if live else None,
        "reliability": rule["reliability"],
        "rule": rule,
    }


def _state(
    rule: Mapping[str, Any], taken: int | None, live: BacklogRow | None, *, is_current: bool
) -> str:
    """The state of a stage without a status; no line says that one is averted."""
    if not is_current:
        return "waiting"
    is_averted = rule.get("absent") and live is None and (taken or 0) >= rule["occurrence"]
    return "averted" if is_averted else "current"


def _hits(record: Mapping[str, Any], key: str) -> Iterable[dict[str, Any]]:
    kind = "intel" if key == "intel_hits" else "vuln"
    return ({"kind": kind, **hit} for hit in record.get(key, []))
