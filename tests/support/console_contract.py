"""The OpenAPI document of the console, for tests that hold both of its sides against it."""

import json
import re
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.paths import ROOT

CONTRACT: dict[str, Any] = json.loads(
    (ROOT / "shards/ops/console/openapi.json").read_text(encoding="utf-8")
)


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The operation of a request, or None if the contract has none."""
    for pattern, operations in CONTRACT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path):
            found: dict[str, Any] | None = operations.get(method.lower())
            return found
    return None


def undocumented(method: str, path: str, parameters: list[str]) -> list[str]:
    """What of a request is not in the contract."""
    operation = operation_of(method, path)
    if operation is None:
        return [f"not in the contract: {method} {path}"]
    known = {_resolve(one)["name"] for one in operation.get("parameters", ())}
    return [f"no parameter of {path}: {name}" for name in parameters if name not in known]


def faults_of(method: str, path: str, status: int, document: object) -> list[str]:
    """Where an answer differs from the contract."""
    operation = operation_of(method, path)
    if operation is None or str(status) not in operation["responses"]:
        return [f"not in the contract: {method} {path} with status {status}"]
    schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": CONTRACT["components"]})
    return [
        f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(document)
    ]


def _resolve(value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    target: dict[str, Any] = CONTRACT
    for part in value["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return target
