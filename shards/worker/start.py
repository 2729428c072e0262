"""What a worker is started with. A file of its own: the supervisor needs no more of a worker."""

from typing import NamedTuple

from shards.config.generation import GenerationStart

WORKER_TARGET = "shards.worker.process:main"
"""The target of a worker process."""


class WorkerStart(NamedTuple):
    """How a worker starts.

    `worker`: its number; `run`: identifies the run of the service. `generations`: the configuration
    and, after a death, those that its deliveries since the last checkpoint may need: the oldest
    first. `is_first`: it was not started before, and restores the backlogs of an earlier run.
    `written_until`: position up to which the lines of the worker before it are written. `position`:
    where that one was, if there are no checkpoints, from which it would be known.
    """

    worker: int
    run: str
    generations: tuple[GenerationStart, ...]
    is_first: bool = True
    written_until: int = 0
    position: int = 0
