"""The engine imports no clocks, files, sockets or processes."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OUTSIDE = {
    *("asyncio", "concurrent", "contextvars", "ctypes", "fcntl", "fileinput", "ftplib", "getpass"),
    *("glob", "gzip", "http", "importlib", "io", "linecache", "locale", "logging", "mmap"),
    *("multiprocessing", "os", "pathlib", "pickle", "platform", "posix", "posixpath", "pty"),
    *("queue", "random", "resource", "runpy", "sched", "secrets", "select", "selectors", "shelve"),
    *("shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3", "ssl", "subprocess"),
    *("syslog", "tempfile", "thread", "_thread", "threading", "time", "timeit", "tomllib"),
    *("traceback", "urllib", "uuid", "warnings", "webbrowser", "xmlrpc", "zipfile", "zoneinfo"),
}
"""Modules of the standard library for clocks, files, sockets, processes, threads and chance."""
ALLOWED = (set(sys.stdlib_module_names) - OUTSIDE) | {"engine", "msgspec", "radix", "xxhash"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}
"""Attributes that read a clock when they are called on `datetime`, `date` or `time`."""
FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}
STREAMS = {"stdin", "stdout", "stderr", "argv", "exit", "modules", "path"}


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports, by their first name; "." for a relative one."""
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield "." if node.level else (node.module or "").partition(".")[0]


def forbidden_import(node: ast.AST) -> Iterator[str]:
    """Imports of modules that are not allowed."""
    yield from (f"imports {module}" for module in imported(node) if module not in ALLOWED)


def forbidden_use(node: ast.AST) -> Iterator[str]:
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


def violations(source: str) -> list[str]:
    """Everything in a source that the engine may not do, with line numbers."""
    return [
        f"{getattr(node, 'lineno', 0)}: {violation}"
        for node in ast.walk(ast.parse(source))
        for check in (forbidden_import, forbidden_use)
        for violation in check(node)
    ]


SOURCES = sorted((ROOT / "engine").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_engine_is_pure(path: Path) -> None:
    assert violations(path.read_text("utf-8")) == []


def test_all_folders_of_the_engine_are_checked() -> None:
    names = {path.parent.name for path in SOURCES}
    assert {"engine", "directives", "correlation", "dsiem_format"} <= names


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
def test_each_violation_is_reported_once(source: str) -> None:
    assert len(violations(source)) == 1


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
def test_what_the_engine_may_use_is_not_reported(source: str) -> None:
    assert violations(source) == []
