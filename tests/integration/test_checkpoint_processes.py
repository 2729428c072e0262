"""The checkpoint file shared by processes, which can be killed at any moment."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from shards.checkpoint.database_file import prepare_database
from tests.support.checkpoint_files import load_rows, open_store, states
from tests.support.paths import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A prepared file."""
    path = tmp_path / "backlogs.db"
    prepare_database(path)
    return path


SAVER = """
import sys
from pathlib import Path
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import BacklogRow

path, directive, generations = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = CheckpointStore(path)
store.load()
print("ready", flush=True)
sys.stdin.readline()
for generation in range(1, generations + 1):
    state = b"%d " % generation + b"x" * (generation % 7 * 1500)
    rows = [BacklogRow(directive, f"event-{n}", n, state) for n in range(300)]
    odd = [BacklogRow(directive, f"odd-{n}", 300 + n, state) for n in range(100)]
    closed = [] if generation % 2 else [row[:2] for row in odd]
    marks = {"handed_over" if generation % 2 else "reclaimed": [directive]}
    store.save(rows + (odd if generation % 2 else []), closed, generation, **marks)
    print(generation, flush=True)
store.close()
"""


@contextmanager
def saver(path: Path, directive: int, generations: int) -> Iterator[subprocess.Popen[str]]:
    """A process that is ready to save one generation after the other; it prints each number."""
    command = [sys.executable, "-c", SAVER, str(path), str(directive), str(generations)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def start_saving(child: subprocess.Popen[str]) -> None:
    assert child.stdin
    child.stdin.write("\n")
    child.stdin.flush()


def saved_generation(path: Path) -> int:
    """The generation of all rows; checks that the file holds exactly what belongs to it."""
    with open_store(path) as store:
        found = [state for _, state in states(store)]
        marks, saved_at = store.handed_over_directives(), store.last_saved_ns()
    [generation] = {int(state.split()[0]) for state in found} or {0}
    odd = generation % 2 == 1
    assert (len(found), len(marks)) == ((400, 1) if odd else (300 if generation else 0, 0))
    assert set(saved_at.values()) == ({generation} if generation else set())
    return generation


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_process_leaves_its_last_complete_save(seed: int, path: Path) -> None:
    random = Random(seed)
    with saver(path, 1, 1_000_000) as child:
        assert child.stdout
        start_saving(child)
        for _ in range(random.randrange(1, 40)):
            printed = int(child.stdout.readline())
        time.sleep(random.uniform(0, 0.02))  # so that the kill hits any moment of a save
        child.send_signal(signal.SIGKILL)
        printed = int([str(printed), *child.stdout.read().split()][-1])
    if seed % 2:
        prepare_database(path)
    assert saved_generation(path) in (printed, printed + 1)


def test_concurrent_saves_of_two_processes_are_both_complete(path: Path) -> None:
    with saver(path, 1, 41) as one, saver(path, 2, 51) as other:
        for child in (one, other):
            start_saving(child)
        for child, last in ((one, 41), (other, 51)):
            assert child.communicate()[0].split() == [str(n) for n in range(1, last + 1)]
            assert child.returncode == 0
    found = Counter((directive, state.split()[0]) for directive, state in load_rows(path))
    assert found == {(1, b"41"): 400, (2, b"51"): 400}
