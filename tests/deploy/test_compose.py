"""The demo of deploy/compose: its files are consistent, and its log lines become alarms.

Needs no container engine, nor Vector, Elasticsearch, Filebeat and Grafana: the library of Vector's
language runs its transforms.
"""

import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from importlib import resources
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from shards.settings.settings import SETTINGS_TABLE, Settings
from tests.support.cluster import CONNECTED, EVENTS, raws
from tests.support.nats_server import free_port
from tests.support.paths import EXAMPLE, ROOT
from tests.support.replaying import Json
from tests.support.serving import Service, own_environment, wait_until
from tests.support.stream_server import configured_server

FOLDER = ROOT / "deploy" / "compose"
README = FOLDER / "README.md"
COMPOSE: Json = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Json] = COMPOSE["services"]
VECTOR: Json = yaml.safe_load((FOLDER / "vector.yaml").read_text("utf-8"))
PUBLISHED = {"backend": "127.0.0.1:9090:9090", "grafana": "127.0.0.1:3000:3000"}
RAISED = {1001, 1007, 1010}
"""Directives of the example whose attacks are among the lines."""
Normalize = Callable[[str, str, datetime], Json | None]
"""The event of a line, by the name of its source, the line and its time; None: it is dropped."""

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not here: .ci/run downloads it"
)


