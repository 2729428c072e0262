"""The downloaded files of a config folder: after any fault, one complete set."""

import errno
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from engine.errors import Finding
from shards.config.config_files import FilesByKind
from shards.config.downloaded_files import (
    FAULTY_FOLDER,
    MANIFEST,
    PROBLEMS,
    DownloadedFiles,
    FaultyConfigError,
)
from shards.config.problem import Problem, ProblemList

A, B, C = "assets_a.json", "assets_b.json", "directives_c.json"
URL = "http://frontend:8080"
OLD = {A: b"old a", B: b"old b"}
NEW = {A: b"new a", C: b"new c"}


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk keeps without power is not tested here, and would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def no_problems(files: FilesByKind) -> ProblemList:  # noqa: ARG001 - a check
    return ProblemList()


def exchange(folder: Path, files: dict[str, bytes]) -> bool:
    """What a start does that finds the frontend well; whether the files are new."""
    downloaded = DownloadedFiles(folder)
    downloaded.recover()
    return downloaded.replace(iter(files.items()), URL, no_problems)


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder, except the manifest; a folder in it is a mistake."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def manifest(folder: Path) -> set[str]:
    return set(json.loads((folder / MANIFEST).read_bytes())["files"])


def test_a_set_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    assert content(tmp_path) == OLD
    exchange(tmp_path, NEW)
    assert content(tmp_path) == NEW
    assert manifest(tmp_path) == set(NEW)


def test_the_set_that_is_there_is_known_again(tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    last = DownloadedFiles(tmp_path).last_good()
    assert last is not None
    assert last.files == (A, B)
    assert last.source == URL
    assert timedelta() <= datetime.now(UTC) - last.when < timedelta(minutes=1)


def test_a_set_that_has_lost_a_file_is_no_good_one(tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    (tmp_path / B).unlink()
    assert DownloadedFiles(tmp_path).last_good() is None


def test_where_nothing_was_downloaded_there_is_no_set(tmp_path: Path) -> None:
    (tmp_path / A).write_text("{}")
    downloaded = DownloadedFiles(tmp_path)
    downloaded.recover()
    assert downloaded.last_good() is None
    assert downloaded.manual_files() == {A}


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    exchange(tmp_path / "a" / "b", OLD)
    assert content(tmp_path / "a" / "b") == OLD


def test_what_is_there_by_hand_stays(tmp_path: Path) -> None:
    own = {"assets_own.json": b"mine", "notes.txt": b"mine"}
    for name, data in own.items():
        (tmp_path / name).write_bytes(data)
    exchange(tmp_path, OLD)
    exchange(tmp_path, NEW)
    assert content(tmp_path) == NEW | own
    assert DownloadedFiles(tmp_path).manual_files() == {"assets_own.json"}


def test_a_file_by_hand_that_is_downloaded_too_counts_as_downloaded(tmp_path: Path) -> None:
    (tmp_path / B).write_text("mine")
    exchange(tmp_path, OLD)
    assert content(tmp_path) == OLD
    exchange(tmp_path, NEW)
    assert content(tmp_path) == NEW


@pytest.mark.parametrize("after", [0, 1, 2])
def test_when_getting_a_file_fails_nothing_has_changed(after: int, tmp_path: Path) -> None:
    def files() -> Iterator[tuple[str, bytes]]:
        yield from list(NEW.items())[:after]
        raise ZeroDivisionError

    exchange(tmp_path, OLD)
    downloaded = DownloadedFiles(tmp_path)
    with pytest.raises(ZeroDivisionError):
        downloaded.replace(files(), URL, no_problems)
    assert content(tmp_path) == OLD
    assert downloaded.last_good() is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\xff",
        "[]",
        '{"files": 5, "when": "2026-01-01T00:00:00Z", "source": ""}',
        '{"files": [], "when": "2026-01-01T00:00:00", "source": ""}',
        '{"files": ["../assets_k.json"], "when": "2026-01-01T00:00:00Z", "source": ""}',
        '{"files": ["assets_/../../assets_k.json"], "when": "2026-01-01T00:00:00Z", "source": ""}',
        '{"files": ["notes.txt"], "when": "2026-01-01T00:00:00Z", "source": ""}',
        '{"files": ["assets_own.json\\n"], "when": "2026-01-01T00:00:00Z", "source": ""}',
    ],
)
def test_a_manifest_that_is_none_is_warned_of_and_all_counts_as_by_hand(
    text: str, tmp_path: Path
) -> None:
    folder = tmp_path / "conf"
    own = {"assets_own.json": b"mine", "notes.txt": b"mine"}
    folder.mkdir()
    for name, data in own.items():
        (folder / name).write_bytes(data)
    (tmp_path / "assets_k.json").write_text("mine")
    (folder / MANIFEST).write_text(text, "latin-1")
    warnings: list[str] = []
    sink = logger.add(lambda message: warnings.append(str(message)), format="{message} {extra}")
    exchange(folder, OLD)
    logger.remove(sink)
    assert content(folder) == OLD | own
    assert (tmp_path / "assets_k.json").exists()
    [warning] = warnings
    assert str(folder / MANIFEST) in warning
    exchange(folder, NEW)
    assert content(folder) == NEW | own


