"""`validate --watch` as a process: changes, links that are replaced, and its end."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.commands import watched_paths
from tests.support.invalid_config.build import GOOD_ASSETS, directive, directives
from tests.support.paths import ROOT

pytestmark = pytest.mark.integration

GOOD = directives(directive())
FAULTY = directives(directive(priority="9"))
SECONDS = 30
"""Time limit for a result; it usually takes a tenth of a second."""


class Watch:
    """The process, and its lines as they come."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "validate", "--watch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line.rstrip("\n"))

    def result(self) -> list[str]:
        """The lines of the next result, behind the one with the time, up to the totals."""
        lines = [self._lines.get(timeout=SECONDS)]
        assert lines[0].startswith("--- ")
        assert lines[0].endswith(" ---")
        while not (re.search(r" faults?, ", lines[-1]) or lines[-1] == "}"):
            lines.append(self._lines.get(timeout=SECONDS))
        return lines[1:]

    def interrupt(self) -> int:
        """End it as Ctrl-C does; returns its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS)

    def has_more(self) -> bool:
        """Whether there is a line that was not expected, once the process has ended."""
        return not self._lines.empty()


@pytest.fixture
def started() -> Iterator[list[Watch]]:
    """The processes of a test, which are ended after it."""
    processes: list[Watch] = []
    yield processes
    for one in processes:
        one.process.kill()
        one.process.wait(SECONDS)
        if one.process.stdout is not None:
            one.process.stdout.close()


def watch(started: list[Watch], *paths: Path) -> Watch:
    started.append(Watch(*map(str, paths)))
    return started[-1]


def folder_with(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "assets_a.json").write_text(GOOD_ASSETS)
    (folder / "directives_a.json").write_text(text)
    return folder


def replace_file(path: Path, text: str) -> None:
    """As editors save a file: a new one takes its name."""
    new = path.with_name("new.tmp")
    new.write_text(text)
    new.replace(path)


def replace_link(link: Path, target: str) -> None:
    new = link.with_name("new.tmp")
    new.symlink_to(target)
    new.replace(link)


def test_a_file_is_checked_again_when_it_is_written_replaced_or_removed(
    tmp_path: Path, started: list[Watch]
) -> None:
    file = tmp_path / "directives_a.json"
    file.write_text(GOOD)
    run = watch(started, file)
    assert run.result()[-1].startswith("1 file, 1 directive")
    replace_file(file, FAULTY)
    assert ": error out-of-range: " in run.result()[0]
    file.unlink()
    assert run.result()[0].endswith("cannot be read: No such file or directory")
    replace_file(file, GOOD)
    assert len(run.result()) == 1
    file.write_text(FAULTY * 2)
    assert ": error bad-json: " in run.result()[0]
    assert run.interrupt() == 1


def test_a_folder_is_checked_again_when_files_come_and_go(
    tmp_path: Path, started: list[Watch]
) -> None:
    folder = folder_with(tmp_path / "c", GOOD)
    run = watch(started, folder)
    assert len(run.result()) == 1
    replace_file(folder / "directives_b.json", directives(directive(id="8", priority="9")))
    assert len(run.result()) == 2
    (folder / "directives_b.json").unlink()
    assert len(run.result()) == 1
    assert run.interrupt() == 0
    assert not run.has_more()


def test_a_folder_that_is_removed_and_comes_back(tmp_path: Path, started: list[Watch]) -> None:
    folder = folder_with(tmp_path / "c", GOOD)
    run = watch(started, folder)
    assert len(run.result()) == 1
    folder.rename(tmp_path / "away")
    assert "cannot be read" in run.result()[0]
    (tmp_path / "away").rename(folder)
    assert len(run.result()) == 1
    assert run.interrupt() == 0


def test_a_folder_that_kubernetes_replaces(tmp_path: Path, started: list[Watch]) -> None:
    """A ConfigMap: files are links into `..data`, a link to a folder that is replaced."""
    mount = tmp_path / "mount"
    mount.mkdir()
    folder_with(mount / "..1", GOOD)
    folder_with(mount / "..2", FAULTY)
    (mount / "..data").symlink_to("..1")
    for name in ("assets_a.json", "directives_a.json"):
        (mount / name).symlink_to(f"..data/{name}")
    run = watch(started, mount)
    assert len(run.result()) == 1
    replace_link(mount / "..data", "..2")
    assert ": error out-of-range: " in run.result()[0]
    assert run.interrupt() == 1


def test_a_folder_behind_links_that_are_replaced(tmp_path: Path, started: list[Watch]) -> None:
    folder_with(tmp_path / "one", GOOD)
    folder_with(tmp_path / "two", FAULTY)
    (tmp_path / "current").symlink_to("one")
    (tmp_path / "way").symlink_to("current")
    run = watch(started, tmp_path / "way")
    assert len(run.result()) == 1
    replace_link(tmp_path / "current", "two")
    assert ": error out-of-range: " in run.result()[0]
    replace_file(tmp_path / "two" / "directives_a.json", GOOD)
    assert len(run.result()) == 1
    assert run.interrupt() == 0


def test_a_loop_of_links_is_unreadable_and_harmless(tmp_path: Path, started: list[Watch]) -> None:
    (tmp_path / "a.json").symlink_to("b.json")
    (tmp_path / "b.json").symlink_to("a.json")
    run = watch(started, tmp_path / "a.json")
    assert "cannot be read" in run.result()[0]
    replace_file(tmp_path / "b.json", GOOD)
    assert len(run.result()) == 1
    assert run.interrupt() == 0


def test_a_path_that_cannot_be_asked_for_is_watched_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = iter([0, 0, 1, 1])
    monkeypatch.setattr(watched_paths, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(watched_paths, "_state_of_all", lambda _: next(states))
    changes = watched_paths.changes_of([Path("x" * 300)])
    next(changes), next(changes)


def test_other_files_in_a_folder_wake_nobody(tmp_path: Path, started: list[Watch]) -> None:
    folder = folder_with(tmp_path / "c", GOOD)
    run = watch(started, folder)
    run.result()
    (folder / "notes.txt").write_text("x")
    replace_file(folder / "directives_a.json", FAULTY)
    assert len(run.result()) == 2
    assert run.interrupt() == 1
    assert not run.has_more()


def test_formats_of_programs_are_watched_too(tmp_path: Path, started: list[Watch]) -> None:
    file = tmp_path / "directives_a.json"
    file.write_text(GOOD)
    started.append(run := Watch("--format", "github", str(file)))
    assert len(run.result()) == 1
    replace_file(file, FAULTY)
    assert run.result()[0].startswith(f"::error file={file},line=")
    assert run.interrupt() == 1


def test_json_is_one_document_for_each_check(tmp_path: Path, started: list[Watch]) -> None:
    file = tmp_path / "directives_a.json"
    file.write_text(FAULTY)
    started.append(run := Watch("--format", "json", str(file)))
    assert json.loads("".join(run.result()))["faults"] == 1
    assert run.interrupt() == 1
