"""The examples of directives, events and alarms in the documents give the alarms that they show."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cli
from tests.support.pages import FENCE, read_page

PAGES_WITH_EXAMPLES = ("behaviour.md", "directives.md", "migrating.md")

pytestmark = pytest.mark.usefixtures("clean_process")


class Example(NamedTuple):
    """Assets, directives, events, and the alarms that they lead to."""

    page: str
    assets: str
    directives: str
    events: str
    alarms: list[str]


def examples() -> Iterator[Example]:
    """Each block `alarms`, with the last blocks `json assets`, … before it on its page."""
    for page in PAGES_WITH_EXAMPLES:
        blocks: dict[str, str] = {}
        for kind, text in FENCE.findall(read_page(page)):
            blocks[kind] = text
            if kind == "alarms":
                assets, directives, events = (
                    blocks[f"json {name}"] for name in ("assets", "directives", "events")
                )
                yield Example(page, assets, directives, events, text.splitlines())


EXAMPLES = list(examples())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.page} {one.alarms[0]}")
def test_an_example_gives_the_alarms_shown(
    example: Example, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "assets_a.json").write_text(example.assets)
    (tmp_path / "directives_a.json").write_text(example.directives)
    (tmp_path / "events.ndjson").write_text(example.events)
    folders = ("--config-dir", str(tmp_path), "--log-dir", str(tmp_path / "logs"))
    assert cli.main(["validate", str(tmp_path)]) == 0
    capsys.readouterr()
    assert cli.main(["replay", *folders, "--format", "json", str(tmp_path / "events.ndjson")]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["ledger"]["events"]["invalid"] == {}
    lines = (tmp_path / "logs" / "siem_alarms.json").read_text().splitlines()
    last = {alarm["alarm_id"]: alarm for alarm in map(json.loads, lines)}
    assert [described(alarm) for alarm in last.values()] == example.alarms


def described(alarm: dict[str, Any]) -> str:
    """An alarm as the documents show it."""
    states = ", ".join(rule.get("status", "-") for rule in alarm["rules"])
    return f"{alarm['risk']} {alarm['risk_class']}, {alarm['title']}: {states}"


def test_each_of_these_pages_has_an_example() -> None:
    assert {example.page for example in EXAMPLES} == set(PAGES_WITH_EXAMPLES)
