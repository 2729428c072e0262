"""A backend that cannot be started, and its output files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.peers.backend import Backend
from benchmarks.peers.running_backend import BackendStartError, RunningBackend, _OutputFile


def test_an_output_file_is_found_in_any_folder_once_it_exists(tmp_path: Path) -> None:
    file = _OutputFile(tmp_path, "alarms.json")
    assert (file.count_lines(), file.read()) == (0, b"")
    path = tmp_path / "some" / "logs" / "alarms.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one\ntwo\n")
    assert (file.count_lines(), file.read()) == (2, b"one\ntwo\n")
    file.close()


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
    server: Any = SimpleNamespace(url="nats://x", subscribers=lambda subject: 0)
    with pytest.raises(BackendStartError, match=f"it ended with 3, its log with: {reason}"):
        RunningBackend(Backend("go", binary), 2, server, server)
