"""Memory settings of a process that has finished loading."""

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
