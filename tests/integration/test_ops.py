"""Health, metrics and status of a running service, also while it has faults."""

import json
import os
import re
import resource
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shards.ops.metric import PREFIX
from tests.support.cluster import backend, frontend_of, publish
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer, free_port
from tests.support.serving import (
    NEVER_EXPIRE,
    NumberedEvents,
    Service,
    counting_directive,
    directives_of,
    wait_until,
    write_config,
)

FIRST, SECOND = directives_of(0, 2), directives_of(1, 2)


class Ops:
    """Requests to the ops port of a service."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @property
    def ready(self) -> bool:
        return self.get("/readyz") == (200, "ok\n")

    @property
    def missing(self) -> str:
        """The text of /readyz about what is not ready; empty when it is ready."""
        code, text = self.get("/readyz")
        assert (code == 200) == (text == "ok\n")
        return "" if code == 200 else text

    @property
    def live(self) -> bool:
        return self.get("/livez") == (200, "ok\n")

    def metric(self, sample: str) -> float:
        """The value of one sample, by its name and labels."""
        _, text = self.get("/metrics")
        found = re.search(rf"^{re.escape(PREFIX + sample)} (\S+)$", text, re.MULTILINE)
        assert found, f"{sample} is not in {text}"
        return float(found[1])

    def status(self) -> Any:
        code, text = self.get("/status")
        assert code == 200
        return json.loads(text)


def until(condition: Any, what: str) -> None:
    wait_until(condition, what)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path / "nats") as running:
        yield running


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    with frontend_of(map(counting_directive, (*FIRST, *SECOND))) as running:
        yield running


def limit_files(service: Service, most: int) -> None:
    """Limit the size in bytes of all files that the supervisor writes."""
    limits = (most, resource.RLIM_INFINITY)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, limits)


def test_health_metrics_and_status_from_start_to_stop(  # noqa: PLR0915 - it is one story
    tmp_path: Path, server: NatsServer, frontend: Frontend
) -> None:
    """Each step changes the state of the service, and checks all three documents."""

    ops = Ops(port := free_port())
    options = (f"--ops-port={port}", "--checkpoint-interval=1", "--metrics-per-directive")
    server.stop()
    with backend(tmp_path, frontend, server.url, *options, connected=False) as service:
        # It has started without NATS: it is alive, and not ready.
        assert ops.live
        until(lambda: ops.missing == "there is no connection to NATS\n", "only NATS missing")
        assert ops.metric("nats_connected") == ops.metric("source_connected") == 0
        server.start()
        until(lambda: ops.ready, "ready")
        assert ops.metric("nats_connected") == 1
        assert ops.metric("directives_loaded") == 4
        assert ops.metric('worker_up{worker="0"}') == ops.metric("router_up") == 1
        # Series are there from the start: an alert notices an increase, not a new series.
        assert ops.metric('deliveries_dropped_total{reason="queue_full"}') == 0
        assert ops.metric('events_dropped_total{reason="queue_full"}') == 0
        assert ops.metric('deliveries_lost_total{reason="worker_died"}') == 0
        assert ops.metric('deliveries_lost_total{reason="router_died"}') == 0

        # Load: events are counted, alarms written, backlogs opened and closed.
        events = NumberedEvents(*FIRST, *SECOND)
        publish(server, events.take(2000))
        until(lambda: ops.metric("events_received_total") == 2000, "all events")
        until(lambda: ops.metric('alarms_written_total{risk_class="High"}') == 200, "200 alarms")
        until(lambda: ops.metric("event_processing_seconds_count") == 2000, "all timed")
        assert ops.metric('events_total{outcome="routed"}') == 2000
        assert ops.metric('deliveries_total{outcome="consumed"}') == 2000
        assert ops.metric("backlogs_opened_total") == 200
        assert ops.metric('backlogs_closed_total{reason="finished"}') == 200
        assert ops.metric("backlogs_active") == 0
        assert ops.metric(f'matches_total{{directive="{FIRST[0]}"}}') == 500
        stats = ops.status()["stats"]
        assert {row["id"] for row in stats["directives"]} == {*FIRST, *SECOND}
        assert stats["never_matched"] == stats["without_alarm"] == []
        alarms = {"High": 50, "Medium": 0, "Low": 0}
        counts = {"events": 500, "opened": 50, "furthest_stage": 2, "alarms": alarms}
        assert stats["directives"][0] == {"id": min(*FIRST, *SECOND)} | counts
        until(lambda: ops.metric("checkpoint_seconds_count") >= 2, "checkpoints")
        assert ops.metric("checkpoint_last_timestamp_seconds") > 1.7e9
        publish(server, events.take(4))
        until(lambda: ops.metric("backlogs_active") == 4, "4 open backlogs")
        now = time.time()
        until(lambda: ops.metric("checkpoint_last_timestamp_seconds") > now, "a checkpoint")

        # A worker is killed and restarted.
        before = service.children()
        os.kill(before[0], signal.SIGKILL)
        until(lambda: ops.metric('worker_restarts_total{worker="0"}') == 1, "a restart")
        until(lambda: ops.ready, "ready again")
        assert ops.live
        assert ops.status()["shards"][0]["restarts"] == 1
        assert ops.metric('worker_restarts_total{worker="1"}') == 0
        until(lambda: ops.metric("backlogs_active") == 4, "4 open backlogs again")
        assert ops.metric('backlogs_closed_total{reason="interrupted"}') == 0
        assert ops.metric("backlogs_restored_total") == 0, "it goes on with its own"

        # NATS stops and starts again.
        server.stop()
        until(lambda: ops.missing == "there is no connection to NATS\n", "NATS missing")
        assert ops.live
        assert ops.metric("nats_connected") == 0
        server.start()
        until(lambda: ops.ready, "connected again")
        assert ops.metric("nats_disconnects_total") == 1
        assert ops.metric("nats_disconnected_seconds_total") > 0

        # The disk is full, and has room again.
        written = ops.metric('alarms_written_total{risk_class="High"}')
        limit_files(service, (service.logs / "siem_alarm_events.json").stat().st_size + 5)
        publish(server, events.take(40))
        until(lambda: "alarms cannot be written: " in ops.missing, "a full disk")
        assert ops.metric('alarms_written_total{risk_class="High"}') == written
        assert ops.live
        assert ops.metric("output_writable") == 0
        assert ops.metric("output_errors_total") > 0
        assert "siem_alarm_events.json" in ops.status()["output"]["trouble"]
        limit_files(service, resource.RLIM_INFINITY)
        until(lambda: ops.ready, "room again")
        until(lambda: service.lines() == 2044, "all lines")
        until(lambda: ops.metric('alarms_written_total{risk_class="High"}') > written, "alarms")
        assert ops.metric("output_writable") == 1

        # Events that no directive is for are counted by signature, over a death of the router.
        unmatched = NumberedEvents(9999, name="u")
        publish(server, unmatched.take(3))
        until(lambda: _signatures(ops) == [(9999, 3)], "a signature")
        until(lambda: _unmatched(ops)["events"] == 3, "a report of the router")
        os.kill(service.router, signal.SIGKILL)
        until(lambda: ops.metric("router_restarts_total") == 1, "a restart of the router")
        until(lambda: ops.ready, "ready with another router")
        publish(server, unmatched.take(2))
        until(lambda: _signatures(ops) == [(9999, 5)], "the signature again")
        until(lambda: _unmatched(ops)["events"] == 5, "a report of the other router")
        assert _unmatched(ops)["other_events"] == 0

        # A stuck process makes it not alive; nothing else does.
        status = ops.status()
        assert status["ledger"]["adds_up"]
        assert status["ready"]
        assert status["missing"] == status["stuck"] == []
        assert {alarm["risk_class"] for alarm in status["alarms"]} == {"High", "Low"}
        assert status["settings"]["node"] == "n1"

        # It stops: not ready from then on.
        os.kill(service.children()[0], signal.SIGSTOP)  # so that the stop takes some time
        service.send_signal(signal.SIGTERM)
        until(lambda: ops.missing.startswith("it is stopping\n"), "stopping")
        assert ops.live
        os.kill(service.children()[0], signal.SIGCONT)
        ended = service.stop()
        assert ended.code in (0, 1)  # the second signal may come before all is done
        ended.ledger.check()


def test_health_is_ready_before_workers_are(tmp_path: Path) -> None:
    """While processes start, /readyz names those that are missing."""
    hosts = (
        {"name": "h", "cidr": f"10.9.{n >> 8}.{n & 255}/32", "value": 1} for n in range(50_000)
    )
    write_config(tmp_path, [counting_directive(1)], hosts)  # many assets take their time
    ops = Ops(port := free_port())
    service = Service(tmp_path, *NEVER_EXPIRE, f"--ops-port={port}", ready=False)
    try:
        seen: set[str] = set()

        def ready() -> bool:
            with suppress(urllib.error.URLError):
                missing = ops.missing
                seen.update(missing.splitlines())
                return not missing
            return False

        until(ready, "ready")
        assert "router is not running" in seen
        assert seen & {"worker-0 is still starting", "worker-0 is not running"}
    finally:
        service.kill_all()


def test_a_port_that_is_taken_is_tried_again_and_correlation_goes_on(tmp_path: Path) -> None:
    write_config(tmp_path, [counting_directive(1)])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = Service(tmp_path, *NEVER_EXPIRE, f"--ops-port={port}", workers=1)
        said = service.wait_for_log("--ops-port (DSIEM_OPS_PORT): cannot listen on 127.0.0.1")
        assert f"port {port}" in said["message"]
        assert service.post(NumberedEvents(1).take(10)).accepted == 10
        service.wait_for_lines(10)
    until(lambda: _reachable(port), "health once the port is free")
    assert service.stop().code == 0


def _signatures(ops: Ops) -> list[tuple[int, int]]:
    return [(row["plugin_sid"], row["events"]) for row in _unmatched(ops)["signatures"]]


def _unmatched(ops: Ops) -> dict[str, Any]:
    found: dict[str, Any] = ops.status()["stats"]["unmatched"]
    return found


def _reachable(port: int) -> bool:
    with suppress(urllib.error.URLError, ConnectionError):
        return Ops(port).ready
    return False


def test_secrets_are_in_no_answer(tmp_path: Path) -> None:
    write_config(tmp_path, [counting_directive(1)])
    ops = Ops(port := free_port())
    secrets = ("--api-token=s3cret", "--lookup-proxy=http://u:s3cret@127.0.0.1:9")
    service = Service(tmp_path, *NEVER_EXPIRE, f"--ops-port={port}", *secrets, workers=1)
    answers = [ops.get(path)[1] for path in ("/status", "/metrics", "/readyz")]
    service.stop()
    assert "***" in answers[0]
    assert not any("s3cret" in answer for answer in answers)


def test_the_latest_hundred_alarms_are_shown_each_once(tmp_path: Path) -> None:
    write_config(tmp_path, [counting_directive(id_) for id_ in range(1, 121)])
    ops = Ops(port := free_port())
    service = Service(tmp_path, *NEVER_EXPIRE, f"--ops-port={port}", workers=1)
    for id_ in range(1, 121):
        service.post(NumberedEvents(id_, name=f"d{id_}-").take(10))
    service.wait_for_lines(1200)
    until(lambda: len(service.alarms()) == 240, "two lines of each alarm")
    until(lambda: ops.status()["alarms"][0]["title"] == "directive 120", "the last alarm")
    titles = [alarm["title"] for alarm in ops.status()["alarms"]]
    service.stop()
    assert titles == [f"directive {id_}" for id_ in range(120, 20, -1)]
