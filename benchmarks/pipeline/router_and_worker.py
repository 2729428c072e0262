"""The CPU time of a router and of a worker in this process; another process reads their pipes.

Events come in reads and batches as under load, without sockets and HTTP.
"""

import gc
import os
import subprocess
from asyncio import gather, sleep
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from time import process_time_ns, time
from typing import Any

import msgspec
import uvloop

from benchmarks.engine.engine_setup import parse_valid_directives
from benchmarks.support import synthetic
from benchmarks.support.measure import Figure, calibrate, cpu_nanos
from engine.asset import NetworkAssets
from engine.correlation.directive_set import DirectiveSet
from engine.directives.asset_document import parse_assets
from engine.directives.index import routing_keys_of
from engine.directives.packed_directives import PackedDirectives
from engine.options import Options
from shards.checkpoint.stats import CheckpointStats
from shards.clock import WallClock
from shards.config.generation import RouterConfig
from shards.ipc.framing import encode_frame
from shards.ipc.messages import Batch
from shards.router.router import Router
from shards.router.routing_table import RoutingTable
from shards.router.send_queue import SendQueue
from shards.settings.settings import Settings
from shards.worker.shard import Shard

SECTION = "parts"
_READ_EVENTS = 450
"""Events in one read of a socket under load: 250 kB, the most that uvloop reads."""
_BATCH_EVENTS = 120
"""Events in a batch of 64 KiB."""
_DIRECTIVES = 100


def run(quick: bool) -> list[Figure]:
    """Measure the section `parts`."""
    repeats = 3 if quick else 7
    tenth = list(synthetic.CurrentEventGenerator(21).stream(24_000, 0.1))
    all_matching = list(synthetic.CurrentEventGenerator(22).stream(24_000, 1.0))
    return [
        _figure("router by itself: an event", lambda: _time_routing(tenth), tenth, repeats, 1.5),
        _figure(
            "worker by itself: a matching one",
            lambda: _time_correlation(all_matching),
            all_matching,
            repeats,
        ),
    ]


def _figure(
    name: str,
    time_all: Callable[[], Coroutine[Any, Any, int]],
    raws: Sequence[bytes],
    repeats: int,
    target: float | None = None,
) -> Figure:
    runs = [(uvloop.run(time_all()), cpu_nanos(lambda: calibrate, raws)) for _ in range(repeats)]
    micros = median(nanos for nanos, _ in runs) / len(raws) / 1000
    times = median(nanos / unit for nanos, unit in runs)
    return Figure(SECTION, name, micros, "µs", target, times_calibration=times)


async def _time_routing(raws: Sequence[bytes]) -> int:
    """CPU nanoseconds to route these events, those that match into the pipes of two workers."""
    settings = Settings()
    keep = settings.max_queue, settings.retain_bytes, 1, WallClock().now
    queues = [SendQueue(*keep), SendQueue(*keep)]
    router = Router(_routing_table(), queues)
    with _drained_pipe() as first, _drained_pipe() as second, _gc_frozen():
        for queue, pipe in zip(queues, (first, second), strict=True):
            queue.attach_pipe(pipe, 0)
        nanos = 0
        for read in _batches(raws, _READ_EVENTS):
            start = process_time_ns()
            router.route(read)
            await sleep(0)  # the queues write
            await sleep(0)
            nanos += process_time_ns() - start
        start = process_time_ns()
        await gather(*(queue.close() for queue in queues))
        nanos += process_time_ns() - start
    assert sum(queue.sent - queue.queued for queue in queues) == len(
        synthetic.matching_events(raws)
    )
    return nanos


async def _time_correlation(raws: Sequence[bytes]) -> int:
    """CPU nanoseconds to correlate these events, from frames of events to frames of lines."""
    shard, stats, now = _shard(), CheckpointStats(), int(time())
    decode = msgspec.msgpack.Decoder(Batch).decode
    nanos = lines = 0
    with _drained_pipe() as pipe, _gc_frozen():
        for batch in _batches(raws, _BATCH_EVENTS):
            before = shard.progress.position
            frame = encode_frame(Batch(before + 1, before + len(batch), now, False, batch))[4:]
            start = process_time_ns()
            received = decode(frame)
            shard.process_batch(received.last, received.events, received.now)
            report = shard.make_report(stats)
            os.write(pipe, encode_frame(report))
            nanos += process_time_ns() - start
            lines += report.alarm_events.count(b"\n")
        os.close(pipe)
    assert lines == len(synthetic.matching_events(raws))
    return nanos


def _routing_table() -> RoutingTable:
    keys = [
        routing_keys_of(directive)
        for directive in parse_valid_directives(synthetic.directives(_DIRECTIVES))
    ]
    assets = tuple(parse_assets(synthetic.assets())[0])
    return RoutingTable(1, RouterConfig(msgspec.msgpack.encode(keys), assets), Settings())


def _shard() -> Shard:
    directives = PackedDirectives.pack(parse_valid_directives(synthetic.directives(_DIRECTIVES)))
    assets = NetworkAssets(parse_assets(synthetic.assets())[0])
    return Shard(Settings(), Options(expiry_grace=10), DirectiveSet(directives, assets))


def _batches(raws: Sequence[bytes], size: int) -> Iterator[list[bytes]]:
    """Batches of `size` events, copied so that they are in the CPU's caches, as after a read."""
    for at in range(0, len(raws), size):
        yield [bytes(bytearray(raw)) for raw in raws[at : at + size]]


@contextmanager
def _drained_pipe() -> Iterator[int]:
    """The write end of a pipe that another process reads; the caller closes it."""
    reader, writer = os.pipe()
    with subprocess.Popen(("cat",), stdin=reader, stdout=subprocess.DEVNULL) as drain:
        os.close(reader)
        try:
            yield writer
        finally:
            drain.kill()


@contextmanager
def _gc_frozen() -> Iterator[None]:
    """Hide existing objects from the garbage collector, as in a service."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
