"""The console of a real service: what an analyst and an operator see, over HTTP."""

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.console import OPENAPI, TOKEN, check_schema, schema_of
from tests.support.nats_server import free_port
from tests.support.replaying import Json, directive, rule
from tests.support.serving import (
    DEADLINE,
    NumberedEvents,
    Service,
    counting_directive,
    serving,
    wait_until,
    write_config,
)

API = "/api/v1/"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
SCHEMAS = {
    "session": "Session",
    "alarms": "AlarmList",
    "alarm-groups": "AlarmGroupList",
    "alarm-timeline": "AlarmTimeline",
    "backlogs": "BacklogList",
    "directives": "DirectiveList",
    "recent-events": "RecentEvents",
    "flow": "Flow",
    "flow-history": "FlowHistory",
    "config": "Config",
}

pytestmark = pytest.mark.integration


class Browser:
    """Requests to the console of a service."""

    def __init__(self, port: int) -> None:
        self._port = port

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the document of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {**WITH_TOKEN, **(headers or {})})
            reply = connection.getresponse()
            text = reply.read()
            return reply.status, json.loads(text) if text else None
        finally:
            connection.close()

    def get(self, path: str, schema: str = "") -> Any:
        """The document of a successful answer, checked by its schema."""
        status, document = self.request("GET", API + path)
        assert status == 200, document
        if schema:
            check_schema(document, schema_of(schema))
        return document

    def alarms(self) -> list[Json]:
        found: list[Json] = self.get("alarms")["alarms"]
        return found

    def incidents(self) -> list[str]:
        """The kinds of incidents so far."""
        return [one["kind"] for one in self.get("flow-history")["incidents"]]

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """The events of a stream, as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        connection.request("GET", f"{API}events", headers=WITH_TOKEN)
        reply = connection.getresponse()
        assert reply.status == 200
        try:
            yield _events(reply)
        finally:
            reply.close()
            connection.close()


def _events(reply: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    while line := reply.readline():
        if line.startswith(b"event: "):
            yield line[7:].strip().decode(), json.loads(reply.readline()[6:])


@contextmanager
def watched(folder: Path, *options: str, **more: Any) -> Iterator[tuple[Service, Browser]]:
    """A service with a token, and its console."""
    port = free_port()
    environment = {"DSIEM_API_TOKEN": TOKEN}
    ops = f"--ops-port={port}"
    with serving(folder, ops, *options, environment=environment, **more) as service:
        browser = Browser(port)
        wait_until(lambda: _answers(browser), "the console")
        yield service, browser


def _answers(browser: Browser) -> bool:
    try:
        return browser.request("GET", f"{API}session")[0] == 200
    except OSError:
        return False


def post_with_token(service: Service, events: list[Json]) -> None:
    body = "\n".join(map(json.dumps, events))
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=DEADLINE)
    connection.request("POST", "/events", body, WITH_TOKEN)
    assert connection.getresponse().status == 200
    connection.close()


def test_every_answer_of_a_running_service_is_as_openapi_says(tmp_path: Path) -> None:
    write_config(tmp_path, map(counting_directive, range(1, 6)))
    with watched(tmp_path) as (service, browser):
        post_with_token(service, NumberedEvents(1, 2, 3).take(59))
        wait_until(lambda: len(browser.alarms()) >= 3, "alarms in the history")
        for path, schema in SCHEMAS.items():
            browser.get(path, schema)
        alarm = browser.alarms()[0]
        detail = browser.get(f"alarms/{alarm['id']}", "AlarmDetail")
        assert detail["directive_name"] == f"directive {alarm['directive']}"
        assert detail["stages"][0]["taken"] == 1
        events = browser.get(f"alarms/{alarm['id']}/events", "AlarmEventList")
        assert events["total"] == detail["event_count"] >= 1
        browser.get("directives/1", "DirectiveDetail")
        [event, *_] = browser.get("recent-events?limit=1")["events"]
        status, explanation = browser.request("POST", f"{API}explain", event)
        assert (status, explanation["directives"] != []) == (200, True)
        assert OPENAPI["paths"].keys() >= {API + path for path in SCHEMAS}
        assert service.stop().code == 0


def test_a_new_alarm_is_announced_to_an_open_page(tmp_path: Path) -> None:
    write_config(tmp_path, [counting_directive(1)])
    with watched(tmp_path) as (service, browser), browser.events() as stream:
        kinds = {next(stream)[0]}
        post_with_token(service, NumberedEvents(1).take(10))
        sequence = next(data["sequence"] for kind, data in stream if kind == "alarms")
        [alarm] = browser.get(f"alarms?after={sequence - 10}")["alarms"]
        assert (alarm["directive"], alarm["sequence"] <= sequence) == (1, True)
        flow = next(data for kind, data in stream if kind == "flow")
        check_schema(flow, schema_of("Flow"))
        assert kinds <= {"flow", "config"}
        service.send_signal(signal.SIGTERM)
        assert [kind for kind, _ in stream if kind == "alarms"] == []
        assert service.process.wait(DEADLINE) == 0


def test_open_backlogs_are_found_over_all_workers(tmp_path: Path) -> None:
    write_config(tmp_path, map(counting_directive, range(1, 9)))
    with watched(tmp_path) as (service, browser):
        post_with_token(service, NumberedEvents(*range(1, 9)).take(24))
        page = wait_until(lambda: _with_backlogs(browser, 8), "open backlogs")
        workers = {row["worker"] for row in page["backlogs"]}
        assert (workers, page["workers_missing"]) == ({0, 1}, [])
        assert {(row["stage"], row["taken"], row["needed"]) for row in page["backlogs"]} == {
            (2, 2, 9)
        }
        [one] = browser.get("backlogs?directive=3")["backlogs"]
        assert browser.get(f"backlogs?text={one['id']}")["total"] == 1
        listed = browser.get("directives?kind=open&sort=id")["directives"]
        assert [row["backlogs"] for row in listed] == [1] * 8


def _with_backlogs(browser: Browser, number: int) -> Any:
    page = browser.get("backlogs?sort=age", "BacklogList")
    done = page["total"] == number and all(row["taken"] == 2 for row in page["backlogs"])
    return page if done else None


def test_a_worker_that_dies_is_an_incident_and_the_console_goes_on(tmp_path: Path) -> None:
    write_config(tmp_path, [counting_directive(1)])
    with watched(tmp_path) as (service, browser), browser.events() as stream:
        os.kill(service.workers[0], signal.SIGKILL)
        incident = next(data for kind, data in stream if kind == "incident")
        check_schema(incident, schema_of("Incident"))
        assert (incident["kind"], incident["process"]) == ("restart", "worker-0")
        wait_until(lambda: browser.get("backlogs?text=x")["workers_missing"] == [], "its answer")
        assert browser.get("flow")["workers"][0]["restarts"] == 1
        assert "restart" in browser.incidents()


def test_a_faulty_configuration_is_refused_with_its_place(tmp_path: Path) -> None:
    config = write_config(tmp_path, [counting_directive(1)])
    file = config / "directives_a.json"
    with watched(tmp_path) as (_, browser):
        browser.get("directives")
        wrong = directive(1, rule(1, 1), priority=9)
        file.write_text(json.dumps({"directives": [wrong]}, indent=1))
        status, reload = browser.request("POST", f"{API}reload")
        check_schema(reload, schema_of("Reload"))
        assert (status, reload["outcome"]) == (422, "refused")
        problem = next(one for one in reload["problems"] if one["severity"] == "fault")
        excerpt = problem["excerpt"]
        assert '"priority": 9' in excerpt["lines"][problem["line"] - excerpt["first_line"]]
        file.write_text(json.dumps({"directives": [counting_directive(1), counting_directive(2)]}))
        status, reload = browser.request("POST", f"{API}reload")
        assert (status, reload["outcome"], reload["added"]) == (200, "applied", 1)
        assert [one["id"] for one in browser.get("directives?sort=id")["directives"]] == [1, 2]
        config_now = browser.get("config", "Config")
        assert (config_now["generation"], config_now["last_reload"]["outcome"]) == (2, "applied")
        wait_until(lambda: "reload" in browser.incidents(), "the reload in the history")
        assert "reload_refused" in browser.incidents()


def test_the_history_goes_on_after_a_restart_of_the_service(tmp_path: Path) -> None:
    write_config(tmp_path, [counting_directive(1)])
    events = NumberedEvents(1)
    with watched(tmp_path) as (service, browser):
        post_with_token(service, events.take(10))
        [before] = wait_until(browser.alarms, "an alarm")
        assert service.stop().code == 0
    with watched(tmp_path) as (service, browser):
        [after] = browser.alarms()
        assert after["id"] == before["id"]
        detail = browser.get(f"alarms/{after['id']}")
        assert (detail["event_count"], detail["events_missing"]) == (10, "")
        assert browser.incidents() == ["start", "stop", "start"]
        assert (service.logs / "history.sqlite").stat().st_mode & 0o777 == 0o640


def test_after_kill_9_of_the_service_the_history_is_there(tmp_path: Path) -> None:
    write_config(tmp_path, [counting_directive(1)])
    with watched(tmp_path) as (service, browser):
        post_with_token(service, NumberedEvents(1).take(10))
        wait_until(browser.alarms, "an alarm")
        service.kill_all()
    with watched(tmp_path) as (_, browser):
        assert len(browser.alarms()) == 1


@pytest.mark.parametrize("options", [("--no-console",), ()], ids=["off", "no ops port"])
def test_without_the_console_there_is_no_history_and_no_page(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    write_config(tmp_path, [counting_directive(1)])
    port = free_port() if options else 0
    with serving(tmp_path, f"--ops-port={port}", *options) as service:
        service.post(NumberedEvents(1).take(10))
        service.wait_for_lines(10)
        if port:
            browser = Browser(port)
            wait_until(lambda: browser.request("GET", "/status")[0] == 200, "the ops server")
            for path in ("/", f"{API}session", "/console/index.html"):
                assert browser.request("GET", path)[0] == 404
        assert not list(service.logs.glob("history*"))
        assert service.stop().code == 0


def test_a_login_by_the_form_opens_the_console(tmp_path: Path) -> None:
    write_config(tmp_path, [counting_directive(1)])
    with watched(tmp_path) as (_, browser):
        nobody = {"Authorization": ""}
        assert browser.request("GET", f"{API}flow", headers=nobody)[0] == 401
        wrong = {"token": "wrong"}
        assert browser.request("POST", f"{API}login", wrong, headers=nobody)[0] == 401
        assert browser.request("POST", f"{API}login", {"token": TOKEN}, headers=nobody)[0] == 204
