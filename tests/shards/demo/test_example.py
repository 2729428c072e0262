"""The example: its files and events are valid, and each of its directives raises its alarm."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cli
from tests.support.paths import EXAMPLE, ROOT

CONFIGS = EXAMPLE / "configs"
EVENTS = EXAMPLE / "events.ndjson.gz"
DIRECTIVES: list[dict[str, Any]] = json.loads(
    (CONFIGS / "directives_example.json").read_text("utf-8")
)["directives"]


pytestmark = pytest.mark.usefixtures("clean_process")


def replay(logs: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    folders = ("--config-dir", str(CONFIGS), "--log-dir", str(logs))
    assert cli.main(["replay", *folders, "--format", "json", str(EVENTS)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    document: dict[str, Any] = json.loads(out)
    return document


def test_it_validates_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate", str(CONFIGS)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"4 files, {len(DIRECTIVES)} directives, ")
    assert err.endswith(": 0 faults, 0 warnings, 0 lints\n")
    assert len(DIRECTIVES) >= 10


def test_it_replays_with_nothing_invalid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = replay(tmp_path, capsys)
    events, deliveries = document["ledger"]["events"], document["ledger"]["deliveries"]
    assert document["adds_up"] is True
    assert events["received"] >= 5000
    assert events["invalid"] == deliveries["invalid"] == events["dropped"] == {}
    assert events["whitelisted"] > 0
    assert events["unmatched"] > events["routed"] / 2  # there is noise around the attacks


def test_every_directive_raises_an_alarm_with_all_stages_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(tmp_path, capsys)
    lines = (tmp_path / "siem_alarms.json").read_text("utf-8").splitlines()
    finished = {
        alarm["rules"][0]["name"]
        for alarm in map(json.loads, lines)
        if all(record.get("status") == "finished" for record in alarm["rules"])
    }
    id_of = {directive["rules"][0]["name"]: directive["id"] for directive in DIRECTIVES}
    assert len(id_of) == len(DIRECTIVES), "the first rule's name tells the directives apart"
    assert {id_of[name] for name in finished} == {directive["id"] for directive in DIRECTIVES}


def test_its_events_are_what_its_script_writes() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "shards.demo.make_events", "--out", "-"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert made.stdout == gzip.decompress(EVENTS.read_bytes())
