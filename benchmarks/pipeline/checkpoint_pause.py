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

import msgspec
import uvloop

from benchmarks.engine.loaded import parsed
from benchmarks.pipeline.http_service import LiveMaker
from benchmarks.support import workload
from benchmarks.support.measure import Figure
from engine.directives.asset_document import parse_assets
from engine.options import Options
from shards.checkpoint import database_file
from shards.checkpoint.checkpointer import Checkpointer, CheckpointStats, checkpoint_path
from shards.ipc import memory
from shards.settings.settings import Settings
from shards.worker.shard import Shard, WorkerSetup

SECTION = "pause"
_BACKLOGS = 5000
_BATCH = 100
_STAYS_OPEN = (1, 1_000_000, 1)


def run(quick: bool) -> list[Figure]:
    """The figures of this section, with few and with many events in each backlog."""
    figures: list[Figure] = []
    for ids in (1, 50) if quick else (1, 100, 300):
        with TemporaryDirectory() as folder:
            figures += uvloop.run(_figures(Settings(log_dir=Path(folder)), ids))
    return figures


async def _figures(settings: Settings, ids: int) -> list[Figure]:
    shard, checkpointer = _checkpointed(settings)
    stats = checkpointer.stats
    maker, pairs, now = LiveMaker(ids), workload.pairs(_BACKLOGS), int(time.time())
    for _ in range(1 + ids):
        shard.process_batch(0, maker.one_each(pairs), now)
        shard.make_report((), stats)
    batches = [maker.draw_all(_BATCH, pairs, [workload.FIRST_SID]) for _ in range(200)]
    memory.tune_memory()
    alone = await _longest(shard, stats, batches, asyncio.sleep(1))
    beside = []
    for _ in range(3):
        shard.process_batch(0, maker.one_each(pairs), now)
        beside.append(await _longest(shard, stats, batches, checkpointer.write_checkpoint()))
    name = f"checkpoint, 5,000 of {ids} events: pause"
    return [
        Figure(SECTION, name, max(beside) * 1000, "ms", 20),
        Figure(SECTION, "  without it", alone * 1000, "ms"),
    ]


def _checkpointed(settings: Settings) -> tuple[Shard, Checkpointer]:
    """A shard of one directive whose backlogs stay open, and its checkpointer."""
    path = checkpoint_path(settings)
    database_file.prepare_database(path)
    options = Options(expiry_grace=10, track_changes=True)
    directives = msgspec.msgpack.encode(parsed(workload.directives(1, _STAYS_OPEN)))
    assets = tuple(parse_assets(workload.assets())[0])
    shard = Shard(WorkerSetup(settings, options, directives, assets))
    checkpointer = Checkpointer(
        shard.correlator, shard.directives, shard.ledger, settings, options, first_start=True
    )
    return shard, checkpointer


async def _longest(
    shard: Shard,
    stats: CheckpointStats,
    batches: list[list[bytes]],
    until: Coroutine[Any, Any, None],
) -> float:
    """Correlate until something is done; the longest that a batch and the wait before it took."""
    done = asyncio.ensure_future(until)
    longest, last, number = 0.0, time.perf_counter(), 0
    while not done.done():
        shard.process_batch(0, batches[number % len(batches)], int(time.time()))
        number += 1
        if number % 5 == 0:
            shard.make_report((), stats)
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await done
    return longest
