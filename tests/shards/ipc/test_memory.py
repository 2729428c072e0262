"""Memory settings of a process that loads, or has finished loading."""

import subprocess
import sys

FAULTS = """
import resource
from shards.ipc.memory import tune_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        large = [bytes(200_000), bytes(200_000)]
        del large
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

untuned = faults()
tune_memory()
faults()
print(untuned, faults())
"""


def test_large_blocks_that_are_freed_are_used_again() -> None:
    ended = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    untuned, tuned = map(int, ended.stdout.split())
    assert untuned > 2000, "glibc retains freed blocks by itself: tune_memory() need not"
    assert tuned < 200


RETAINED = """
from pathlib import Path
from shards.ipc.memory import return_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def retained():
    for size in (24 << 20, 20 << 20):  # the first makes glibc retain the second
        large = b"x" * size
        above = [bytes(1000) for _ in range(10_000)]
        before = resident()
        del large
    return (20 << 20) - (before - resident())

print(WHAT)
"""


def test_a_loader_returns_large_blocks_even_if_a_larger_one_was_freed_before() -> None:
    def retained(what: str) -> int:
        code = RETAINED.replace("WHAT", what)
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return int(ended.stdout)

    assert retained("retained()") > 16 << 20, "glibc returns them by itself"
    assert retained("(return_large_blocks(), retained())[1]") < 4 << 20
