"""Telemetry of a running service, as a collector gets it."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.frontend import Reply
from tests.support.lookup_server import WISE_HIT, LookupServer
from tests.support.nats_server import free_port
from tests.support.otlp_collector import (
    METRICS,
    TRACES,
    OtlpCollector,
    with_sorted_labels,
)
from tests.support.paths import ROOT
from tests.support.replaying import directive, event, rule
from tests.support.serving import NEVER_EXPIRE, Service, wait_until, write_config

ATTACKER = "203.0.113.9"
SECRET = "s3cr3t"


def configure(folder: Path, lookups: LookupServer) -> None:
    """A directive of two stages, and a source of intel."""
    config = write_config(folder, [directive(1, rule(1, 1, reliability=8), rule(2, 2))])
    source = {"name": "a", "plugin": "Wise", "type": "IP", "enabled": True}
    source["config"] = json.dumps({"url": f"{lookups.url}/ip/${{ip}}"})
    (config / "intel_a.json").write_text(json.dumps({"intel_sources": [source]}))


def read_metrics(port: int) -> dict[str, float]:
    """The samples of /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {with_sorted_labels(name): float(value) for name, value in samples}


def test_a_trace_goes_from_router_to_worker_to_lookup_and_metrics_are_those_of_the_ops_server(
    tmp_path: Path,
) -> None:
    with LookupServer(Reply(body=WISE_HIT)) as lookups, OtlpCollector() as collector:
        configure(tmp_path, lookups)
        port = free_port()
        environment = {
            "DSIEM_OPS_PORT": str(port),
            "DSIEM_OTEL_TRACING_ENABLED": "true",
            "DSIEM_OTEL_METRICS_ENABLED": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-token={SECRET}",
        }
        options = ("--otel-sample=1", "--otel-interval=1", "--checkpoint-interval=0", *NEVER_EXPIRE)
        service = Service(tmp_path, *options, workers=1, environment=environment)
        service.post([event("e1", 0, 1, src_ip=ATTACKER), event("other", 0, 9), b"no JSON"])

        wait_until(lambda: len(collector.spans()) == 5, "five spans")
        routes = {span.attributes["dsiem.outcome"]: span for span in collector.spans("route")}
        assert routes.keys() == {"routed", "unmatched", "bad_json"}
        route, (correlate,) = routes["routed"], collector.spans("correlate")
        lookup = collector.spans("lookup")[0]
        assert route.trace == correlate.trace == lookup.trace
        assert (route.parent, correlate.parent, lookup.parent) == (b"", route.span, correlate.span)
        assert route.start <= correlate.start <= correlate.end <= lookup.end
        assert route.attributes["dsiem.workers"] == [0]
        alarm = service.alarms()[0]["alarm_id"]
        assert (
            correlate.attributes.items()
            >= {
                "dsiem.process": "worker-0",
                "dsiem.event_id": "e1",
                "dsiem.directives": [1],
                "dsiem.outcome.opened": 1,
                "dsiem.alarm_ids": [alarm],
            }.items()
        )
        assert (
            lookup.attributes.items()
            >= {
                "dsiem.lookup.source": "a",
                "dsiem.lookup.kind": "intel",
                "dsiem.lookup.hits": 1,
            }.items()
        )
        assert route.resource["service.name"] == "dsiem-shards"
        assert {asked.headers["x-token"] for asked in collector.asked} == {SECRET}

        def are_metrics_equal() -> bool:
            return collector.metrics() == pytest.approx(read_metrics(port), abs=1e-3)

        wait_until(are_metrics_equal, "the metrics of /metrics at a quiet moment")
        assert collector.metrics()["dsiem_events_received_total"] == 3
        collector.replies = {TRACES: Reply(503), METRICS: Reply(503)}
        service.post([event("e2", 0, 1)])
        service.wait_for_log("telemetry cannot be exported")
        service.stop()
        assert service.logged("not all telemetry was exported")[-1]["span"] >= 2, service.text()
        assert SECRET not in service.text()


def test_without_telemetry_nothing_of_it_is_imported() -> None:
    program = f"""
import sys
from shards.ipc.preload import import_modules, modules_of_children
from shards.settings.settings import Settings
import_modules(modules_of_children(Settings()))
import shards.supervisor.supervisor, shards.supervisor.startup, shards.ops.http_server
print(*(name for name in sys.modules if any(part in name for part in {PARTS!r})))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert done.stdout == "\n"


PARTS = ("opentelemetry", "protobuf", "telemetry", "shard_tracer", "traced_", "lookup_spans")
