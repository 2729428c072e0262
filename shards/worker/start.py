"""What a worker is started with. A file of its own: the supervisor needs no more of a worker."""

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from engine.asset import Asset
from engine.directives.packed_directives import PackedDirectives
from engine.options import Options
from shards.settings.settings import Settings

if TYPE_CHECKING:  # places without lookups do without their libraries
    from shards.lookups.source_config import LookupSource

WORKER_TARGET = "shards.worker.process:main"
"""The target of a worker process."""


class WorkerSetup(Struct, frozen=True):
    """The set-up of a worker."""

    settings: Settings
    options: Options
    directives: PackedDirectives
    assets: tuple[Asset, ...]
    sources: "tuple[LookupSource, ...]" = ()


class WorkerStart(NamedTuple):
    """How a worker starts.

    `worker`: its number; `run`: identifies the run of the service. `is_first`: it was not started
    before, and restores the backlogs of an earlier run. `written_until`: position up to which the
    lines of the worker before it are written. `position`: where that one was, if there are no
    checkpoints, from which it would be known.
    """

    worker: int
    run: str
    is_first: bool = True
    written_until: int = 0
    position: int = 0
