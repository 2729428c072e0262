"""Loads files of directive tests; their faults become problems with file, line and column."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.errors import Finding
from shards.config.problem import Problem, ProblemList
from shards.directive_tests.file_faults import find_faults
from shards.directive_tests.test_file import PATTERNS, DirectiveTest, DirectiveTestFile
from shards.directive_tests.yaml_document import Position, YamlDocument, YamlError
from shards.errors import PathError

MAX_FILES = 10_000
"""Files of tests in one run."""
MAX_LOADED = 500_000
"""Tests, events and expectations in the files of one run."""


class LoadedTest(Struct, frozen=True):
    """A valid test with its place; `steps`: where each of its events stands."""

    file: Path
    position: Position
    test: DirectiveTest
    defaults: dict[str, Any]
    steps: tuple[Position, ...]
    expectations: tuple[Position, ...]

    @property
    def place(self) -> str:
        """`file:line:column`."""
        return f"{self.file}:{self.position[0]}:{self.position[1]}"


class LoadedFile(Struct, frozen=True):
    """The tests of a file, none if it has faults; `assets`: the file to use, if it names one."""

    path: Path
    tests: tuple[LoadedTest, ...] = ()
    assets: Path | None = None


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files of tests among these paths and within these folders; PathError if there is none."""
    found: dict[Path, None] = {}
    for path in paths:
        found |= dict.fromkeys(_files_of(path))
    if len(found) > MAX_FILES:
        raise PathError(f"there are more than {MAX_FILES:,} files of tests")
    return list(found)


def _files_of(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            inside = sorted(islice(_files_within(path), MAX_FILES + 1))
            if not inside:
                raise PathError(f"{path} holds no tests, must hold {' or '.join(PATTERNS)}")
            return inside
        if path.is_file():
            return [path]
        raise PathError(f"{path} is no file" if path.exists() else f"{path} is missing")
    except OSError as error:
        place = error.filename or path
        raise PathError(f"{place} cannot be read: {error.strerror}") from error


def _files_within(folder: Path) -> Iterator[Path]:
    """Files of tests in a folder and those in it, of any depth; links to folders are left out."""
    waiting = [folder]
    while waiting:
        for path in waiting.pop().iterdir():
            if path.is_dir():
                if not path.is_symlink():
                    waiting.append(path)
            elif any(map(path.match, PATTERNS)):
                yield path


def load_files(paths: Sequence[Path], problems: ProblemList) -> list[LoadedFile]:
    """Load the files that `find_files` finds among these paths; PathError if that is impossible."""
    files: list[LoadedFile] = []
    total = 0
    for path in find_files(paths):
        file = load_file(path, problems)
        files.append(file)
        total += sum(1 + len(one.steps) + len(one.expectations) for one in file.tests)
        if total > MAX_LOADED:
            raise PathError(f"there are more than {MAX_LOADED:,} events and expectations in tests")
    return files


def load_file(path: Path, problems: ProblemList) -> LoadedFile:
    """Load a file of tests; its faults are added to the problems. PathError if it is unreadable."""
    if not path.is_file():
        raise PathError(f"{path} {'is no file' if path.exists() else 'is missing'}")
    try:
        document = YamlDocument(path)
    except YamlError as error:
        _add(problems, path, error.position, Finding("bad-test", str(error)))
        return LoadedFile(path)
    faults = problems.faults
    for finding in find_faults(document.value):
        is_of_key = finding.code == "unknown-field"
        position = document.key_position if is_of_key else document.position
        _add(problems, path, position(finding.path), finding)
    if problems.faults > faults:
        return LoadedFile(path)
    file = msgspec.convert(document.value, DirectiveTestFile)
    defaults = msgspec.to_builtins(file.defaults)
    tests = tuple(
        LoadedTest(
            path,
            document.position(("tests", number)),
            test,
            defaults,
            _positions(document, number, "events", len(test.events)),
            _positions(document, number, "expect", len(test.expect)),
        )
        for number, test in enumerate(file.tests)
    )
    return LoadedFile(path, tests, path.parent / file.assets if file.assets else None)


def _add(problems: ProblemList, path: Path, position: Position, finding: Finding) -> None:
    if problems.count(finding):
        problems.add(Problem(str(path), *position, finding))


def _positions(document: YamlDocument, test: int, key: str, number: int) -> tuple[Position, ...]:
    return tuple(document.position(("tests", test, key, n)) for n in range(number))
