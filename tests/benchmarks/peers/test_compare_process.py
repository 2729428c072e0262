"""The program as a process: what is left after a signal, and of peers that cannot be run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks.peers.fake_peer import fake_peer
from tests.support.paths import ROOT

pytestmark = pytest.mark.integration
COMMAND = (sys.executable, str(ROOT / "benchmarks/compare.py"), "--quick")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def marked(mark: str) -> set[int]:
    """The processes that have this in their environment."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and mark.encode() in (path / "environ").read_bytes():
                found.add(int(path.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes_and_the_results_so_far_stay(
    tmp_path: Path, number: signal.Signals
) -> None:
    results, mark = tmp_path / "compare.json", f"MARK={tmp_path}"
    peer = fake_peer(tmp_path)
    command = (*COMMAND, "--only=steady", f"--peer=dsiem-rs={peer}", f"--json={results}")
    environment = os.environ | {"MARK": str(tmp_path), "TMPDIR": str(tmp_path)}

    def runs() -> int:
        return len(msgspec.json.decode(results.read_bytes())["steady"]) if results.exists() else 0

    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(lambda: runs() > 0)
        wait_for(lambda: len(marked(mark)) >= 4)  # also nats-server, backend and publisher
        process.send_signal(number)
        process.send_signal(number)
        printed = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 128 + number
    wait_for(lambda: not marked(mark))
    document = msgspec.json.decode(results.read_bytes())
    assert not document["complete"]
    assert document["steady"][0]["backend"] == "ours"
    assert "interrupted: these are the runs until then" in printed
    assert list(tmp_path.glob("tmp*")) == []


def test_peers_that_cannot_be_run_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    peer = fake_peer(tmp_path, "silent")
    text = tmp_path / "text"
    text.write_text("no program\n", "utf-8")
    wrong = (f"--peer=go={text}", f"--peer=rust={peer}", f"--peer=go={tmp_path}")
    results = tmp_path / "compare.json"
    ended = subprocess.run(
        (*COMMAND, "--only=life", *wrong, f"--json={results}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert f"go is left out: {text} is not an executable file" in ended.stderr
    assert "rust is left out:" in ended.stderr
    assert "is not dsiem-backend: for `--version` it prints 'dsiem 1.99.0'" in ended.stderr
    document = msgspec.json.decode(results.read_bytes())
    assert document["complete"]
    assert [run["backend"] for run in document["life"]] == ["ours"]
