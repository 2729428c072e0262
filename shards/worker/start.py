"""What a worker is started with. A file of its own: the supervisor needs no more of a worker."""

from typing import NamedTuple

from shards.config.generation import GenerationStart

WORKER_TARGET = "shards.worker.process:main"
"""The target of a worker process."""


class Written(NamedTuple):
    """Which lines of a worker are written: those of deliveries up to `position`.

    `last_event`: the position of the last event among them. What time alone causes is written, too,
    before that event, and after it until `clock`, in seconds since the epoch; 0 for nothing.
    """

    position: int = 0
    last_event: int = 0
    clock: int = 0


NOTHING_WRITTEN = Written()


class WorkerStart(NamedTuple):
    """How a worker starts.

    `worker`: its number; `run`: identifies the run of the service. `generations`: the configuration
    and, after a death, those that its deliveries since the last checkpoint may need: the oldest
    first. `is_first`: it was not started before, and restores the backlogs of an earlier run.
    `written`: which lines of the worker before it are. `position`: where that one was, if there
    are no checkpoints, from which it would be known.
    """

    worker: int
    run: str
    generations: tuple[GenerationStart, ...]
    is_first: bool = True
    written: Written = NOTHING_WRITTEN
    position: int = 0
