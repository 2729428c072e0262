"""The set-up of a shard, and the configurations that it can use one after the other."""

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from engine.asset import NetworkAssets
from engine.correlation.directive_set import DirectiveSet
from engine.options import Options
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.readable import wait_until_readable
from shards.checkpoint.restore import saved_generation
from shards.checkpoint.store import CheckpointStore
from shards.config.config_folder import engine_options
from shards.config.generation import GenerationStart, WorkerConfig
from shards.ipc.shared_value import SharedValue
from shards.progress import TrackProgress, untracked
from shards.settings.settings import Settings
from shards.worker.start import WorkerStart

if TYPE_CHECKING:  # places without lookups do without their libraries
    from shards.lookups.source_config import LookupSource


class LoadedConfig(NamedTuple):
    """A WorkerConfig that can be used at once."""

    directives: DirectiveSet
    sources: "tuple[LookupSource, ...]" = ()


def load_config(_: int, value: SharedValue, track_progress: TrackProgress) -> LoadedConfig:
    """Load a WorkerConfig, as Preparations want it."""
    config: WorkerConfig = value.load()
    if config.sources:
        import shards.worker.enrichment  # noqa: F401, PLC0415 - in this thread, since it takes long
    assets = NetworkAssets(track_progress(config.assets))
    return LoadedConfig(DirectiveSet(config.directives, assets, track_progress), config.sources)


def shard_options(settings: Settings, *, lookups: bool) -> Options:
    """The engine's options in a worker; `lookups`: whether there are sources for them."""
    return replace(
        engine_options(settings),
        expiry_grace=settings.expiry_grace,
        lookups=lookups,
        track_changes=settings.checkpoint_interval > 0,
        count_by_directive=settings.metrics_per_directive,
    )


def first_generation(
    settings: Settings, start: WorkerStart, track_progress: TrackProgress = untracked
) -> GenerationStart:
    """The one to begin with: that of the last checkpoint, since its deliveries come next.

    If it is not known, all deliveries are given again that there have been: the first one. Waits
    until the checkpoint can be read if it is going to be waited for anyway.
    """
    saved = None
    if settings.checkpoint_interval and not start.is_first:
        with closing(CheckpointStore(checkpoint_path(settings))) as store:
            saved = saved_generation(store, start.worker, start.run)
            if saved is None and settings.source_keeps_events:
                wait_until_readable(store, track_progress)
                saved = saved_generation(store, start.worker, start.run)
    known = {begun.generation: begun for begun in start.generations}
    return known.get(saved or 0, start.generations[0])
