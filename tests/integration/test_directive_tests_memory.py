"""The test command makes events while it needs them, and bounds what it keeps of files.

The peak memory is that of a process of its own, as the kernel counts it (VmHWM).
"""

import subprocess
import sys
from pathlib import Path

import pytest

from shards.directive_tests.yaml_document import MAX_BYTES
from tests.support.directive_testing import HEAD
from tests.support.paths import ROOT
from tests.support.replaying import write_config

pytestmark = pytest.mark.integration

PROGRAM = r"""
import re, sys
import cli
print(cli.main(sys.argv[1:]), file=sys.stderr)
status = open("/proc/self/status").read()
print(int(re.search(r"VmHWM:\s*(\d+)", status)[1]) // 1024, file=sys.stderr)
"""


def run(*arguments: str) -> tuple[int, int]:
    """The exit code of the command, and its peak memory in MiB."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, "test", *arguments],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, peak = result.stderr.splitlines()[-2:]
    return int(code), int(peak)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The peak memory of a test of one event; the current folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    write_config()
    code, peak = run(write(f"{HEAD}  - {{name: t, events: [{{plugin_sid: 1}}], other: allowed}}\n"))
    assert code == 0
    return peak


def write(text: str) -> str:
    Path("conf/a_test.yaml").write_text(text)
    return "conf/a_test.yaml"


def test_a_million_events_need_no_more_memory_than_one(small: int) -> None:
    events = "[{plugin_sid: 1}, {at: 1s, plugin_sid: 2, repeat: 1000000, every: 0s}]"
    code, peak = run(write(f"{HEAD}  - {{name: t, events: {events}, other: allowed}}\n"))
    assert code == 0
    assert peak < small + 150


def test_many_alarms_are_bounded(small: int) -> None:
    events = "[{plugin_sid: 1, src_ip: '2001:db8::{n}', repeat: 9999, every: 0s}"
    events += ", {plugin_sid: 1, src_ip: '2001:db8::1:{n}', repeat: 9999, every: 0s}]"
    code, peak = run(write(f"{HEAD}  - {{name: t, events: {events}, other: allowed}}\n"))
    assert code == 1
    assert peak < small + 200


@pytest.mark.parametrize(
    "text",
    [
        "- a\n",
        "[",
        "{a: ",
        "? ",
        "a, ",
        "'",
        "&a ",
        "- *a\n",
        "a: &a [b]\n",
        "1:",
        "[],",
        "\n",
        "#",
    ],
)
def test_a_large_file_needs_little_memory(text: str, small: int) -> None:
    code, peak = run(write(text * (MAX_BYTES // len(text))))
    assert code == 1
    assert peak < small + 300
