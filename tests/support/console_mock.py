"""A server that answers as the console does, from generated data: for tests of its page.

It runs in a thread with a loop of its own. What a test changes is seen by the next request.
"""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support import console_data
from tests.support.console_data import Document
from tests.support.paths import ROOT

STATIC = ROOT / "shards/ops/console/static"
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'"
)
TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".css": "text/css"}
TYPES |= {".html": "text/html", ".svg": "image/svg+xml", ".json": "application/json"}
COOKIE = "dsiem_console"


class MockConsole:
    """The state of a service, and its answers."""

    def __init__(self, alarms: int = 10, token: str = "", event_link: str = "") -> None:
        self.token = token
        self.event_link = event_link
        self.started = time.time()
        self.rng = random.Random(7)
        self.alarms = [
            console_data.make_alarm(number, self.started, self.rng) for number in range(alarms)
        ]
        """Details, the newest first."""
        self.backlogs = [
            console_data.make_backlog(number, self.started, self.rng)
            for number in range(min(alarms, 1204))
        ]
        self.sequence = 1_000_000
        self.beat = 0
        self.flow_changes: Document = {}
        """Replace keys of the flow document."""
        self.config_changes: Document = {}
        """Likewise of the configuration."""
        self.event_changes: Document = {}
        """Likewise of each event of an alarm."""
        self.incidents: list[Document] = []
        self.reload_outcome = "applied"
        self.down = False
        """Whether every request fails, as if the service were gone."""
        self.stop = asyncio.Event()
        """Set once it is to end."""
        self.refuses_streams = False
        self.requests: Counter[str] = Counter()
        self.explanation: Document = {"verdicts": [], "directives": []}

    def add_alarm(self, **changes: Any) -> Document:
        """A new alarm arrives; returns its detail."""
        detail = console_data.make_alarm(0, time.time(), self.rng)
        self.sequence += 1
        detail["alarm"] |= {"sequence": self.sequence, "id": f"new{self.sequence % 10**6:06}"}
        detail["alarm"] |= changes
        self.alarms.insert(0, detail)
        return detail

    def routes(self) -> list[web.RouteDef]:
        """The paths of the contract, and the static files."""
        api = "/api/v1"
        return [
            web.get("/", self.index),
            web.get("/console/{name:.+}", self.static),
            web.get(f"{api}/session", self.session),
            web.post(f"{api}/login", self.login),
            web.post(f"{api}/logout", self.logout),
            web.get(f"{api}/alarms", self.alarm_list),
            web.get(f"{api}/alarm-groups", self.alarm_groups),
            web.get(f"{api}/alarm-timeline", self.alarm_timeline),
            web.get(f"{api}/alarms/{{id}}", self.alarm),
            web.get(f"{api}/alarms/{{id}}/events", self.alarm_events),
            web.get(f"{api}/backlogs", self.backlog_list),
            web.get(f"{api}/directives", self.directive_list),
            web.get(f"{api}/directives/{{id}}", self.directive),
            web.get(f"{api}/recent-events", self.recent_events),
            web.post(f"{api}/explain", self.explain),
            web.get(f"{api}/flow", self.flow),
            web.get(f"{api}/flow-history", self.flow_history),
            web.get(f"{api}/config", self.config),
            web.post(f"{api}/reload", self.reload),
            web.get(f"{api}/events", self.events),
        ]

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Count the request; login; the headers of the page."""
        self.requests[request.path] += 1
        if self.down:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError
        open_paths = ("/api/v1/session", "/api/v1/login")
        needs = request.path.startswith("/api/") and request.path not in open_paths
        if needs and not self._allowed(request):
            return _json({"error": "log in with the token of --api-token"}, 401)
        response: web.StreamResponse = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = POLICY
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Cache-Control"] = "no-cache"
        return response

    def _allowed(self, request: web.Request) -> bool:
        return not self.token or request.cookies.get(COOKIE) == self.token

    async def index(self, _: web.Request) -> web.Response:
        """The page."""
        return _file(STATIC / "index.html")

    async def static(self, request: web.Request) -> web.Response:
        """A file of the page."""
        path = STATIC / request.match_info["name"]
        return _file(path) if path.is_file() else _json({"error": "no such file"}, 404)

    async def session(self, request: web.Request) -> web.Response:
        login = "off" if not self.token else "done" if self._allowed(request) else "needed"
        return _json(
            {
                "version": "0.1.0",
                "node": "dsiem-0",
                "time": time.time(),
                "login": login,
                "writes": login == "done",
                "event_link": self.event_link if login != "needed" else "",
            }
        )

    async def login(self, request: web.Request) -> web.Response:
        given = (await request.json())["token"]
        if given != self.token:
            return _json({"error": "the token is wrong"}, 401)
        response = web.Response(status=204)
        response.set_cookie(COOKIE, given, httponly=True, samesite="Strict")
        return response

    async def logout(self, _: web.Request) -> web.Response:
        response = web.Response(status=204)
        response.del_cookie(COOKIE)
        return response

    def _filtered(self, query: Any, without: str = "") -> list[Document]:
        return [one for one in self.alarms if _matches(one["alarm"], query, without)]

    async def alarm_list(self, request: web.Request) -> web.Response:
        query = request.query
        sequence = self.sequence  # before the rows: a change meanwhile is asked for again
        found = self._filtered(query)
        classes = Counter(one["alarm"]["risk_class"] for one in self._filtered(query, "risk"))
        total = len(found)
        if before := query.get("before"):
            found = [one for one in found if one["alarm"]["sequence"] < int(before)]
        if after := query.get("after"):
            found = [one for one in found if one["alarm"]["sequence"] > int(after)]
        limit = int(query.get("limit", 100))
        page = [one["alarm"] for one in found[:limit]]
        return _json(
            {
                "alarms": page,
                "next": str(page[-1]["sequence"]) if len(found) > limit else None,
                "total": min(total, 10_000),
                "total_capped": total > 10_000,
                "risks": {name: classes[name] for name in console_data.RISK_CLASSES},
                "sequence": sequence,
                "history_since": self.started - 86_400,
            }
        )

    async def alarm_groups(self, request: web.Request) -> web.Response:
        by = request.query["by"]
        names = {str(row[0]): row[1] for row in console_data.DIRECTIVES}
        groups: dict[str, list[Document]] = {}
        for one in self._filtered(request.query):
            alarm = one["alarm"]
            key = str(alarm["directive"]) if by == "directive" else alarm["src"][0]["ip"]
            groups.setdefault(key, []).append(alarm)
        rows = [_group(key, names.get(key, ""), rows) for key, rows in groups.items()]
        rows.sort(key=lambda row: -row["alarms"])
        return _json(
            {
                "groups": rows[: int(request.query.get("limit", 100))],
                "total": len(rows),
                "total_capped": False,
                "sequence": self.sequence,
                "history_since": self.started - 86_400,
            }
        )

    async def alarm_timeline(self, request: web.Request) -> web.Response:
        query = request.query
        parts = int(query.get("parts", 96))
        until = float(query.get("until", time.time()))
        since = float(query.get("since", until - 86_400))
        step = (until - since) / parts
        counts = {name: [0] * parts for name in console_data.RISK_CLASSES}
        for one in self._filtered(query):
            part = int((one["alarm"]["created_time"] - since) // step)
            if 0 <= part < parts:
                counts[one["alarm"]["risk_class"]][part] += 1
        return _json({"since": since, "step": step, **counts})

    def _find(self, id_: str) -> Document | None:
        return next((one for one in self.alarms if one["alarm"]["id"] == id_), None)

    async def alarm(self, request: web.Request) -> web.Response:
        detail = self._find(request.match_info["id"])
        return _json(detail) if detail else _json({"error": "the history has no such alarm"}, 404)

    async def alarm_events(self, request: web.Request) -> web.Response:
        detail = self._find(request.match_info["id"])
        if detail is None:
            return _json({"error": "the history has no such alarm"}, 404)
        stage = request.query.get("stage")
        events = [
            one | self.event_changes
            for one in console_data.make_events(detail)
            if not stage or one["stage"] == int(stage)
        ]
        total = len(events)
        events = [one for one in events if one["number"] > int(request.query.get("after", 0))]
        limit = int(request.query.get("limit", 100))
        more = events[limit - 1]["number"] if len(events) > limit else None
        return _json({"events": events[:limit], "next": more, "total": total, "missing": ""})

    async def backlog_list(self, request: web.Request) -> web.Response:
        query = request.query
        found = [one for one in self.backlogs if _matches(one, query)]
        order = {
            "updated": lambda one: -one["update_time"],
            "age": lambda one: one["created_time"],
            "expires": lambda one: one["expires_time"],
            "progress": lambda one: -one["taken"] / one["needed"],
            "stage": lambda one: -one["stage"],
            "directive": lambda one: one["directive"],
            "risk": lambda one: -one["risk"],
        }
        found.sort(key=order[query.get("sort", "updated")], reverse=query.get("reverse") == "true")
        limit, start = int(query.get("limit", 100)), int(query.get("after", 0))
        end = start + limit
        return _json(
            {
                "backlogs": found[start:end],
                "next": str(end) if end < len(found) else None,
                "total": len(found),
                "open": len(self.backlogs),
                "time": time.time(),
                "workers_missing": [],
            }
        )

    def _directives(self) -> list[Document]:
        return console_data.make_directives(self.alarms, time.time())

    async def directive_list(self, request: web.Request) -> web.Response:
        query = request.query
        words = query.get("text", "").lower().split()
        rows = [
            one
            for one in self._directives()
            if all(word in f"{one['id']} {one['name']} {one['kingdom']}".lower() for word in words)
        ]
        kinds = {
            "all": rows,
            "fired": [one for one in rows if one["last_fired"]],
            "never": [one for one in rows if not one["last_fired"]],
            "noisy": [one for one in rows if one["noisy"]],
            "open": [one for one in rows if one["backlogs"]],
        }
        found = list(kinds[query.get("kind", "all")])
        sort = query.get("sort", "alarms")
        if sort in ("id", "name"):
            found.sort(key=lambda one: one[sort])
        else:
            key = "alarms_day" if sort == "alarms" else sort
            found.sort(key=lambda one: -(one[key] or 0))
        if query.get("reverse") == "true":
            found.reverse()
        return _json(
            {
                "directives": found,
                "next": None,
                "total": len(found),
                "kinds": {name: len(kind) for name, kind in kinds.items()},
                "history_since": self.started - 86_400,
            }
        )

    async def directive(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        row = next((one for one in self._directives() if str(one["id"]) == id_), None)
        if row is None:
            return _json({"error": f"this service has no directive {id_}"}, 404)
        return _json(
            {
                "directive": row,
                "all_rules_always_active": False,
                "wildcards": True,
                "rules": console_data.make_rules(row["id"]),
            }
        )

    async def recent_events(self, _: web.Request) -> web.Response:
        event = {
            "event_id": "97dc7e13-9c95-523b-b771-1e5c1f2b57d6",
            "timestamp": "2026-03-04T08:21:00Z",
            "sensor": "jump01",
            "title": "SSHD: Failed password",
            "plugin_id": 4003,
            "plugin_sid": 1,
            "src_ip": "203.0.113.99",
            "dst_ip": "10.20.1.50",
            "dst_port": 22,
        }
        return _json({"events": [event | {"event_id": f"e{n}"} for n in range(5)]})

    async def explain(self, request: web.Request) -> web.Response:
        try:
            json.loads(await request.text())
        except ValueError:
            detail = "not JSON: unexpected end"
            return _json(
                {
                    "error": "the event is invalid",
                    "reason": "bad_json",
                    "detail": detail,
                    "verdicts": [{"verdict": "invalid", "detail": f"bad_json: {detail}"}],
                },
                400,
            )
        return _json(self.explanation)

    def make_flow(self) -> Document:
        """The next sample of the flow."""
        self.beat += 1
        flow = console_data.make_flow(time.time(), self.beat) | {"sequence": self.sequence}
        return flow | self.flow_changes

    async def flow(self, _: web.Request) -> web.Response:
        return _json(self.make_flow())

    async def flow_history(self, request: web.Request) -> web.Response:
        until = float(request.query.get("until", time.time()))
        since = float(request.query.get("since", until - 86_400))
        parts = int(request.query.get("parts", 288))
        document = console_data.make_history(since, until, parts, random.Random(3))
        document["incidents"] += self.incidents
        return _json(document)

    async def config(self, _: web.Request) -> web.Response:
        return _json(console_data.make_config(self.started) | self.config_changes)

    async def reload(self, _: web.Request) -> web.Response:
        if not self.token:
            return _json({"error": "set --api-token, and log in, to reload from here"}, 403)
        refused = self.reload_outcome == "refused"
        return _json(
            {
                "outcome": self.reload_outcome,
                "time": time.time(),
                "milliseconds": 84.0,
                "generation": 3 if refused else 4,
                "trigger": "request",
                "added": 0 if refused else 1,
                "changed": 0 if refused else 2,
                "removed": 0,
                "unchanged": 12,
                "problems": console_data.PROBLEMS if refused else [],
                "problems_omitted": 0,
                "assets_changed": False,
                "unlisted": "",
                "error": "",
            },
            422 if refused else 200,
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        if self.refuses_streams:
            return _json({"error": "too many pages are open"}, 503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            await self._send_events(response)
        return response

    async def _send_events(self, response: web.StreamResponse) -> None:
        seen, incidents, turn = 0, len(self.incidents), 0
        while not self.down and not self.stop.is_set():
            if self.sequence != seen:
                seen = self.sequence
                await _send(response, "alarms", {"sequence": seen})
            for incident in self.incidents[incidents:]:
                await _send(response, "incident", incident)
            incidents = len(self.incidents)
            if turn % 4 == 0:
                await _send(response, "flow", self.make_flow())
            turn += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), 0.25)


def _matches(alarm: Document, query: Any, without: str = "") -> bool:
    """Whether an alarm or backlog meets the filters of a request."""
    sides = [*alarm["src"], *alarm["dst"]]
    about = [alarm["id"], alarm["title"], *(f"{one['ip']} {one['name']}" for one in sides)]
    text = " ".join(about).lower()
    if not all(word in text for word in query.get("text", "").lower().split()):
        return False
    checks = {"risk": alarm["risk_class"], "state": alarm.get("state", "")}
    checks |= {"directive": str(alarm["directive"])}
    for name, value in checks.items():
        wanted = query.get(name, "") if name != without else ""
        if wanted and value not in wanted.split(","):
            return False
    for name, among in (("address", sides), ("source", alarm["src"])):
        if (wanted := query.get(name)) and not _in_network(among, wanted):
            return False
    since, until = float(query.get("since", 0)), float(query.get("until", "inf"))
    return bool(since <= alarm["update_time"] < until)


def _in_network(addresses: list[Document], wanted: str) -> bool:
    network = ip_network(wanted, strict=False)
    return any(ip_address(one["ip"]) in network for one in addresses)


def _group(key: str, name: str, alarms: list[Document]) -> Document:
    classes = Counter(one["risk_class"] for one in alarms)
    top = max(alarms, key=lambda one: one["risk"])
    spark = [0] * 24
    for one in alarms:
        spark[one["sequence"] % 24] += 1
    return {
        "key": key,
        "name": name,
        "alarms": len(alarms),
        **{name: classes[name] for name in console_data.RISK_CLASSES},
        "risk": top["risk"],
        "risk_class": top["risk_class"],
        "sources": len({one["src"][0]["ip"] for one in alarms}),
        "first_time": min(one["created_time"] for one in alarms),
        "last_time": max(one["update_time"] for one in alarms),
        "spark": spark,
    }


def _json(document: Any, status: int = 200) -> web.Response:
    return web.json_response(document, status=status)


def _file(path: Path) -> web.Response:
    return web.Response(body=path.read_bytes(), content_type=TYPES.get(path.suffix, "text/plain"))


async def _send(response: web.StreamResponse, kind: str, document: Document) -> None:
    await response.write(f"event: {kind}\ndata: {json.dumps(document)}\n\n".encode())


@asynccontextmanager
async def _serving(mock: MockConsole, port: int) -> AsyncIterator[str]:
    app = web.Application(middlewares=[mock.guard])
    app.add_routes(mock.routes())
    runner = web.AppRunner(app, shutdown_timeout=2, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    yield str(site.name if port else _address(runner))
    await runner.cleanup()


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


@contextmanager
def run_mock(mock: MockConsole, port: int = 0) -> Iterator[str]:
    """Serve in a thread while the context is active; its address."""
    started = threading.Event()
    mock.stop = asyncio.Event()
    loop = asyncio.new_event_loop()
    urls: list[str] = []

    async def serve() -> None:
        async with _serving(mock, port) as url:
            urls.append(url)
            started.set()
            await mock.stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(10)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(mock.stop.set)
        thread.join()
