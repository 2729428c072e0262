"""The replay command as a process: standard streams, exit codes, and a full disk."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.support.paths import ROOT
from tests.support.replaying import (
    LOGIN,
    LOGIN_AGAIN,
    Replay,
    event,
    ndjson,
    read_lines,
    replaying,
    write_config,
)
from tests.support.serving import NOT_MEASURED

FOLDERS = ("--config-dir", "conf", "--log-dir", "logs")
STORY = ndjson(event("a", 0, LOGIN), event("b", 1, LOGIN_AGAIN), event("c", 2, LOGIN_AGAIN))
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def _folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Replay]:
    yield from replaying(tmp_path, monkeypatch, capsys)


def python(
    *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=False,
        timeout=90,
    )


def limited_replay(limit: int, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run replay in a process that can write no file beyond this number of bytes."""
    code = LIMITED.format(limit=limit)
    return python("-c", code, "replay", *FOLDERS, *arguments, environment=NOT_MEASURED)


def replay(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return python(str(ROOT / "cli.py"), "replay", *FOLDERS, *arguments, stdin=stdin)


def test_its_alarm_files_are_not_readable_by_all() -> None:
    before = os.umask(0o022)
    try:
        assert replay("-", stdin=STORY).returncode == 0
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in Path("logs").iterdir()] == ["0o640"] * 2
    assert Path("logs").stat().st_mode & 0o777 == 0o750


def test_standard_input_beside_files() -> None:
    first, *rest = STORY.splitlines(keepends=True)
    Path("first.gz").write_bytes(gzip.compress(first))
    done = replay("--format", "json", "first.gz", "-", stdin=b"".join(rest))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["ledger"]["backlogs"]["finished"] == 1
    assert len(read_lines("logs/siem_alarm_events.json")) == 3


def test_standard_input_may_be_gzipped() -> None:
    done = replay("--format", "json", "-", stdin=gzip.compress(STORY))
    assert json.loads(done.stdout)["ledger"]["backlogs"]["finished"] == 1


def test_text_has_no_escapes_where_there_is_no_terminal() -> None:
    Path("events").write_bytes(STORY)
    done = replay("--alarms", "events")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"directive 1" in done.stdout
    assert b"\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("events",), 0),
        (("cut.gz",), 1),
        (("none",), 2),
        (("--config-dir", "none", "events"), 2),
        ((), 3),
        (("--med-risk-min", "7", "events"), 3),
        (("--no-such-thing", "events"), 3),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int) -> None:
    Path("events").write_bytes(STORY + b"broken\n")
    Path("cut.gz").write_bytes(gzip.compress(STORY)[:-12])
    done = replay(*arguments)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert (done.stderr == b"") == (code == 0 and b"broken" not in done.stderr)


def test_a_faulty_config_exits_with_1() -> None:
    write_config([{"id": 1}])
    done = replay("-", stdin=STORY)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"conf/directives_a.json:1:17: error missing: directive 1, name" in done.stderr


@pytest.mark.parametrize("limit", [1000, 40_000, 300_000])
def test_a_full_disk_exits_with_1_and_leaves_whole_lines(limit: int) -> None:
    Path("events").write_bytes(ndjson(*(event(str(n), n, LOGIN) for n in range(2000))))
    done = limited_replay(limit, "--format", "json", "events")
    assert done.returncode == 1
    assert b"stopped: logs/siem_alarm" in done.stderr
    assert b"File too large" in done.stderr
    assert b"Traceback" not in done.stderr
    assert json.loads(done.stdout)["adds_up"] is True
    for name in ("siem_alarms.json", "siem_alarm_events.json"):
        lines = read_lines(f"logs/{name}")
        assert all("alarm_id" in line for line in lines)
        assert Path("logs", name).stat().st_size <= limit


def test_a_full_disk_keeps_the_lines_that_were_there() -> None:
    Path("logs").mkdir()
    there = b'{"alarm_id": "there"}\n' * 100
    for name in ("siem_alarms.json", "siem_alarm_events.json"):
        Path("logs", name).write_bytes(there)
    Path("events").write_bytes(STORY)
    done = limited_replay(len(there) + 20, "events")
    assert done.returncode == 1
    for name in ("siem_alarms.json", "siem_alarm_events.json"):
        assert Path("logs", name).read_bytes() == there


def test_an_interrupt_writes_the_results_so_far() -> None:
    arguments = [sys.executable, str(ROOT / "cli.py"), "replay", *FOLDERS, "--format", "json", "-"]
    # A shell starts background jobs with SIGINT ignored, which children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(STORY + b"broken\n")
        process.stdin.flush()
        first_line = process.stderr.readline()  # then all lines so far have been replayed
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert b"invalid event" in first_line
    assert b"stopped: interrupted" in err
    assert b"Traceback" not in err
    assert process.returncode == 130
    assert json.loads(out)["ledger"]["events"]["received"] == 4
    assert len(read_lines("logs/siem_alarm_events.json")) == 3