@pytest.fixture(scope="module")
def normalize() -> Normalize:
    """The transforms, each applied to the lines of its source."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT / "build" / "vrl")])
        vrl = pytest.importorskip("vrl_python", reason="vrl-python: .ci/run downloads it")
    runtime = vrl.VRLRuntime()
    programs = {transform["inputs"][0]: transform for transform in VECTOR["transforms"].values()}

    def event_of(source: str, line: str, at: datetime) -> Json | None:
        raw = {"message": line, "timestamp": at.isoformat(), "source_type": "demo_logs"}
        try:
            made: Json = runtime.execute(programs[source]["source"], raw).processed_event
        except RuntimeError as error:
            if "error[E000]: aborted" not in str(error):
                raise
            return None
        return made

    return event_of


def mounts(service: Json) -> dict[str, str]:
    """What is mounted, by the place in the container: paths from the folder, and volumes."""
    pairs = (volume.split(":")[:2] for volume in service.get("volumes", ()))
    return {target: source for source, target in pairs}


# The compose file.


def test_it_is_a_compose_file() -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema has the schema")
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text("utf-8"))
    assert [error.message for error in Draft7Validator(schema).iter_errors(COMPOSE)] == []
    wrong = deepcopy(COMPOSE)
    wrong["services"]["nats"]["healthcheck"]["intervall"] = "5s"
    assert not Draft7Validator(schema).is_valid(wrong)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_watched_and_has_no_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] == "dsiem-shards" or re.search(r":v?\d+\.\d+[\w.-]*$", service["image"])
    assert service["mem_limit"]
    # The image has a health check of its own.
    assert name == "backend" or service["healthcheck"]["test"][0] == "CMD"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    for wanted, how in service.get("depends_on", {}).items():
        assert wanted in SERVICES
        assert how == {"condition": "service_healthy"}


def test_ports_are_published_on_this_machine_only() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {name: [port] for name, port in PUBLISHED.items()}
    document = README.read_text("utf-8")
    for port in PUBLISHED.values():
        assert f"http://{port.rpartition(':')[0]}/" in document


def test_every_file_that_is_mounted_is_in_the_checkout_and_every_volume_is_declared() -> None:
    for service in SERVICES.values():
        for source in mounts(service).values():
            assert source in COMPOSE["volumes"] or (FOLDER / source).exists(), source


def test_what_other_folders_have_is_mounted_and_not_copied() -> None:
    assert mounts(SERVICES["nats"])["/etc/nats/nats.conf"] == "../docker/nats.conf"
    filebeat = mounts(SERVICES["filebeat"])
    assert filebeat["/usr/share/filebeat/filebeat.yml"] == "../docker/filebeat.yml"
    monitoring = "../kubernetes/components/monitoring"
    assert f"{monitoring}/rules.yaml" in mounts(SERVICES["prometheus"]).values()
    assert f"{monitoring}/dsiem.json" in mounts(SERVICES["grafana"]).values()
    same = yaml.safe_load((ROOT / "deploy/docker/compose.cluster.yaml").read_text("utf-8"))
    assert SERVICES["nats"]["image"] == same["services"]["nats"]["image"]
    for key in ("command", "group_add"):
        assert SERVICES["filebeat"][key] == same["services"]["filebeat"][key]


def test_the_program_knows_every_variable() -> None:
    known = {row.env for row in SETTINGS_TABLE.values()}
    assert SERVICES["backend"]["environment"].keys() <= known


def test_the_backend_may_write_nowhere_but_into_its_volumes() -> None:
    backend = SERVICES["backend"]
    assert backend["read_only"] is True
    assert backend["volumes"] == ["configs:/dsiem/configs", "logs:/dsiem/logs"]
    assert int(backend["stop_grace_period"].removesuffix("s")) > Settings().shutdown_timeout + 5


# Monitoring.


@needs_promtool
def test_promtool_has_nothing_against_the_configuration_of_prometheus(tmp_path: Path) -> None:
    """With the rules, as the command of the container makes them."""
    places = mounts(SERVICES["prometheus"])
    [rules] = [path for path in places if "rules" in path]
    [command] = SERVICES["prometheus"]["command"]
    script = command.partition(" && ")[0].replace("/tmp/", f"{tmp_path}/")
    script = script.replace(rules, str(FOLDER / places[rules]))
    subprocess.run([*SERVICES["prometheus"]["entrypoint"], script], check=True)
    config = tmp_path / "prometheus.yml"
    text = (FOLDER / places["/etc/prometheus/prometheus.yml"]).read_text("utf-8")
    config.write_text(text.replace("/tmp/", f"{tmp_path}/"))
    done = subprocess.run(
        ["promtool", "check", "config", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"SUCCESS: (\d+) rules found", done.stdout)
    operator = yaml.safe_load((FOLDER / places[rules]).read_text("utf-8"))
    assert found
    assert int(found[1]) == sum(len(group["rules"]) for group in operator["spec"]["groups"])


def test_prometheus_scrapes_the_ops_port_with_the_label_of_the_rules() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    [job] = config["scrape_configs"]
    [target] = job["static_configs"]
    assert target == {"targets": [f"backend:{Settings().ops_port}"], "labels": {"pod": "backend"}}


def test_dashboards_use_the_data_sources_that_grafana_gets() -> None:
    places = mounts(SERVICES["grafana"])
    provisioning = "/etc/grafana/provisioning"
    sources, providers = (
        yaml.safe_load((FOLDER / places[f"{provisioning}/{kind}/{kind}.yaml"]).read_text("utf-8"))
        for kind in ("datasources", "dashboards")
    )
    types = {source["uid"]: source["type"] for source in sources["datasources"]}
    folder = providers["providers"][0]["options"]["path"]
    dashboards = {path: FOLDER / source for path, source in places.items() if folder in path}
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in dashboards
    uids = {}
    for path in dashboards.values():
        dashboard = json.loads(path.read_text("utf-8"))
        uids[dashboard["uid"]] = dashboard
        for panel in dashboard["panels"]:
            used = panel["datasource"]
            assert used["uid"] == "${datasource}" or types[used["uid"]] == used["type"]
    [link, _] = uids["dsiem-alarms"]["links"]
    assert link["url"].removeprefix("/d/") in uids


def columns() -> set[str]:
    """The fields of alarms that the dashboard shows or groups by."""
    dashboard = json.loads((FOLDER / "grafana" / "alarms.json").read_text("utf-8"))
    chart, _, table = dashboard["panels"]
    [target] = chart["targets"]
    fields = {one["field"].removesuffix(".keyword") for one in target["bucketAggs"]}
    return {*fields, *table["transformations"][0]["options"]["include"]["names"]}


# The way of an event.


def demo_lines(seconds: int) -> Iterator[tuple[int, str, str]]:
    """Second, source and line, as the sources choose them; each run chooses the same."""
    chosen = random.Random(1)
    for second in range(seconds):
        for name, source in VECTOR["sources"].items():
            assert (source["type"], source["format"]) == ("demo_logs", "shuffle")
            assert source["interval"] == 1.0
            yield second, name, chosen.choice(source["lines"])


def test_every_line_becomes_an_event_or_is_dropped_on_purpose(normalize: Normalize) -> None:
    dropped = []
    for name, source in VECTOR["sources"].items():
        for line in source["lines"]:
            if (made := normalize(name, line, datetime.now(UTC))) is None:
                dropped.append(json.loads(line)["event_type"])
                continue
            assert {"event_id", "timestamp", "sensor", "title"} <= made.keys()
            ports = [made[key] for key in ("src_port", "dst_port") if key in made]
            assert all(isinstance(port, int) for port in ports)
    assert dropped == ["flow"]


def test_the_transforms_lead_from_all_sources_to_the_subject_of_the_backend() -> None:
    inputs = [name for transform in VECTOR["transforms"].values() for name in transform["inputs"]]
    assert inputs == list(VECTOR["sources"])
    [sink] = VECTOR["sinks"].values()
    [pattern] = sink.pop("inputs")
    assert all(name.endswith(pattern.removeprefix("*")) for name in VECTOR["transforms"])
    assert sink == {
        "type": "nats",
        "url": SERVICES["backend"]["environment"]["DSIEM_MSQ"],
        "subject": EVENTS,
        "encoding": {"codec": "json"},
    }


def directive_of(alarm: Json) -> int:
    """The id of its directive, by the name of the first rule."""
    document = json.loads((EXAMPLE / "configs" / "directives_example.json").read_text("utf-8"))
    ids = {one["rules"][0]["name"]: int(one["id"]) for one in document["directives"]}
    return ids[alarm["rules"][0]["name"]]


@contextmanager
def frontend() -> Iterator[str]:
    """The frontend of the demo in a process; yields its URL."""
    port = free_port()
    command = [sys.executable, str(FOLDER / "frontend.py"), str(port)]
    environment = own_environment() | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment) as process:

        def answers() -> bool:
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("GET", "/config/")
                return connection.getresponse().status == 200
            except OSError:
                return False
            finally:
                connection.close()

        try:
            wait_until(answers, "the frontend")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.mark.integration
def test_the_lines_of_a_minute_raise_alarms_with_what_lookups_find(
    normalize: Normalize, tmp_path: Path
) -> None:
    """From the lines on, with the settings, the files and the frontend of the demo."""
    settings: dict[str, str] = SERVICES["backend"]["environment"]
    start = datetime.now(UTC) - timedelta(seconds=60)
    made = (
        normalize(name, line, start + timedelta(seconds=second))
        for second, name, line in demo_lines(60)
    )
    events = [event for event in made if event is not None]
    (tmp_path / "conf").mkdir()
    nats_conf = FOLDER / mounts(SERVICES["nats"])["/etc/nats/nats.conf"]
    with frontend() as url, configured_server(nats_conf, tmp_path) as nats:
        places = {"nats://nats:4222": nats.url, "http://nats:8222": nats.monitor_url}
        places |= {"http://frontend:8080": url, "${API_TOKEN:-demo}": "demo"}
        environment = {name: places.get(value, value) for name, value in settings.items()}
        service = Service(tmp_path, port=None, ready=False, environment=environment)
        service.wait_for_log(CONNECTED)
        with nats.publisher() as publisher:
            publisher.publish(EVENTS, raws(events))
        wait_until(lambda: {directive_of(one) for one in service.alarms()} >= RAISED, "alarms")
        hits = "BeaconLoader"
        wait_until(lambda: hits in json.dumps(service.alarms()), hits)
        stopped = service.stop()
    assert stopped.code == 0
    stopped.ledger.check()
    assert stopped.ledger["events_received"] == len(events)
    assert stopped.ledger.by_reason("events_invalid_") == {}
    assert columns() <= {"@timestamp"}.union(*service.alarms())
