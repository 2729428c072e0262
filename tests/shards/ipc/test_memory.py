"""What a settled process does with memory."""

import subprocess
import sys

FAULTS = """
import resource
from shards import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        large = [bytes(200_000), bytes(200_000)]
        del large
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

unsettled = faults()
memory.settle()
faults()
print(unsettled, faults())
"""


def test_large_blocks_that_are_freed_are_used_again() -> None:
    ended = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    unsettled, settled = map(int, ended.stdout.split())
    assert unsettled > 2000, "glibc no longer gives them back: settle() need not keep them"
    assert settled < 200
