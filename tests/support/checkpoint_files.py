"""Checkpoint files for tests, with any rows in them."""

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import BacklogRow

NOW = 1741075200 * 10**9
"""A time in ns since the epoch."""


@contextmanager
def open_store(path: Path) -> Iterator[CheckpointStore]:
    """The store of a file, closed at the end."""
    with closing(CheckpointStore(path)) as store:
        yield store


def states(
    store: CheckpointStore, directives: Collection[int] | None = None
) -> tuple[tuple[int, bytes], ...]:
    """Directive and state of all backlogs, or of those of some directives."""
    return tuple((row.directive, row.state) for row in store.load(directives))


def load_rows(path: Path) -> tuple[tuple[int, bytes], ...]:
    """Directive and state of all backlogs."""
    with open_store(path) as store:
        return states(store)


def rows_of(number: int, size: int, fill: bytes = b"x") -> list[BacklogRow]:
    """Rows of directive 1 with a state of `size` bytes each."""
    return [BacklogRow(1, f"event-{n}", n, fill * size) for n in range(number)]