# A set that is the same.


def test_the_same_set_again_leaves_all_files_as_they_are(tmp_path: Path) -> None:
    assert exchange(tmp_path, OLD)
    before = {name: (tmp_path / name).stat().st_ctime_ns for name in OLD}
    first = DownloadedFiles(tmp_path).last_good()
    assert not exchange(tmp_path, OLD)
    assert {name: (tmp_path / name).stat().st_ctime_ns for name in OLD} == before
    again = DownloadedFiles(tmp_path).last_good()
    assert first is not None
    assert again is not None
    assert again.when > first.when  # the time of the last download


# A faulty set.

FAULT = Finding("missing", "is missing, must be there")


def exchange_faulty(folder: Path, files: dict[str, bytes]) -> ProblemList:
    """A download of a set with a fault in the first of its files."""

    def check(found: FilesByKind) -> ProblemList:
        problems = ProblemList()
        assert problems.count(FAULT)
        problems.add(Problem(str(found["assets"][0]), 1, 1, FAULT))
        return problems

    downloaded = DownloadedFiles(folder)
    downloaded.recover()
    with pytest.raises(FaultyConfigError) as raised:
        downloaded.replace(iter(files.items()), URL, check)
    return raised.value.problems


def aside(folder: Path) -> dict[str, bytes]:
    """The files of the set that is set aside, without its problems."""
    files = content(folder / FAULTY_FOLDER)
    files.pop(PROBLEMS)
    return files


