"""The console: which handler answers which path, and what happens once a second.

Each path of openapi.json is in one of the tables; a test compares them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from shards.history.service_rows import Incident
from shards.http_server import RequestRefusedError, json_response
from shards.ops.console.access import Access, check_same_origin
from shards.ops.console.alarm_detail import AlarmDetails
from shards.ops.console.alarms import AlarmHandlers
from shards.ops.console.backend import ConsoleBackend
from shards.ops.console.backlogs import BacklogHandlers
from shards.ops.console.config import ConfigHandlers
from shards.ops.console.directive_table import DirectiveTable
from shards.ops.console.directives import DirectiveHandlers
from shards.ops.console.event_stream import EventStreams
from shards.ops.console.flow import FlowHandlers
from shards.ops.console.parameters import Parameters
from shards.ops.console.static_files import SECURITY_HEADERS, StaticFiles
from shards.ops.explain_handler import ExplainHandler
from shards.ops.overview import Overview

API = "/api/v1/"
ANNOUNCE_SECONDS = 0.5
"""Shortest interval between two announcements of new alarms."""

_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_HandleOne = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]


def is_console_path(path: str) -> bool:
    """Whether the console answers requests for a path."""
    return path == "/" or path.startswith((API, "/console/"))


class Console:
    """Answers all requests of the page."""

    def __init__(self, backend: ConsoleBackend) -> None:
        self._backend = backend
        self._access = Access(backend.settings)
        self._files = StaticFiles()
        self._streams = EventStreams()
        self._flow = FlowHandlers(backend)
        self._announcing: asyncio.TimerHandle | None = None
        self._announce_at = 0.0
        self._generation = 0
        table = DirectiveTable(backend)
        alarms, details = AlarmHandlers(backend, table), AlarmDetails(backend, table)
        directives, backlogs = DirectiveHandlers(backend, table), BacklogHandlers(backend)
        config = ConfigHandlers(backend)
        self.reads: Mapping[str, _Handle] = {
            "alarms": alarms.list,
            "alarm-groups": alarms.group,
            "alarm-timeline": alarms.timeline,
            "backlogs": backlogs.list,
            "directives": directives.list,
            "recent-events": directives.recent_events,
            "flow": self._flow.get,
            "flow-history": self._flow.history,
            "config": config.get,
            "events": self._stream,
        }
        """Handlers of GET by path, after a login."""
        self.reads_of_one: Mapping[str, _HandleOne] = {
            "alarms/{id}": details.get,
            "alarms/{id}/events": details.list_events,
            "directives/{id}": directives.get,
        }
        """Handlers of GET by path; {id} stands for one part of it."""
        self.writes: Mapping[str, _Handle] = {
            "explain": ExplainHandler(backend.explain, "").respond,
            "reload": config.reload,
        }
        """Handlers of POST by path, after a login."""
        self.open: Mapping[str, tuple[str, _Handle]] = {
            "session": ("GET", self._session),
            "login": ("POST", self._access.log_in),
            "logout": ("POST", self._access.log_out),
        }
        """Methods and handlers of what needs no login."""

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to a request for a path of the console."""
        try:
            reply = await self._respond(request)
        except RequestRefusedError as refused:
            reply = json_response(refused.status, {"error": refused.error}, refused.headers)
        if not reply.prepared:
            reply.headers.update(SECURITY_HEADERS)
            reply.headers.setdefault("Cache-Control", "no-store")
        return reply

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path in self._files:
            self._access.check_open(request)
            return self._files.respond(request)
        return await self._find(request)(request)

    def _find(self, request: web.BaseRequest) -> _Handle:
        """The handler of a request, after the checks of who asks; RequestRefusedError."""
        name = request.path.removeprefix(API)
        if name in self.open:
            method, handle = self.open[name]
            _check_method(request, method)
            self._access.check_open(request)
            return handle
        if name in self.writes:
            _check_method(request, "POST")
            self._access.check_login(request)
            check_same_origin(request)
            if name == "reload":
                self._access.check_write(request)
            return self.writes[name]
        self._access.check_login(request)
        _check_method(request, "GET")
        return self.reads.get(name) or self._find_one(name)

    def _find_one(self, name: str) -> _Handle:
        parts = name.split("/")
        pattern = "/".join((parts[0], "{id}", *parts[2:]))
        handle = self.reads_of_one.get(pattern)
        if handle is None or len(parts) < 2:
            raise RequestRefusedError(404, "no such path; openapi.json has them all")
        return lambda request: handle(request, parts[1])

    async def _session(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/session."""
        Parameters(request)
        settings, login = self._backend.settings, self._access.login_of(request)
        is_in = login != "needed"
        document = {
            "version": self._backend.overview().version if is_in else "",
            "node": settings.node if is_in else "",
            "time": time.time(),
            "login": login,
            "writes": login == "done" and self._backend.reload is not None,
            "event_link": settings.event_link if is_in else "",
        }
        return json_response(200, document)

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/events."""
        Parameters(request)
        return await self._streams.respond(request)

    # What happens by itself.

    def close_streams(self) -> None:
        """End all streams of events, so that the server can be closed."""
        self._streams.close()

    def tick(self, overview: Overview) -> None:
        """Send the state of the service to open pages; to be called once a second."""
        self._flow.sample(overview)
        if len(self._streams):
            self._streams.publish("flow", self._flow.document(overview))
        if overview.config_generation != self._generation:
            self._generation = overview.config_generation
            self._streams.publish("config", {"generation": self._generation})

    def announce(self, _sequence: int) -> None:
        """There are new lines of alarms: tell open pages soon, not too often."""
        if self._announcing is None:
            loop = asyncio.get_running_loop()
            self._announcing = loop.call_at(self._announce_at, self._announce)

    def _announce(self) -> None:
        self._announcing = None
        self._announce_at = asyncio.get_running_loop().time() + ANNOUNCE_SECONDS
        self._streams.publish("alarms", {"sequence": self._backend.history.sequence})

    def tell(self, incident: Incident) -> None:
        """Tell open pages that something has happened."""
        self._streams.publish_incident(incident)


def _check_method(request: web.BaseRequest, method: str) -> None:
    if request.method != method:
        raise RequestRefusedError(405, "method not allowed", {"Allow": method})
