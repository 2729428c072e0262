"""The longest pause of correlation while a checkpoint is written, after all backlogs have changed.

In this process: a shard, its checkpointer, and events as fast as they are taken. A pause is the
time from the end of one batch to the end of the next.
"""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.engine.engine_setup import parse_valid_directives
from benchmarks.support import synthetic
from benchmarks.support.measure import Figure
from engine.asset import NetworkAssets
from engine.correlation.directive_set import DirectiveSet
from engine.directives.asset_document import parse_assets
from engine.directives.packed_directives import PackedDirectives
from engine.options import Options
from shards.checkpoint import database_file
from shards.checkpoint.checkpointer import Checkpointer
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.stats import CheckpointStats
from shards.ipc import memory
from shards.settings.settings import Settings
from shards.worker.shard import Shard

SECTION = "pause"
_BACKLOGS = 5000
_BATCH = 100
_OCCURRENCES = (1, 1_000_000, 1)


def run(quick: bool) -> list[Figure]:
    """Measure the section `pause`, with few and with many events in each backlog."""
    figures: list[Figure] = []
    for ids in (1, 50) if quick else (1, 100, 300):
        with TemporaryDirectory() as folder:
            figures += uvloop.run(_figures(Settings(log_dir=Path(folder)), ids))
    return figures


async def _figures(settings: Settings, ids: int) -> list[Figure]:
    shard, checkpointer = _shard_and_checkpointer(settings)
    stats = checkpointer.stats
    generator, pairs, now = (
        synthetic.CurrentEventGenerator(ids),
        synthetic.address_pairs(_BACKLOGS),
        int(time.time()),
    )
    for _ in range(1 + ids):
        shard.process_batch(0, generator.one_per_pair(pairs), now)
        shard.make_report(stats)
    batches = [generator.random_events(_BATCH, pairs, [synthetic.FIRST_SID]) for _ in range(200)]
    memory.tune_memory()
    without = await _longest_pause(shard, stats, batches, asyncio.sleep(1))
    pauses = []
    for _ in range(3):
        shard.process_batch(0, generator.one_per_pair(pairs), now)
        pauses.append(await _longest_pause(shard, stats, batches, checkpointer.write_checkpoint()))
    name = f"checkpoint, 5,000 of {ids} events: pause"
    return [
        Figure(SECTION, name, max(pauses) * 1000, "ms", 20),
        Figure(SECTION, "  without it", without * 1000, "ms"),
    ]


def _shard_and_checkpointer(settings: Settings) -> tuple[Shard, Checkpointer]:
    """A shard with one directive, whose backlogs stay at stage 2, and its checkpointer."""
    path = checkpoint_path(settings)
    database_file.prepare_database(path)
    options = Options(expiry_grace=10, track_changes=True)
    packed = PackedDirectives.pack(parse_valid_directives(synthetic.directives(1, _OCCURRENCES)))
    assets = NetworkAssets(parse_assets(synthetic.assets())[0])
    shard = Shard(settings, options, DirectiveSet(packed, assets))
    checkpointer = Checkpointer(
        shard.correlator, packed, shard.progress, settings, options, first_start=True
    )
    return shard, checkpointer


async def _longest_pause(
    shard: Shard,
    stats: CheckpointStats,
    batches: list[list[bytes]],
    work: Coroutine[Any, Any, None],
) -> float:
    """Correlate batches until `work` is finished; return the longest pause in seconds."""
    task = asyncio.ensure_future(work)
    longest, last_end, number = 0.0, time.perf_counter(), 0
    while not task.done():
        shard.process_batch(0, batches[number % len(batches)], int(time.time()))
        number += 1
        if number % 5 == 0:
            shard.make_report(stats)
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last_end = max(longest, now - last_end), now
    await task
    return longest
