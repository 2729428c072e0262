"""Set-up in shared memory, loaded by real child processes."""

from multiprocess import get_context
from multiprocess.connection import Connection

from shards.ipc.shared_setup import SharedSetup

LARGE = {"bytes": b"x" * 1_000_000, "number": 1}


def _load(setup: SharedSetup, reply: Connection) -> None:
    reply.send(setup.load() == LARGE)


def test_each_child_loads_the_whole_set_up() -> None:
    context = get_context("spawn")
    setup = SharedSetup(LARGE)
    ours, theirs = context.Pipe()
    children = [context.Process(target=_load, args=(setup, theirs)) for _ in range(2)]
    for child in children:
        child.start()
    try:
        assert [ours.poll(60) and ours.recv() for _ in children] == [True, True]
    finally:
        for child in children:
            child.join(60)
            child.kill()
    assert [child.exitcode for child in children] == [0, 0]
