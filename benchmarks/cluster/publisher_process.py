"""A publisher in a process of its own, as the benchmark that starts it sees it."""

import subprocess
import sys
import time
from typing import Self

import msgspec
from msgspec import Struct

from benchmarks.cluster.publisher import PublishReport
from benchmarks.support.service_process import ROOT

_START_DELAY = 0.2
"""Seconds from the command to a publisher until it starts."""


class PublisherProcess:
    """A process that publishes a plan; its events are prepared when the constructor returns."""

    SCRIPT = "benchmarks/cluster/publisher.py"

    def __init__(self, plan: Struct) -> None:
        self._process = subprocess.Popen(
            (sys.executable, str(ROOT / self.SCRIPT), msgspec.json.encode(plan).decode()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the benchmark, which ends it
        )
        try:
            if self._read_line() != b"ready\n":
                raise RuntimeError("the publisher is not ready")
        except BaseException:
            self.__exit__()
            raise

    def start(self) -> float:
        """Let it publish; returns the time at which it starts, on the monotonic clock."""
        assert self._process.stdin is not None
        start = time.monotonic() + _START_DELAY
        self._process.stdin.write(f"{start}\n".encode())
        self._process.stdin.flush()
        return start

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def report(self) -> PublishReport:
        """The report that it writes at its end."""
        return msgspec.json.decode(self._read_line(), type=PublishReport)

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()
