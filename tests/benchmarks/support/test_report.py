"""The command line of the benchmarks, and their JSON files."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.support import report
from benchmarks.support.measure import Figure

MET = Figure("one", "fast enough", 1.0, "µs", 2.0)
MISSED = Figure("two", "too slow", 3.0, "µs", 2.0)
SECTIONS = {"one": lambda quick: [MET], "two": lambda quick: [MISSED]}


def run(
    monkeypatch: pytest.MonkeyPatch, path: Path, *options: str, usual: tuple[str, ...] = ()
) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the figures in the JSON file."""
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: None)
    monkeypatch.setattr("sys.argv", ["bench.py", "--json", str(path), *options])
    code = report.run("about", "title", "bench", SECTIONS, usual=usual)
    return code, msgspec.json.decode(path.read_bytes())["figures"]


def test_a_missed_target_fails_unless_the_run_is_quick(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "figures.json"
    assert run(monkeypatch, path)[0] == 1
    assert run(monkeypatch, path, "--quick")[0] == 0
    assert run(monkeypatch, path, "--only", "one")[0] == 0


def test_only_the_usual_sections_run_unless_others_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "figures.json"
    _, figures = run(monkeypatch, path, usual=("one",))
    assert [figure["name"] for figure in figures] == ["fast enough"]
    _, figures = run(monkeypatch, path, "--only", "two", usual=("one",))
    assert [figure["name"] for figure in figures] == ["too slow"]


def test_a_figure_in_the_file_says_whether_its_target_is_met(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figures.json"
    report.save([MET, MISSED], path, versions={"ours": "1"})
    document = msgspec.json.decode(path.read_bytes())
    assert [figure["met"] for figure in document["figures"]] == [True, False]
    assert document["versions"] == {"ours": "1"}
    assert {"date", "machine", "cores", "python", "commit"} <= document.keys()


def test_the_table_has_verdicts_only_if_judged(capsys: pytest.CaptureFixture[str]) -> None:
    report.show([MET, MISSED], "title")
    assert "NOT MET" in capsys.readouterr().out
    report.show([MET, MISSED], "title", judged=False)
    assert "NOT MET" not in capsys.readouterr().out
