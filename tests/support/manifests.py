"""Kubernetes objects as kustomize makes them, and what tests look up in them."""

import shutil
import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from tests.support.paths import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
MONITORING = KUBERNETES / "components" / "monitoring"
OVERLAYS = ("single", "cluster", "stream")
UNKNOWN_KINDS = ("ServiceMonitor", "PrometheusRule")
"""Of the Prometheus operator: Kubernetes itself has no schema of them."""
_KUBECTL = Path(sys.executable).with_name("kubectl")
_VERSION = "1.31"
"""Of Kubernetes, whose schemas are used."""
Object = dict[str, Any]


def rendered(folder: Path) -> list[Object]:
    """All objects of a kustomization."""
    done = subprocess.run([_KUBECTL, "kustomize", folder], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return objects_in(done.stdout)


def objects_in(text: bytes) -> list[Object]:
    """The objects of a YAML stream."""
    return [document for document in yaml.safe_load_all(text) if document]


@cache
def _rendered_overlay(overlay: str) -> list[Object]:
    return rendered(KUBERNETES / "overlays" / overlay)


def objects_of(overlay: str) -> list[Object]:
    """All objects of an overlay as it is in the checkout, which is rendered once."""
    return deepcopy(_rendered_overlay(overlay))


def with_monitoring(folder: Path, overlay: str) -> Path:
    """A copy in which the component is turned on, as the comment in the overlay says."""
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    file = folder / "kubernetes" / "overlays" / overlay / "kustomization.yaml"
    text = file.read_text("utf-8")
    assert "# components:\n#   - ../../components/monitoring\n" in text
    file.write_text(text.replace("# components:\n#   -", "components:\n  -"), "utf-8")
    return file.parent


def validate(one: Object) -> None:
    """Check an object against the schema of its kind. ValidationError; unknown kinds pass."""
    if one["kind"] not in UNKNOWN_KINDS:
        kubernetes_validate.validate(one, _VERSION, strict=True)


def of_kind(objects: list[Object], kind: str, name: str = "dsiem-backend") -> Object:
    """The only object of this kind and name."""
    [found] = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def backend(objects: list[Object]) -> Object:
    """The container of the backend."""
    spec = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]
    [container] = [c for c in spec["containers"] if c["name"] == "backend"]
    return dict(container)


def environment(container: Object) -> dict[str, str]:
    """The variables of a container; the value of one from a Secret is `x`."""
    return {variable["name"]: variable.get("value", "x") for variable in container["env"]}
