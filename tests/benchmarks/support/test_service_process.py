"""Reading of the files and of /proc by which a service is observed."""

import os
import time
from pathlib import Path

from benchmarks.support.service_process import (
    FileTail,
    LineCounter,
    cpu_seconds,
    machine_cpu_seconds,
    pss_bytes,
)
from tests.support.nats_server import wait_until


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_lines_of_a_growing_file_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    append(path, b"one\ntw")
    counter = LineCounter(path)
    assert counter.count() == 1
    append(path, b"o\nthree\n")
    assert counter.count() == 3
    assert counter.count() == 3
    counter.close()


def test_the_tail_notes_when_each_new_line_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file"
    append(path, b'{"event_id": "old"}\n')
    with FileTail(path) as tail:
        start = time.monotonic()
        append(path, b'{"event_id": "a"}\n{"event_id": ')
        wait_until(lambda: "a" in tail.seen_at, lambda: "no line was seen")
        append(path, b'"b"}\n{"event_id": "c"')
    assert tail.seen_at.keys() == {"a", "b"}
    assert all(start <= at <= time.monotonic() for at in tail.seen_at.values())


def test_cpu_time_and_memory_of_this_process() -> None:
    before = cpu_seconds(os.getpid())
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass
    assert 0.04 < cpu_seconds(os.getpid()) - before < 5
    assert machine_cpu_seconds() > cpu_seconds(os.getpid())
    assert pss_bytes(os.getpid()) > 1_000_000
