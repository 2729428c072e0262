"""Memory of a process and its descendants, also that of memfds which nobody has mapped."""

import mmap
import os
import subprocess
import sys
import time

import pytest

from benchmarks.reload.memory_sampler import MemorySampler, descendants, memory_of

MEGABYTES = 1 << 20
_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"


def test_memory_of_an_open_memfd_counts_once_mapped_or_not() -> None:
    before = memory_of([os.getpid()])
    with os.fdopen(os.memfd_create("test"), "w+b") as memfd:
        memfd.write(bytes(64 * MEGABYTES))
        memfd.flush()
        unmapped = memory_of([os.getpid()]) - before
        with mmap.mmap(memfd.fileno(), 0) as mapped:
            assert sum(mapped[:: mmap.PAGESIZE]) == 0  # every page is in use
            both = memory_of([os.getpid()]) - before
    for grown in (unmapped, both):
        assert 60 * MEGABYTES < grown < 80 * MEGABYTES


def test_descendants_are_found_and_ended_ones_have_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", _CHILD], stdin=subprocess.PIPE) as process:
        while len(found := descendants(process.pid)) < 2:
            time.sleep(0.01)
        assert found[0] == process.pid
        assert memory_of(found) > memory_of(found[:1]) > MEGABYTES
        process.communicate(b"\n")
    assert memory_of(found) == 0


def test_samples_of_a_time() -> None:
    begun = time.monotonic()
    with MemorySampler(os.getpid(), 0.01) as sampler:
        while len(sampler.samples) < 3:
            time.sleep(0.01)
    first, *_, last = sampler.samples
    assert begun <= first.at
    assert sampler.peak_between(first.at, last.at) >= sampler.median_between(first.at, last.at) > 0
    with pytest.raises(ValueError, match="no samples"):
        sampler.peak_between(begun - 2, begun - 1)
