"""Who may import whom, and what the engine may not touch: read off the sources, not run."""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OURS = {"engine", "shards", "cli", "tests", "benchmarks", "scenario"}

# What of the standard library reaches outside: clocks, files, sockets, processes, threads, chance.
OUTSIDE = {
    *("asyncio", "concurrent", "contextvars", "ctypes", "fcntl", "fileinput", "ftplib", "getpass"),
    *("glob", "gzip", "http", "importlib", "io", "linecache", "locale", "logging", "mmap"),
    *("multiprocessing", "os", "pathlib", "pickle", "platform", "posix", "posixpath", "pty"),
    *("queue", "random", "resource", "runpy", "sched", "secrets", "select", "selectors", "shelve"),
    *("shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3", "ssl", "subprocess"),
    *("syslog", "tempfile", "thread", "_thread", "threading", "time", "timeit", "tomllib"),
    *("traceback", "urllib", "uuid", "warnings", "webbrowser", "xmlrpc", "zipfile", "zoneinfo"),
}
ENGINE_MAY = (set(sys.stdlib_module_names) - OUTSIDE) | {"engine", "msgspec", "radix"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}
"""Attributes that read a clock when they are called on `datetime`, `date` or `time`."""
FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}
STREAMS = {"stdin", "stdout", "stderr", "argv", "exit", "modules", "path"}

Checker = Callable[[ast.AST], Iterator[str]]


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports, by their first name; "." for a relative one."""
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield "." if node.level else (node.module or "").partition(".")[0]


def bad_import(allowed: Callable[[str], bool]) -> Checker:
    def check(node: ast.AST) -> Iterator[str]:
        yield from (f"imports {module}" for module in imported(node) if not allowed(module))

    return check


def impure(node: ast.AST) -> Iterator[str]:
    """Calls that read a clock, a file or the terminal."""
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
            yield f"calls {name}"
        case ast.Attribute(value=ast.Name(id="datetime" | "date" | "time" as name), attr=attribute):
            if attribute in CLOCKS:
                yield f"reads the clock with {name}.{attribute}"
        case ast.Attribute(value=ast.Name(id="sys"), attr=attribute) if attribute in STREAMS:
            yield f"uses sys.{attribute}"
        case ast.ImportFrom(module="sys"):
            yield "imports names of sys, which hides what it uses"


ENGINE = (bad_import(ENGINE_MAY.__contains__), impure)
SHARDS = (bad_import(lambda module: module not in OURS - {"engine", "shards"} | {"."}),)
CLI = (bad_import(lambda module: module not in OURS - {"shards"} | {"."}),)


def faults(source: str, checkers: tuple[Checker, ...]) -> list[str]:
    """What a source does that it may not, with line numbers."""
    return [
        f"{getattr(node, 'lineno', 0)}: {fault}"
        for node in ast.walk(ast.parse(source))
        for check in checkers
        for fault in check(node)
    ]


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", sources("engine"), ids=lambda path: path.name)
def test_the_engine_is_pure(path: Path) -> None:
    assert faults(path.read_text("utf-8"), ENGINE) == []


@pytest.mark.parametrize("path", sources("shards"), ids=lambda path: path.name)
def test_shards_import_the_engine_and_nothing_of_ours_above_them(path: Path) -> None:
    assert faults(path.read_text("utf-8"), SHARDS) == []


def test_the_command_imports_shards_alone() -> None:
    assert faults((ROOT / "cli.py").read_text("utf-8"), CLI) == []


@pytest.mark.parametrize("package", ["engine", "shards"])
def test_a_package_holds_no_logic_of_its_own(package: str) -> None:
    [docstring] = ast.parse((ROOT / package / "__init__.py").read_text("utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)


def test_there_is_something_to_check() -> None:
    assert {"correlator.py", "event.py", "manager.py"} <= {path.name for path in sources("engine")}
    assert {"replay.py", "sink.py"} <= {path.name for path in sources("shards")}


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from os import path",
        "import json, socket",
        "def f():\n    import asyncio",
        "if True:\n    from threading import Lock",
        "from shards import config",
        "import shards.config as config",
        "import cli",
        "import loguru",
        "from . import event",
        "from .event import NormalizedEvent",
        "import requests",
        "import datetime as d, random",
        "x = datetime.now(UTC)",
        "x = [date.today() for _ in 'a']",
        "f = datetime.utcnow",
        "open('x')",
        "lambda: print(1)",
        "__import__('os')",
        "sys.stderr.write('x')",
        "from sys import stdout",
    ],
)
def test_the_checker_sees_what_the_engine_may_not(source: str) -> None:
    assert len(faults(source, ENGINE)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import json, re, heapq, bisect, ipaddress, functools, collections.abc, hashlib",
        "from datetime import UTC, datetime\nx = datetime.fromisoformat('2020-01-01')",
        "import msgspec.json\nfrom radix import Radix\nfrom engine.event import NormalizedEvent",
        "import sys\nx = sys.intern('a')",
        "now = 5\nevent.time + now",
        "'open the file, print it'",
    ],
)
def test_the_checker_lets_pass_what_the_engine_may(source: str) -> None:
    assert faults(source, ENGINE) == []


def test_the_checker_sees_who_imports_upward() -> None:
    for source in ("import cli", "from tests import oracle", "from . import sink"):
        assert len(faults(source, SHARDS)) == 1
    assert faults("import time, os, asyncio\nfrom engine import event\nimport shards", SHARDS) == []
    assert len(faults("from engine import event", CLI)) == 1
    assert faults("import os\nfrom shards import replay", CLI) == []
