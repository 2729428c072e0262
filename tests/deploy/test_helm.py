"""The Helm chart: linted, valid, and the same objects as the kustomize overlays."""

import json
import re
import runpy
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from shards.ops.console.console import API, is_console_path
from tests.support.manifests import (
    KUBERNETES,
    OVERLAYS,
    UNKNOWN_KINDS,
    Object,
    backend,
    environment,
    objects_in,
    of_kind,
    rendered,
    validate,
    with_monitoring,
)
from tests.support.pages import FENCE
from tests.support.paths import ROOT

HELM = shutil.which("helm") or ""
CHART = ROOT / "deploy" / "helm" / "dsiem-shards"
README = CHART / "README.md"
OF_HELM = ("instance", "managed-by", "version")
"""Labels that kustomize does not set, below app.kubernetes.io/."""
CONSOLES: Object = {
    "replicas": 2,
    "ingress": {"enabled": True, "hosts": ["a.example", "b.example"], "tlsSecret": "tls"},
}
EVERYTHING: Object = CONSOLES | {
    "fullnameOverride": "siem",
    "imagePullSecrets": [{"name": "registry"}],
    "extraEnv": [{"name": "DSIEM_NATS_CREDS", "value": "/etc/nats/nats.creds"}],
    "extraVolumes": [{"name": "creds", "secret": {"secretName": "nats"}}],
    "extraVolumeMounts": [{"name": "creds", "mountPath": "/etc/nats"}],
    "persistence": {"storageClass": "fast"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "siem", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podAnnotations": {"a": "b"},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    },
}
NOTHING: Object = {
    "nats": {"enabled": False, "url": "tls://nats.example:4333"},
    "frontend": "https://frontend",
    "token": {"existingSecret": ""},
    "topologySpreadConstraints": [],
    **{part: {"enabled": False} for part in ("filebeat", "networkPolicy", "podDisruptionBudget")},
}

pytestmark = pytest.mark.integration  # helm renders the chart, in a process
needs_helm = pytest.mark.skipif(not HELM, reason="helm is not here: .ci/run downloads one")


def helm(*arguments: str | Path, values: Object | None = None) -> tuple[int, str, str]:
    """Run Helm at the top of the checkout: exit code, output, errors."""
    done = subprocess.run(
        [HELM, *arguments, *(() if values is None else ("--values", "-"))],
        input=json.dumps(values),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def template(values: Object) -> tuple[int, str, str]:
    """Render a release `dsiem`."""
    return helm("template", "dsiem", CHART, "--kube-version", "1.31", values=values)


def made_by_chart(values: Object) -> list[Object]:
    code, text, errors = template(values)
    assert code == 0, errors
    return objects_in(text.encode())


def values_of(overlay: str) -> Object:
    """The values that stand for an overlay with monitoring."""
    values = dict(yaml.safe_load((CHART / "ci" / f"{overlay}-values.yaml").read_text("utf-8")))
    if overlay == "single":
        files = (KUBERNETES / "overlays" / "single").glob("*.json")
        values["standalone"] = {"configs": {file.name: file.read_text("utf-8") for file in files}}
    return values


def comparable(objects: list[Object]) -> dict[str, Object]:
    """Objects by kind and name, without what differs on purpose between Helm and kustomize."""
    found = [_without_differences(one) for one in objects]
    for one in found:
        # The overlays label only the objects of their bases.
        one["metadata"].get("labels", {}).pop("app.kubernetes.io/name", None)
        if not one["metadata"].get("labels"):
            one["metadata"].pop("labels", None)
        if one["kind"] == "ConfigMap":
            one["metadata"]["name"] = _config_map_name(one["metadata"]["name"])
    return {f"{one['kind']} {one['metadata']['name']}": one for one in found}


def _without_differences(part: Object) -> Object:
    left_out = {"helm.sh/chart", "annotations", *(f"app.kubernetes.io/{one}" for one in OF_HELM)}
    if "summary" in part.get("annotations", {}):  # of an alert; others are checksums
        left_out.remove("annotations")
    return {key: _comparable(key, value) for key, value in part.items() if key not in left_out}


def _comparable(key: str, value: object) -> object:
    if isinstance(value, list):
        items = [_comparable("", item) for item in value]
        is_set = isinstance(value[0], dict)
        return sorted(items, key=lambda one: json.dumps(one, sort_keys=True)) if is_set else items
    if not isinstance(value, dict):
        return value
    made = _without_differences(value)
    return made | {"name": _config_map_name(made["name"])} if key == "configMap" else made


def _config_map_name(name: str) -> str:
    """Without the prefix of a release, and the hash that kustomize adds."""
    return re.sub(r"^dsiem-|-[2-9b-t]{10}$", "", name)


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@needs_helm
def test_helm_has_nothing_against_the_chart(overlay: str) -> None:
    code, text, errors = helm("lint", "--strict", CHART, values=values_of(overlay))
    assert (code, "[WARNING]" in text) == (0, False), text + errors


@needs_helm
def test_it_makes_the_objects_of_the_overlay(overlay: str, tmp_path: Path) -> None:
    made = comparable(made_by_chart(values_of(overlay)))
    wanted = comparable(rendered(with_monitoring(tmp_path, overlay)))
    assert made.keys() == wanted.keys()
    for name, one in wanted.items():
        assert made[name] == one


@needs_helm
@pytest.mark.parametrize("values", [EVERYTHING, NOTHING], ids=["everything", "nothing"])
def test_every_object_is_valid_and_has_the_labels_of_its_release(values: Object) -> None:
    made = made_by_chart(values)
    for one in made:
        validate(one)
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "dsiem"
        assert one["metadata"]["name"].startswith(values.get("fullnameOverride", "dsiem") + "-")
    kinds = {one["kind"] for one in made}
    if values is EVERYTHING:
        assert {"Ingress", "ConfigMap", "PodDisruptionBudget", *UNKNOWN_KINDS} <= kinds
        assert len({(one["kind"], one["metadata"]["name"]) for one in made}) == len(made)
    else:
        assert kinds == {"StatefulSet", "Service"}


@needs_helm
def test_each_pod_has_a_console_of_its_own_at_its_host_name() -> None:
    made = made_by_chart(CONSOLES)
    ingress = of_kind(made, "Ingress", "dsiem-console")["spec"]
    assert ingress["tls"] == [{"hosts": ["a.example", "b.example"], "secretName": "tls"}]
    for number, rule in enumerate(ingress["rules"]):
        assert rule["host"] == CONSOLES["ingress"]["hosts"][number]
        services = {path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
        assert services == {f"dsiem-console-{number}"}
        service = of_kind(made, "Service", f"dsiem-console-{number}")["spec"]
        pod = service["selector"]["statefulset.kubernetes.io/pod-name"]
        assert pod == f"dsiem-backend-{number}"
        assert service["ports"][0]["name"] != "ops"  # which Prometheus would scrape once more


@needs_helm
def test_an_ingress_passes_on_the_console_and_nothing_else() -> None:
    made = made_by_chart(CONSOLES)
    rules = of_kind(made, "Ingress", "dsiem-console")["spec"]["rules"]
    paths = {path["path"]: path["pathType"] for path in rules[0]["http"]["paths"]}
    assert paths == {"/": "Exact", "/console": "Prefix", API.removesuffix("/"): "Prefix"}
    assert all(is_console_path(path.rstrip("/") + "/") for path in paths)
    policy = of_kind(made, "NetworkPolicy", "dsiem-backend-ingress")["spec"]["ingress"]
    labels = {"kubernetes.io/metadata.name": "ingress-nginx"}
    assert policy[0]["from"] == [{"namespaceSelector": {"matchLabels": labels}}]


@needs_helm
@pytest.mark.parametrize("values", [{}, CONSOLES], ids=["without", "with"])
def test_only_with_an_ingress_a_cluster_backend_needs_the_token(values: Object) -> None:
    made = backend(made_by_chart(values))["env"]
    [token] = [one["valueFrom"] for one in made if one["name"] == "DSIEM_API_TOKEN"]
    wanted = {"name": "dsiem-api", "key": "token"} | ({} if values else {"optional": True})
    assert token == {"secretKeyRef": wanted}


@needs_helm
def test_it_connects_to_the_nats_server_that_there_is() -> None:
    made = made_by_chart(NOTHING | {"networkPolicy": {"enabled": True}})
    variables = environment(backend(made))
    assert variables["DSIEM_MSQ"] == "tls://nats.example:4333"
    assert "DSIEM_NATS_MONITOR" not in variables
    [nats, frontend] = of_kind(made, "NetworkPolicy", "dsiem-backend-cluster")["spec"]["egress"]
    assert nats == {"ports": [{"protocol": "TCP", "port": 4333}]}
    assert frontend["ports"] == [{"protocol": "TCP", "port": 443}]


@needs_helm
def test_the_policy_lets_out_to_each_server_and_to_the_port_of_a_url_with_a_path() -> None:
    servers = "nats://user:pass@a,nats://b:4333,nats://c:4333,wss://d"
    values = NOTHING | {"networkPolicy": {"enabled": True}, "frontend": "http://f:8080/dsiem:9"}
    made = made_by_chart(values | {"nats": {"enabled": False, "url": servers}})
    [nats, frontend] = of_kind(made, "NetworkPolicy", "dsiem-backend-cluster")["spec"]["egress"]
    assert [one["port"] for one in nats["ports"]] == [4222, 4333, 443]
    assert [one["port"] for one in frontend["ports"]] == [8080]


@needs_helm
def test_texts_that_look_like_numbers_stay_texts() -> None:
    made = made_by_chart(
        {"node": "1", "token": {"existingSecret": "2", "key": "3"}}
        | {"persistence": {"storageClass": "4"}}
        | {"metrics": {"namespace": "5", "serviceMonitor": {"enabled": True}}}
    )
    for one in made:
        validate(one)
    assert environment(backend(made))["DSIEM_NODE"] == "1"


@needs_helm
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replica": 3}, "replica"),
        ({"mode": "cluster-frontend"}, "mode"),
        ({"workers": 201}, "workers"),
        ({"standalone": {"configs": {"a.json": 1}}}, "a.json"),
        ({"mode": "standalone"}, "needs its configuration files"),
        ({"mode": "standalone", "replicas": 2}, "a standalone backend is one pod"),
        (CONSOLES | {"replicas": 3}, "2 host names for 3 pods"),
        (CONSOLES | {"token": {"existingSecret": ""}}, "need a Secret with the token"),
        ({"nats": {"enabled": False}}, "either the NATS server of the chart or the URL"),
        ({"nats": {"enabled": False, "url": "nats://a,b"}}, "nats.url"),
        ({"nats": {"enabled": False, "url": "nats://a, nats://b"}}, "nats.url"),
        ({"fullnameOverride": "Big_Name"}, "fullnameOverride"),
        ({"memory": "2ki"}, "memory"),
        ({"extraEnv": [{"name": "DSIEM_FRONTEND_POLL", "value": 60}]}, "extraEnv.0.value"),
        ({"nats": {"url": "nats://other:4222"}}, "either the NATS server of the chart or the URL"),
    ],
    ids=str,
)
def test_values_that_cannot_work_are_refused(values: Object, says: str) -> None:
    code, _, errors = template(values)
    assert (code, says in errors) == (1, True), errors


@needs_helm
def test_the_commands_and_values_of_the_readme_work(tmp_path: Path) -> None:
    """Without a cluster: `helm template` in place of `helm install` and `helm upgrade`."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    blocks = FENCE.findall(README.read_text("utf-8"))
    examples = [yaml.safe_load(text) for kind, text in blocks if kind == "yaml"]
    assert examples
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(examples[0]), "utf-8")
    ran = set()
    for line in commands(text for kind, text in blocks if not kind):
        _, verb, *rest = shlex.split(line, comments=True)
        ran.add(verb)
        words = ["template", "--kube-version", "1.31"] if verb in ("install", "upgrade") else [verb]
        done = subprocess.run([HELM, *words, *rest], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, line + done.stderr.decode()
    assert ran == {"install", "upgrade", "package", "show"}
    for values in examples[1:]:
        assert made_by_chart(values)
    assert_is_whole(tmp_path / "build" / "dsiem-shards-0.1.0.tgz")


def commands(texts: Iterator[str]) -> Iterator[str]:
    """Each command of Helm in blocks of code."""
    for text in texts:
        lines = text.replace("\\\n", " ").splitlines()
        yield from (line for line in lines if line.startswith("helm "))


def assert_is_whole(package: Path) -> None:
    """A package has files in place of the links, and no values for tests."""
    with tarfile.open(package) as archive:
        assert all(member.isfile() for member in archive)
        names = {member.name.removeprefix("dsiem-shards/") for member in archive}
    assert {file.name for file in (CHART / "files").iterdir()} == {
        Path(name).name for name in names if name.startswith("files/")
    }
    assert {"README.md", "values.schema.json", "templates/NOTES.txt"} <= names
    assert not [name for name in names if name.startswith("ci/")]


def test_the_readme_has_every_value_with_what_it_means() -> None:
    script = runpy.run_path(str(ROOT / "deploy" / "helm" / "readme.py"))
    page = README.read_text("utf-8")
    assert script["with_table"](page) == page
    assert [one.path for one in script["read_values"]() if not one.text] == []


def test_the_schema_has_the_values_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    del schema["properties"]["global"]  # of Helm, for a chart within another one
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert set(paths_in_schema(schema)) == set(paths_in(values, set(paths_in_schema(schema))))


def paths_in_schema(schema: Object, path: str = "") -> Iterator[str]:
    if "properties" not in schema:
        yield path
        return
    assert schema["additionalProperties"] is False
    for name, part in schema["properties"].items():
        yield from paths_in_schema(part, f"{path}.{name}")


def paths_in(value: object, leaves: set[str], path: str = "") -> Iterator[str]:
    if path in leaves or not isinstance(value, dict):
        yield path
        return
    for name, part in value.items():
        yield from paths_in(part, leaves, f"{path}.{name}")


def test_artifact_hub_is_told_of_the_images() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    images = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    wanted = {name: values[name]["image"] for name in ("nats", "filebeat")}
    assert {one["name"]: one["image"] for one in images} == wanted
