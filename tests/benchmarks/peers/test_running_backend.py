"""A backend that cannot be started, and its output files."""

from pathlib import Path

import pytest

from benchmarks.peers.backend import Backend
from benchmarks.peers.running_backend import BackendStartError, OutputFile, RunningBackend


def test_an_output_file_is_found_in_any_folder_once_it_exists(tmp_path: Path) -> None:
    file = OutputFile(tmp_path, "alarms.json")
    assert (file.count_lines(), file.read(), file.size) == (0, b"", 0)
    path = tmp_path / "some" / "logs" / "alarms.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one\ntwo\n")
    assert (file.count_lines(), file.read(), file.size) == (2, b"one\ntwo\n", 8)
    file.close()


def test_event_ids_are_those_of_a_run_after_a_place(tmp_path: Path) -> None:
    file = OutputFile(tmp_path, "alarms.json")
    lines = [b'{"event_id": "00000002-%d"}\n' % number for number in range(3)]
    (tmp_path / "alarms.json").write_bytes(b"".join(lines) + b'{"event_id":"00000003-0"}\n')
    assert file.event_ids("00000002-", len(lines[0])) == [b"00000002-1", b"00000002-2"]
    file.close()


def test_a_file_that_cannot_be_executed_cannot_be_started(tmp_path: Path) -> None:
    binary = tmp_path / "peer"
    binary.write_text("no program", "utf-8")
    binary.chmod(0o755)
    with pytest.raises(BackendStartError, match="it cannot be executed: Exec format error"):
        RunningBackend(Backend("go", binary), {})


@pytest.mark.integration
@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("echo starting; echo bye", "bye"),
        ("echo 'panic: no config'; echo goroutine 1", "panic: no config"),
        ("true", "nothing"),
    ],
)
def test_a_backend_that_ends_at_once_gives_the_error_in_its_log(
    tmp_path: Path, output: str, reason: str
) -> None:
    binary = tmp_path / "peer"
    binary.write_text(f"#!/bin/sh\n{output}\nexit 3\n", "utf-8")
    binary.chmod(0o755)
    with RunningBackend(Backend("go", binary), {}) as running:
        while running.alive:
            pass
        with pytest.raises(BackendStartError, match=f"it ended with 3, its log with: {reason}"):
            running.check_alive()