def test_a_faulty_set_is_set_aside_until_the_next_faulty_one_or_a_good_one(tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    problems = exchange_faulty(tmp_path, NEW)
    text = f"{tmp_path}/.faulty/{A}:1:1: error missing: is missing, must be there"
    assert [str(problem) for problem in problems.listed] == [text]
    assert (tmp_path / FAULTY_FOLDER / PROBLEMS).read_text() == text + "\n"
    assert aside(tmp_path) == NEW
    exchange_faulty(tmp_path, {B: b"b"})
    assert aside(tmp_path) == {B: b"b"}
    DownloadedFiles(tmp_path).recover()
    assert aside(tmp_path) == {B: b"b"}
    exchange(tmp_path, NEW)
    assert content(tmp_path) == NEW


def test_a_crash_while_a_faulty_set_is_set_aside_leaves_the_old_one(tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    exchange_faulty(tmp_path, {B: b"b"})
    for step in range(20):  # each time a step farther
        has_crashed = crashes(step, lambda: exchange_faulty(tmp_path, NEW))
        DownloadedFiles(tmp_path).recover()
        shown = {path.name for path in tmp_path.iterdir()} - {FAULTY_FOLDER, MANIFEST}
        assert shown == set(OLD)
        assert DownloadedFiles(tmp_path).last_good() is not None
        if not has_crashed:
            break
    else:
        pytest.fail("it never comes through")
    assert step > 3
    assert aside(tmp_path) == NEW
    exchange(tmp_path, NEW)
    assert content(tmp_path) == NEW


# A crash at each step.

CALLS = ("mkdir", "fsync", "rename", "replace", "unlink", "rmdir")


class Crash(BaseException):
    """The process is gone: nothing that it would still have done is done."""


@contextmanager
def crash_at(step: int) -> Iterator[list[str]]:
    """Let the process be gone before this call for the disk, and so before all later ones."""
    done: list[str] = []

    def crashing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(done) >= step:
                raise Crash
            done.append(name)
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in CALLS:
            monkeypatch.setattr(os, name, crashing(name, getattr(os, name)))
        yield done


def crashes(step: int, do: Callable[[], object]) -> bool:
    """Do something with a crash at a step of it; whether it came to that."""
    with crash_at(step):
        try:
            do()
        except Crash:
            return True
    return False


def steps_of(do: Callable[[], object]) -> list[str]:
    with crash_at(1000) as done:
        do()
    return done


def test_the_crashes_are_at_these_steps(tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    assert steps_of(lambda: exchange(tmp_path, NEW)) == [
        *("mkdir", "mkdir", "fsync", "fsync", "fsync", "fsync", "rename"),
        *("fsync", "replace", "replace", "unlink", "fsync", "replace", "fsync", "rmdir"),
    ]


@pytest.mark.parametrize("step", range(15))
def test_after_a_crash_there_is_the_old_set_or_the_next_start_makes_the_new_one(
    step: int, tmp_path: Path
) -> None:
    (tmp_path / "assets_own.json").write_text("mine")
    own = {"assets_own.json": b"mine"}
    exchange(tmp_path, OLD)
    assert crashes(step, lambda: exchange(tmp_path, NEW))
    committed = step > 6
    before = DownloadedFiles(tmp_path).last_good()
    assert (before is not None) == (not committed or step > 12)
    downloaded = DownloadedFiles(tmp_path)
    downloaded.recover()
    there = NEW if committed else OLD
    assert content(tmp_path) == there | own
    last = downloaded.last_good()
    assert last is not None
    assert set(last.files) == set(there)
    assert downloaded.manual_files() == set(own)
    exchange(tmp_path, NEW)
    assert content(tmp_path) == NEW | own


@pytest.mark.parametrize("first", range(15))
def test_a_recovery_may_crash_at_any_step_too(first: int, tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    assert crashes(first, lambda: exchange(tmp_path, NEW))
    for step in range(1, 20):  # each time a step farther, from where the last crash has left it
        if not crashes(step, DownloadedFiles(tmp_path).recover):
            break
    else:
        pytest.fail("it never comes through")
    assert content(tmp_path) == (NEW if first > 6 else OLD)
    assert manifest(tmp_path) == set(content(tmp_path))


def test_a_first_download_that_crashes_leaves_no_set(tmp_path: Path) -> None:
    steps = len(steps_of(lambda: exchange(tmp_path / "whole", NEW)))
    for step in range(steps):
        folder = tmp_path / str(step)
        assert crashes(step, lambda folder=folder: exchange(folder, NEW))  # type: ignore[misc]
        DownloadedFiles(folder).recover()
        assert content(folder) in ({}, NEW)
        assert (DownloadedFiles(folder).last_good() is None) == (content(folder) == {})


def test_what_is_left_of_a_download_without_its_end_is_removed(tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    for leftover in (".incoming", ".arrived"):  # this one as after its manifest was moved
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / A).write_text("half")
    DownloadedFiles(tmp_path).recover()
    assert content(tmp_path) == OLD


# A disk that fails.


def fail(monkeypatch: pytest.MonkeyPatch, name: str, code: int = errno.EROFS) -> None:
    def failing(*args: Any, **kwargs: Any) -> Any:  # noqa: ARG001 - it stands for many
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, failing)


def failing_exchange(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The old set is there, and the disk fails while the new one comes."""
    exchange(folder, OLD)
    fail(monkeypatch, call)
    with pytest.raises(OSError, match="Read-only"):
        exchange(folder, NEW)


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_disk_that_fails_before_the_end_leaves_the_old_set(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_exchange(tmp_path, monkeypatch, call)
    assert content(tmp_path) == OLD
    assert DownloadedFiles(tmp_path).last_good() is not None


@pytest.mark.parametrize("call", ["replace", "unlink"])
def test_half_of_an_exchange_is_no_good_set_and_is_gone_on_with(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_exchange(tmp_path, monkeypatch, call)
    assert DownloadedFiles(tmp_path).last_good() is None
    monkeypatch.undo()
    DownloadedFiles(tmp_path).recover()
    assert content(tmp_path) == NEW


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    exchange(tmp_path, OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            exchange(tmp_path, {A: bytes(40_000), B: bytes(60_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert content(tmp_path) == OLD
