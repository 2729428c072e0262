"""The mock of the console answers as the contract says, and the libraries are those of the list."""

import hashlib
import json
import urllib.error
import urllib.request

import pytest

from tests.support.console_contract import CONTRACT, faults_of
from tests.support.console_mock import STATIC, MockConsole, run_mock

MOCK = MockConsole(30)
ALARM = MOCK.alarms[0]["alarm"]["id"]
PATHS = (
    "session",
    "alarms?limit=5",
    "alarm-groups?by=directive",
    "alarm-groups?by=source",
    "alarm-timeline",
    f"alarms/{ALARM}",
    f"alarms/{ALARM}/events?limit=3",
    "alarms/none",
    "backlogs?sort=age",
    "directives",
    "directives/1001",
    "recent-events",
    "flow",
    "flow-history?parts=24",
    "config",
)


@pytest.mark.parametrize("path", PATHS)
def test_mock_answers_as_the_contract_says(path: str) -> None:
    with run_mock(MOCK) as url:
        try:
            with urllib.request.urlopen(f"{url}/api/v1/{path}") as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, error.read()
    plain = f"/api/v1/{path}".partition("?")[0]
    assert faults_of("GET", plain, status, json.loads(body)) == []


def test_every_get_of_the_contract_is_asked() -> None:
    asked = {f"/api/v1/{path.partition('?')[0].replace(ALARM, '{id}')}" for path in PATHS}
    asked = {path.replace("1001", "{id}") for path in asked} | {
        "/api/v1/events",
    }
    gets = {path for path, operations in CONTRACT["paths"].items() if "get" in operations}
    assert gets <= asked


def test_libraries_are_those_of_the_list() -> None:
    vendor = STATIC / "vendor"
    libraries = json.loads((vendor / "libraries.json").read_text())
    listed = {name: file["sha256"] for one in libraries for name, file in one["files"].items()}
    there = {path.name: path for path in vendor.iterdir() if path.name != "libraries.json"}
    assert {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in there.items()
    } == (listed)
    for library in libraries:
        assert f"LICENSE.{library['name']}.txt" in library["files"]


def test_page_has_no_inline_script_or_style_and_names_no_other_host() -> None:
    index = (STATIC / "index.html").read_text()
    assert "style=" not in index
    assert "<style" not in index
    assert index.count("<script") == index.count("<script src=") + index.count(
        '<script type="module" src='
    )
    for path in STATIC.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert "innerHTML" not in text, path
        assert "dangerouslySetInnerHTML" not in text, path
        assert "://" not in text.replace("^https?:\\/\\/", ""), path
