"""Loads files of directive tests, and reports every fault with its position."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.errors import DocumentPath, Finding
from shards.config.problem import Problem
from shards.directive_tests.test_file import (
    MAX_SECONDS,
    PATTERNS,
    DirectiveTest,
    DirectiveTestFile,
    EventStep,
    EventValues,
    Expectation,
    parse_duration,
)
from shards.directive_tests.yaml_document import Position, YamlDocument, YamlError
from shards.errors import PathError

MAX_FILES = 10_000
"""Files of tests in the folders of one run."""
_WHERE = re.compile(r"(?P<message>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_SEGMENT = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_WRONG_TYPE = re.compile(r"Expected `(.*)`, got `(.*)`")
_WORDS = {
    "int": "a whole number",
    "str": "a text",
    "object": "a mapping",
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "null": "nothing",
}


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
    """The tests of a file, or what is wrong with it; `assets`: the file to use, if it names one."""

    path: Path
    tests: tuple[LoadedTest, ...] = ()
    problems: tuple[Problem, ...] = ()
    assets: Path | None = None


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files of tests among these paths and within these folders; PathError if there is none."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(chain.from_iterable(path.rglob(pattern) for pattern in PATTERNS))
            if not inside:
                raise PathError(f"{path} holds no tests, must hold {' or '.join(PATTERNS)}")
            found |= dict.fromkeys(inside)
        elif path.is_file():
            found[path] = None
        else:
            raise PathError(f"{path} is missing" if not path.exists() else f"{path} is no file")
    if len(found) > MAX_FILES:
        raise PathError(f"there are more than {MAX_FILES:,} files of tests")
    return list(found)


def load_file(path: Path) -> LoadedFile:
    """Load a file of tests; PathError if it cannot be read."""
    try:
        document = YamlDocument(path)
    except YamlError as error:
        finding = Finding("bad-test", str(error))
        return LoadedFile(path, problems=(Problem(str(path), *error.position, finding),))
    problems = [
        Problem(str(path), *document.position(finding.path), finding)
        for finding in _findings(document.value)
    ]
    if problems:
        return LoadedFile(path, problems=tuple(problems))
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
    assets = path.parent / file.assets if file.assets else None
    return LoadedFile(path, tests, assets=assets)


def _positions(document: YamlDocument, test: int, key: str, number: int) -> tuple[Position, ...]:
    return tuple(document.position(("tests", test, key, n)) for n in range(number))


def _findings(document: Any) -> Iterator[Finding]:
    """Every fault of a document: of each event and expectation by itself, then of the rest."""
    tests = document.get("tests") if isinstance(document, dict) else None
    known = []
    for number, test in enumerate(tests if isinstance(tests, list) else ()):
        path = ("tests", number)
        inner = [*_items(test, "events", EventStep), *_items(test, "expect", Expectation)]
        inner = inner or [*_of_type(test, DirectiveTest)] or [*_durations(test)]
        known += [finding.with_prefix(*path) for finding in inner]
    if isinstance(document, dict) and "defaults" in document:
        found = _of_type(document["defaults"], EventValues)
        known += [finding.with_prefix("defaults") for finding in found]
    yield from known or _of_type(document, DirectiveTestFile)


def _items(test: Any, key: str, type_: Any) -> Iterator[Finding]:
    items = test.get(key) if isinstance(test, dict) else None
    for number, item in enumerate(items if isinstance(items, list) else ()):
        for finding in _of_type(item, type_):
            yield finding.with_prefix(key, number)


def _durations(test: Any) -> Iterator[Finding]:
    """Durations that are none, or too long."""
    yield from _duration((), "advance", test)
    for number, event in enumerate(test.get("events", ())):
        path = ("events", number)
        found = [*_duration(path, "at", event), *_duration(path, "every", event)]
        yield from found
        if not found and _seconds(event, "every") * event.get("repeat", 1) > MAX_SECONDS:
            message = f"is {event['repeat']}: the events last longer than ten years"
            yield Finding("bad-test", message, (*path, "repeat"), field="repeat")


def _duration(path: DocumentPath, key: str, item: Any) -> Iterator[Finding]:
    try:
        _seconds(item, key)
    except ValueError as error:
        yield Finding("bad-test", f"is {item[key]!r}, {error}", (*path, key), field=key)


def _seconds(item: Any, key: str) -> int:
    return parse_duration(item.get(key, 0))


def _of_type(value: Any, type_: Any) -> Iterator[Finding]:
    """The first fault of a value that is not of this type."""
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        found = _WHERE.fullmatch(str(error))
        assert found is not None
        path: DocumentPath = tuple(
            name or int(index) for name, index in _SEGMENT.findall(found["path"] or "")
        )
        yield _in_words(found["message"], path, type_)


def _in_words(message: str, path: DocumentPath, type_: Any) -> Finding:
    """The fault in words of this program."""
    if unknown := _UNKNOWN.fullmatch(message):
        name = unknown[1]
        known = getattr(type_, "__struct_encode_fields__", ())
        near = get_close_matches(name, known, n=1) if not path else []
        hint = f"; the nearest known one is {near[0]}" if near else ""
        return Finding("bad-test", f"is not a known field{hint}", (*path, name), field=name[:64])
    if missing := _MISSING.fullmatch(message):
        return Finding("missing", "is missing", path, field=missing[1])
    field = next((part for part in reversed(path) if isinstance(part, str)), "")
    if wrong := _WRONG_TYPE.fullmatch(message):
        expected = " or ".join(_WORDS.get(name, name) for name in wrong[1].split(" | "))
        got = _WORDS.get(wrong[2], wrong[2])
        return Finding("wrong-type", f"is {got}, must be {expected}", path, field=field)
    return Finding("bad-test", message[:1].lower() + message[1:], path, field=field)
