"""The Kubernetes manifests: rendered, valid, and consistent with the program."""

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from cli import COMMANDS
from shards.ops.metric import PREFIX
from shards.ops.metrics import METRICS
from shards.ops.prometheus_text import prometheus_text
from shards.settings.command_line import parse_command
from shards.settings.settings import SETTINGS_TABLE, Settings
from shards.settings.spellings import canonical_arguments
from tests.support.manifests import (
    KUBERNETES,
    MONITORING,
    OVERLAYS,
    UNKNOWN_KINDS,
    Object,
    backend,
    environment,
    objects_of,
    of_kind,
    rendered,
    validate,
    with_monitoring,
)
from tests.support.overviews import overview
from tests.support.paths import ROOT
from tests.support.routing import Routed, Source
from tests.support.routing import event as routed_event

VARIABLES = {row.env: row for row in SETTINGS_TABLE.values()}
MOST = 1 << 20
"""Bytes that a ConfigMap may have."""

pytestmark = pytest.mark.integration  # kubectl renders them, in a process


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def objects(overlay: str) -> list[Object]:
    return objects_of(overlay)


def test_every_object_is_valid(overlay: str, tmp_path: Path) -> None:
    made = rendered(with_monitoring(tmp_path, overlay))
    kinds = [one["kind"] for one in made]
    assert set(UNKNOWN_KINDS) <= set(kinds)
    assert {"StatefulSet", "Service", "NetworkPolicy", "PodDisruptionBudget"} <= set(kinds)
    for one in made:
        validate(one)


