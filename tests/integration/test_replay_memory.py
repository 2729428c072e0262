"""Hostile recordings: replay needs little memory, whatever a file holds."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.elasticsearch import Elasticsearch
from tests.support.paths import ROOT
from tests.support.replaying import LOGIN, event, ndjson, write_config
from tests.support.serving import NOT_MEASURED
from tests.support.zstandard import zstd

MIB = 1 << 20
MOST_MIB = 130
"""Of a replay of nothing it is 35 MiB; the longest values take a few MiB more."""
MEASURED = """
import re, sys
import cli
code = cli.main(sys.argv[1:])
print(int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) // 1024)
sys.exit(code)
"""
CONTENTS: dict[str, Callable[[], bytes]] = {
    "one line": lambda: b"x" * 200 * MIB,
    "an object that is one string": lambda: b'{"a":"' + b"x" * 200 * MIB,
    "an array that is one string": lambda: b'[{"a":"' + b"x" * 200 * MIB,
    "open brackets": lambda: b"[" * 200 * MIB,
    "open braces in lines": lambda: b"{\n" * 100_000,
    "an object of many lines": lambda: b"{\n" + b' "a": 1,\n' * 5_000_000,
    "many objects": lambda: b"{}\n" * 150_000,
    "many objects in an array": lambda: b"[" + b"{}," * 150_000,
    "a gzip bomb": lambda: gzip.compress(b"x" * 400 * MIB, 1),
    "a zstd bomb": lambda: zstd.compress(b"x" * 400 * MIB),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_config()


def replay_mib(*arguments: str) -> int:
    """Replay, and return the peak of its resident memory in MiB."""
    return peak_mib("replay", "--config-dir", "conf", "--log-dir", "logs", *arguments)


def peak_mib(*command_line: str) -> int:
    """Run a command, and return the peak of its resident memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command_line],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **NOT_MEASURED},
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("what", CONTENTS)
def test_memory_does_not_grow_with_the_recording(what: str) -> None:
    Path("hostile").write_bytes(CONTENTS[what]())
    assert replay_mib("hostile") < MOST_MIB


def test_memory_does_not_grow_with_what_is_sorted() -> None:
    padding = {"message": "x" * 500_000}
    with Path("newest").open("wb") as file:
        for number in range(400, 0, -1):
            file.write(ndjson(event(str(number), number, LOGIN, **padding)))
    assert replay_mib("newest", "--sort") < 2 * MOST_MIB


def test_memory_does_not_grow_with_the_documents_of_an_index() -> None:
    document = ndjson(event("a", 1, LOGIN, message="x" * 100_000))
    with Elasticsearch() as server:
        server.add(*[document] * 600)
        assert replay_mib("--elasticsearch", server.url) < MOST_MIB


@pytest.mark.parametrize("command", [("stats", "--config-dir", "conf"), ("diff", "conf", "conf")])
def test_memory_does_not_grow_with_kinds_of_events(command: tuple[str, ...]) -> None:
    text = "\x1b" * 1000
    with Path("kinds").open("wb") as file:
        for number in range(1, 50_001):
            more = {"plugin_id": 7, "title": f"{number}{text}", "product": text, "category": text}
            file.write(ndjson(event(str(number), number, number, **more)))
    assert peak_mib(*command, "kinds") < MOST_MIB


def test_ids_of_events_are_not_kept_whole() -> None:
    """Beyond those that the engine keeps, for a while."""
    with Path("ids").open("wb") as file:
        for number in range(1_000):
            source = f"192.0.{number >> 8}.{number & 255}"
            file.write(ndjson(event(f"{number}" * 20_000, number, LOGIN, src_ip=source)))
    most = replay_mib("ids") + 20
    assert peak_mib("stats", "--config-dir", "conf", "ids") < most
