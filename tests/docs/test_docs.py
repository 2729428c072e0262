"""The documents: examples run, tables are those of the code, links lead somewhere."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cli
from engine.directives.directive import DIRECTIVE_FIELDS
from engine.directives.json_document import FieldTable
from engine.directives.rule_schema import RULE_FIELDS
from shards import ledger
from shards.settings.settings import SETTINGS_TABLE
from tests.support.pages import DOCS, FENCE, pages
from tests.support.paths import ROOT

WITH_EXAMPLES = ("behaviour.md", "directives.md", "migrating.md")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_INVALID = ("bad_json", "bad_type", "missing_field", "bad_timestamp", "bad_address", "too_large")


pytestmark = pytest.mark.usefixtures("clean_process")


class Example(NamedTuple):
    """Directives, events, and the alarms in the end."""

    page: str
    assets: str
    directives: str
    events: str
    alarms: list[str]


def examples() -> Iterator[Example]:
    for page in WITH_EXAMPLES:
        blocks: dict[str, str] = {}
        for kind, text in FENCE.findall((DOCS / page).read_text("utf-8")):
            blocks[kind] = text
            if kind == "alarms":
                assets, directives, events = (
                    blocks[f"json {name}"] for name in ("assets", "directives", "events")
                )
                yield Example(page, assets, directives, events, text.splitlines())


EXAMPLES = list(examples())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.page} {one.alarms[0]}")
def test_an_example_does_what_it_says(
    example: Example, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "assets_a.json").write_text(example.assets)
    (tmp_path / "directives_a.json").write_text(example.directives)
    (tmp_path / "events.ndjson").write_text(example.events)
    folders = ("--config-dir", str(tmp_path), "--log-dir", str(tmp_path / "logs"))
    assert cli.main(["validate", str(tmp_path)]) == 0
    assert cli.main(["replay", *folders, "--format", "json", str(tmp_path / "events.ndjson")]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["ledger"]["events"]["invalid"] == {}
    lines = (tmp_path / "logs" / "siem_alarms.json").read_text().splitlines()
    last = {alarm["alarm_id"]: alarm for alarm in map(json.loads, lines)}
    assert [told(alarm) for alarm in last.values()] == example.alarms


def told(alarm: dict[str, Any]) -> str:
    states = ", ".join(rule.get("status", "-") for rule in alarm["rules"])
    return f"{alarm['risk']} {alarm['risk_class']}, {alarm['title']}: {states}"


def test_there_are_examples_on_each_page() -> None:
    assert {example.page for example in EXAMPLES} == set(WITH_EXAMPLES)


def fields_told(text: str) -> list[str]:
    """The first column of each table whose head has `field`."""
    tables = re.findall(r"^\| field \|.*\n\| ---.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [name for table in tables for name in re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)]


def names(table: FieldTable) -> set[str]:
    values, findings = table.read({})
    return {*values, *(finding.field for finding in findings)}


def test_the_fields_are_those_of_the_code() -> None:
    fields = fields_told((DOCS / "behaviour.md").read_text("utf-8"))
    directive = fields[: len(names(DIRECTIVE_FIELDS))]
    rule = fields[len(directive) :]
    assert set(directive) == names(DIRECTIVE_FIELDS)
    assert set(rule) == names(RULE_FIELDS)
    assert len(fields) == len(directive) + len(set(rule))


def test_the_reasons_and_the_ledger_are_those_of_the_code() -> None:
    text = (DOCS / "behaviour.md").read_text("utf-8")
    assert re.findall(r"^\| `(bad_\w+|missing_\w+|too_\w+)` \|", text, re.MULTILINE) == [*_INVALID]
    engine = (ROOT / "engine" / "event.py").read_text("utf-8")
    assert set(re.findall(r'InvalidEvent\(\s*"(\w+)"', engine)) == set(_INVALID)
    for name in (*ledger.OUTCOMES, *ledger.BACKLOGS, "elsewhere", "rolled_back"):
        assert name in text


def test_the_settings_are_those_of_the_code() -> None:
    made = runpy.run_path(str(DOCS / "configure.py"))
    assert made["FILE"].read_text("utf-8") == made["text"]()


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as they are made of them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    for link in _LINK.findall(text):
        place, _, anchor = link.partition("#")
        if place.startswith(("http:", "https:")):
            continue
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_program_knows_every_variable_that_is_named(page: Path) -> None:
    known = {row.env for row in SETTINGS_TABLE.values()} | {"DSIEM_SETTINGS"}
    not_ours = {"DSIEM_APM", "DSIEM_PPROF", "DSIEM_WEBSOCKET", "DSIEM_ESURL", "DSIEM_KBNURL"}
    found = set(re.findall(r"\bDSIEM_[A-Z][A-Z_]+\b", page.read_text("utf-8")))
    assert found - known - not_ours == set()