def test_an_unknown_field_is_no_valid_object(objects: list[Object]) -> None:
    one = of_kind(objects, "StatefulSet")
    one["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(one)


def test_the_program_knows_every_variable(objects: list[Object]) -> None:
    own = [name for name in environment(backend(objects)) if name.startswith("DSIEM_")]
    assert own
    assert [name for name in own if name not in VARIABLES] == []


def containers(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Every container, and the spec of its pod."""
    for one in objects:
        if one["kind"] in ("StatefulSet", "Deployment"):
            pod = one["spec"]["template"]["spec"]
            yield from ((container, pod) for container in pod["containers"])


def test_nothing_may_do_more_than_it_has_to(objects: list[Object]) -> None:
    for container, pod in containers(objects):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False


def test_it_gets_whole_cpus_one_more_than_workers(objects: list[Object]) -> None:
    container = backend(objects)
    cpus = int(environment(container)["DSIEM_WORKERS"]) + 1
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert container["resources"]["requests"]["cpu"] == str(cpus)


def test_it_is_asked_at_the_ops_port(objects: list[Object]) -> None:
    container = backend(objects)
    assert {"name": "ops", "containerPort": Settings().ops_port} in container["ports"]
    paths = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness")}
    assert set(map(str, paths.values())) == {str({"path": "/livez", "port": "ops"})}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "ops"}
    patience = (
        container["startupProbe"]["periodSeconds"] * (container["startupProbe"]["failureThreshold"])
    )
    assert patience > Settings().frontend_wait + 60


def test_there_is_time_for_an_orderly_stop(objects: list[Object]) -> None:
    pod = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]
    timeout = int(environment(backend(objects))["DSIEM_SHUTDOWN_TIMEOUT"])
    assert pod["terminationGracePeriodSeconds"] > timeout + 5


def test_replicas_is_the_one_number_to_edit(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes" / "overlays" / "cluster"
    file = folder / "kustomization.yaml"
    text = file.read_text("utf-8")
    assert text.count("count: 3") == 1
    for number in (1, 5):
        file.write_text(text.replace("count: 3", f"count: {number}"), "utf-8")
        made = rendered(folder)
        assert of_kind(made, "StatefulSet")["spec"]["replicas"] == number
        assert environment(backend(made))["DSIEM_CLUSTER_SIZE"] == str(number)


def test_pods_are_selected_by_their_labels_and_no_others_are(objects: list[Object]) -> None:
    labels = of_kind(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    budget = of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    service = of_kind(objects, "Service")["spec"]["selector"]
    assert budget == service == labels
    [own] = labels.values()
    assert policies(objects, own)


def policies(objects: list[Object], pod: str = "dsiem-backend") -> list[Object]:
    """What the policies of these pods say; they add up."""
    found = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    labels = {"app.kubernetes.io/name": pod}
    return [spec for spec in found if spec["podSelector"] == {"matchLabels": labels}]


def ports(objects: list[Object], way: str) -> set[int]:
    rules = [rule for spec in policies(objects) for rule in spec.get(way, [])]
    assert all(rule["ports"] for rule in rules)
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_only_what_is_needed_goes_in_and_out(objects: list[Object], overlay: str) -> None:
    types = {way for spec in policies(objects) for way in spec["policyTypes"]}
    assert types == {"Ingress", "Egress"}
    of_cluster = set() if overlay == "single" else {4222, 8222, 8080}
    assert ports(objects, "egress") == {53, 80, 443, 8081, 9200, 5044} | of_cluster
    assert ports(objects, "ingress") == ({9090, 8080} if overlay == "single" else {9090})


def test_lookups_do_not_get_where_clouds_give_away_credentials(objects: list[Object]) -> None:
    rules = [rule for spec in policies(objects) for rule in spec.get("egress", [])]
    blocks = [to["ipBlock"] for rule in rules for to in rule.get("to", []) if "ipBlock" in to]
    refused = {block["cidr"]: block["except"] for block in blocks}
    assert refused.keys() == {"0.0.0.0/0", "::/0"}
    assert "169.254.0.0/16" in refused["0.0.0.0/0"]
    assert "fd00:ec2::254/128" in refused["::/0"]


def who_may_ask(objects: list[Object], port: int, pod: str = "dsiem-backend") -> list[Object]:
    rules = [rule for spec in policies(objects, pod) for rule in spec.get("ingress", [])]
    asked = [r for r in rules if port in [one["port"] for one in r["ports"]]]
    return [peer for rule in asked for peer in rule.get("from", [{}])]


def test_what_has_no_login_is_for_the_namespace_and_for_prometheus(
    overlay: str, tmp_path: Path
) -> None:
    """The ops port, which shows alarms, and NATS."""
    namespace: Object = {"podSelector": {}}
    made = objects_of(overlay)
    assert who_may_ask(made, 9090) == [namespace]
    if overlay != "single":
        assert who_may_ask(made, 4222, "dsiem-nats") == [namespace]
    watched = who_may_ask(rendered(with_monitoring(tmp_path, overlay)), 9090)
    name = {"kubernetes.io/metadata.name": "monitoring"}
    assert namespace in watched
    assert {"namespaceSelector": {"matchLabels": name}} in watched
    assert len(watched) == 2


def mounts(objects: list[Object], name: str) -> dict[str, str]:
    """Where the volume claim is in a container, and which folder of it."""
    spec = of_kind(objects, "StatefulSet")["spec"]
    [claim] = spec["volumeClaimTemplates"]
    [container] = [c for c in spec["template"]["spec"]["containers"] if c["name"] == name]
    volumes = [v for v in container["volumeMounts"] if v["name"] == claim["metadata"]["name"]]
    return {volume["mountPath"]: volume["subPath"] for volume in volumes}


def test_what_has_to_outlive_a_pod_is_on_its_volume(objects: list[Object], overlay: str) -> None:
    """With a download among it the pod can start while the frontend is away."""
    logs = {"/dsiem/logs": "logs"}
    download = {} if overlay == "single" else {"/dsiem/configs": "configs"}
    assert mounts(objects, "backend") == logs | download
    assert mounts(objects, "filebeat") == logs | {"/data": "filebeat"}


def test_filebeat_may_read_what_the_backend_writes_for_its_group(objects: list[Object]) -> None:
    pod = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]
    security = pod["securityContext"]
    assert security["fsGroup"] == security["runAsGroup"]  # of every container, that of Filebeat too


def test_a_kubelet_that_gives_out_whole_cpus_does_so(objects: list[Object]) -> None:
    """It wants of every container of the pod as much as at most."""
    pod = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]
    for container in pod["containers"]:
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_all_pods_share_one_node_name() -> None:
    """With names of their own each would take all directives, and every alarm be there thrice."""
    made = backend(objects_of("cluster"))["env"]
    [node] = [variable for variable in made if variable["name"] == "DSIEM_NODE"]
    assert node == {"name": "DSIEM_NODE", "value": "dsiem-backend"}


def test_the_overlay_stream_is_the_overlay_cluster_with_a_stream() -> None:
    """So that one goes from core NATS to a stream and back by applying the other one."""
    made = objects_of("stream")
    container = next(c for c, _ in containers(made) if c["name"] == "backend")
    of_stream = {one["name"]: one["value"] for one in container["env"] if "_STREAM" in one["name"]}
    assert of_stream.keys() == {
        *("DSIEM_STREAM", "DSIEM_STREAM_CREATE", "DSIEM_STREAM_MAX_AGE", "DSIEM_STREAM_MAX_BYTES"),
    }
    container["env"] = [one for one in container["env"] if one["name"] not in of_stream]
    assert made == objects_of("cluster")


def test_a_changed_config_map_is_reloaded_and_does_not_replace_the_pod() -> None:
    """The kubelet updates a folder of a ConfigMap whose name stays, and no mount by subPath."""
    made = objects_of("single")
    container = backend(made)
    name, *flags = canonical_arguments(container["args"])
    [serve] = [command for command in COMMANDS if command.name == name]
    assert parse_command(serve, flags, environment(container)).settings.watch
    pod = of_kind(made, "StatefulSet")["spec"]["template"]["spec"]
    [volume] = [one for one in pod["volumes"] if one["name"] == "configs"]
    assert of_kind(made, "ConfigMap", volume["configMap"]["name"])
    assert volume["configMap"]["name"] == "configs"
    [mount] = [one for one in container["volumeMounts"] if one["name"] == "configs"]
    assert mount == {"name": "configs", "mountPath": "/dsiem/configs", "readOnly": True}


def test_config_maps_are_small_enough(objects: list[Object]) -> None:
    maps = [one for one in objects if one["kind"] == "ConfigMap"]
    assert maps
    for one in maps:
        size = len(json.dumps(one))
        name = one["metadata"]["name"]
        assert size < MOST, f"{name} has {size} bytes: use a volume, or the frontend"


def test_the_files_that_are_copies_are_the_same() -> None:
    single, example = KUBERNETES / "overlays" / "single", ROOT / "deploy" / "example" / "configs"
    for name in ("assets_example.json", "directives_example.json"):
        assert (single / name).read_bytes() == (example / name).read_bytes()
    filebeat = ROOT / "deploy" / "docker" / "filebeat.yml"
    assert (KUBERNETES / "base" / "filebeat.yml").read_bytes() == filebeat.read_bytes()


def test_the_dashboard_is_what_its_script_makes() -> None:
    made = runpy.run_path(str(MONITORING / "dashboard.py"))
    assert made["FILE"].read_text("utf-8") == made["text"]()


def known_series() -> set[str]:
    names = {PREFIX + metric.name for metric in METRICS}
    parts = ("bucket", "sum", "count")
    histograms = [PREFIX + metric.name for metric in METRICS if metric.kind == "histogram"]
    return names | {f"{name}_{part}" for name in histograms for part in parts}


def series_in(text: str) -> set[str]:
    words = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    return {word for word in words if word.startswith(PREFIX)}


def test_alerts_and_panels_ask_for_metrics_that_there_are() -> None:
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text("utf-8"))
    alerts = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    dashboard = json.loads((MONITORING / "dsiem.json").read_text("utf-8"))
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for expression in (*alerts, *panels):
        assert series_in(expression) - known_series() == set()
        assert series_in(expression)


@pytest.mark.parametrize("over_http", [True, False])
def test_the_alert_on_drops_fires_from_what_a_router_with_a_full_queue_reports(
    over_http: bool,
) -> None:
    """The metrics before and after a drop, and `increase(…) > 0` of the rule over them."""
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text("utf-8"))
    [expression] = [
        rule["expr"]
        for group in rules["spec"]["groups"]
        for rule in group["rules"]
        if rule["alert"] == "DsiemDropping"
    ]
    routed = Routed(max_queue=1)

    def series() -> dict[str, float]:
        report = routed.router.make_report(Source())
        text = prometheus_text(overview(ledger=report.ledger, uses_nats=True)).decode()
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def fires(before: dict[str, float], after: dict[str, float]) -> bool:
        names = re.findall(r"sum by \(pod\) \(increase\((\w+)\[5m\]\)\) > 0", expression)
        return any(
            after[one] > value for one, value in before.items() if one.partition("{")[0] in names
        )

    quiet, raw = series(), routed_event(1)
    routed.router.take(raw) if over_http else routed.router.route([raw])
    taken = series()
    routed.router.take(raw) if over_http else routed.router.route([raw])
    assert (fires(quiet, taken), fires(taken, series())) == (False, True)


def test_promtool_has_nothing_against_the_rules_and_they_do_what_they_should(
    tmp_path: Path,
) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: it comes with the Debian package prometheus")
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text("utf-8"))
    groups = yaml.safe_dump({"groups": rules["spec"]["groups"]})
    (tmp_path / "rules.groups.yaml").write_text(groups, "utf-8")
    shutil.copy(MONITORING / "rules_test.yaml", tmp_path)
    for command in (["check", "rules", "rules.groups.yaml"], ["test", "rules", "rules_test.yaml"]):
        done = subprocess.run(
            [promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tested = yaml.safe_load((MONITORING / "rules_test.yaml").read_text("utf-8"))["tests"]
    named = {case["alertname"] for test in tested for case in test["alert_rule_test"]}
    assert named == {rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"]}
