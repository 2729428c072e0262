"""What other services of a node have saved of the directives of this one.

Services that divide the directives of a node can share a log folder. After another --cluster-size
the checkpoint of a directive is that of the service that had it, until the one here is further.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from loguru import logger
from msgspec import Struct

from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.paths import checkpoint_path, node_checkpoint_paths
from shards.checkpoint.readable import wait_until_readable
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.stream_positions import SavedShard, last_owners
from shards.positions import base_of, life_of, sequence_of
from shards.progress import TrackProgress, untracked
from shards.settings.settings import Settings


class Checkpoints(Struct, frozen=True):
    """Where the shards of a service find what is saved of their directives.

    `shards`: all that may have had some of them. `taken_over`: checkpoints of other services, with
    the directives that these had last; what the own one has of them is outdated.
    """

    own: CheckpointStore
    shards: Sequence[SavedShard] = ()
    taken_over: Mapping[Path, Collection[int]] = MappingProxyType({})


def find_checkpoints(
    own: CheckpointStore,
    settings: Settings,
    directives: Collection[int],
    track_progress: TrackProgress = untracked,
) -> Checkpoints:
    """Find out which checkpoint has what was saved last of each of these directives.

    Without a readable checkpoint of its own a service does not ask for others.
    """
    try:
        rows = own.load_shards()
    except CheckpointError:  # which is logged when backlogs are read
        return Checkpoints(own)
    mine = [SavedShard(row, settings.cluster_part, checkpoint_path(settings)) for row in rows]
    shards = [*mine, *load_others(settings, rows, track_progress)]
    taken_over: dict[Path, set[int]] = {}
    for directive, shard in last_owners(shards, directives):
        if shard.path != checkpoint_path(settings):
            taken_over.setdefault(shard.path, set()).add(directive)
    return Checkpoints(own, shards, taken_over)


def load_others(
    settings: Settings, own: Collection[ShardRow], track_progress: TrackProgress = untracked
) -> list[SavedShard]:
    """The shards of other services when the node had another number of them.

    Their positions are as if this service had read the stream: see `_PositionsHere`. Logs what
    cannot be read; where events wait in a stream, waits until it can be.
    """
    if not settings.reload_backlogs:
        return []
    found = [
        SavedShard(row, part, path)
        for part, path in node_checkpoint_paths(settings).items()
        if part != settings.cluster_part
        for row in _load_rows(path, settings, track_progress)
        if row.nodes != settings.cluster_size
    ]
    here = _PositionsHere(settings, own, [shard.row for shard in found])
    return [shard._replace(row=here.convert(shard.row)) for shard in found]


def _load_rows(path: Path, settings: Settings, track_progress: TrackProgress) -> list[ShardRow]:
    if settings.source_keeps_events:
        with closing(CheckpointStore(path)) as store:
            wait_until_readable(store, track_progress)
    try:
        # A new store: one that has found the file damaged would replace it at the next call.
        with closing(CheckpointStore(path)) as store:
            return store.load_shards()
    except CheckpointError as error:
        logger.error(f"the crash checkpoint of another service cannot be read: {error}")
        return []


class _PositionsHere:
    """Converts positions of other services to those of this one.

    Each service counts the lives of a stream itself, since it first read it. A position in a stream
    that this service does not know says nothing here, nor does one in the spool of another.
    """

    def __init__(
        self, settings: Settings, own: Iterable[ShardRow], others: Iterable[ShardRow]
    ) -> None:
        self._lives: dict[str, int] = {}
        """The life of the stream that the node reads, by its identity."""
        for rows in (own, others):
            read = [row for row in rows if row.stream.startswith(f"{settings.stream}@")]
            if read and settings.stream and not self._lives:
                newest = max(read, key=lambda row: row.at)
                self._lives[newest.stream] = life_of(newest.position)

    def convert(self, row: ShardRow) -> ShardRow:
        """The row with its position here, or with none."""
        life = self._lives.get(row.stream)
        if life is None:
            return row._replace(position=0, stream="")
        return row._replace(position=base_of(life) + sequence_of(row.position))
