"""Memory of all processes of a service together, many times a second."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from threading import Event, Thread

from msgspec import Struct

_MEMFD = "/memfd:"
_BLOCK_BYTES = 512


class Sample(Struct, frozen=True):
    """`bytes` of memory at a time on the monotonic clock."""

    at: float
    bytes: int


class MemorySampler(Thread):
    """Reads the memory of a process and all its descendants every `interval` seconds, or slower.

    PSS, so a page that several processes share counts once. Memory of memfds that no process has
    mapped at the moment is in nobody's PSS, and is added.
    """

    def __init__(self, pid: int, interval: float) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._pid = pid
        self._interval = interval
        self._ended = Event()

    def run(self) -> None:
        """Take samples until the end."""
        while not self._ended.wait(self._interval):
            at = time.monotonic()
            self.samples.append(Sample(at, memory_of(descendants(self._pid))))

    def __enter__(self) -> "MemorySampler":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()

    def median_between(self, first: float, last: float) -> float:
        """The median of the samples in this time."""
        return median(self._between(first, last))

    def peak_between(self, first: float, last: float) -> int:
        """The highest of the samples in this time."""
        return max(self._between(first, last))

    def _between(self, first: float, last: float) -> list[int]:
        found = [sample.bytes for sample in self.samples if first <= sample.at <= last]
        if not found:
            raise ValueError("there are no samples of that time")
        return found


def descendants(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def memory_of(pids: Iterable[int]) -> int:
    """Bytes of memory of these processes together; those that have ended have none."""
    private = mapped = 0
    memfds: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError):
            pss, pss_of_shared = _pss(pid)
            private += pss - pss_of_shared
            mapped += pss_of_shared
            memfds.update(_memfds(pid))
    return private + max(mapped, sum(memfds.values()))


def _pss(pid: int) -> tuple[int, int]:
    """PSS of a process, and the part of it that is shared memory, in bytes."""
    values = {"Pss:": 0, "Pss_Shmem:": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, value = line.split()[:2]
        if name in values:
            values[name] = int(value) * 1024
    return values["Pss:"], values["Pss_Shmem:"]


def _memfds(pid: int) -> Iterator[tuple[int, int]]:
    """Inode and bytes of the memfds that a process has open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if str(link.readlink()).startswith(_MEMFD):
                about = link.stat()
                yield about.st_ino, about.st_blocks * _BLOCK_BYTES
