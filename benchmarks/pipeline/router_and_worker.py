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

from benchmarks.engine.loaded import parsed
from benchmarks.pipeline.http_service import LiveMaker, matched
from benchmarks.support import workload
from benchmarks.support.measure import Figure, calibration, cpu_nanos
from engine.directives.asset_document import parse_assets
from engine.directives.index import routing_keys_of
from engine.options import Options
from shards.checkpoint.checkpointer import CheckpointStats
from shards.ipc.framing import encode_frame
from shards.router.router import Router, RouterSetup
from shards.router.send_queue import SendQueue
from shards.settings.settings import Settings
from shards.worker.shard import Shard, WorkerSetup

SECTION = "parts"
_READ = 450
"""Events of a read from a socket while more are waiting: 250 kB, as much as uvloop reads."""
_BATCH = 120
"""Events of a batch of 64 KiB."""
_DIRECTIVES = 100


def run(quick: bool) -> list[Figure]:
    """The figures of this section."""
    repeats = 3 if quick else 7
    few = list(LiveMaker(21).stream(24_000, 0.1))
    all_of_them = list(LiveMaker(22).stream(24_000, 1.0))
    return [
        _figure("router by itself: an event", lambda: _routed(few), few, repeats, 1.5),
        _figure(
            "worker by itself: a matching one", lambda: _taken(all_of_them), all_of_them, repeats
        ),
    ]


def _figure(
    name: str,
    work: Callable[[], Coroutine[Any, Any, int]],
    raws: Sequence[bytes],
    repeats: int,
    target: float | None = None,
) -> Figure:
    runs = [(uvloop.run(work()), cpu_nanos(lambda: calibration, raws)) for _ in range(repeats)]
    micros = median(taken for taken, _ in runs) / len(raws) / 1000
    times = median(taken / unit for taken, unit in runs)
    return Figure(SECTION, name, micros, "µs", target, times_calibration=times)


async def _routed(raws: Sequence[bytes]) -> int:
    """CPU nanoseconds of routing these, 1 in 10 of which goes into the pipe of a worker."""
    outlets = [SendQueue(25_000), SendQueue(25_000)]
    router = Router(_router_setup(), outlets)
    with _drained() as first, _drained() as second, _frozen():
        for outlet, pipe in zip(outlets, (first, second), strict=True):
            outlet.attach_pipe(0, pipe)
        taken = 0
        for read in _as_received(raws, _READ):
            start = process_time_ns()
            router.route(read)
            await sleep(0)  # the outlets write
            await sleep(0)
            taken += process_time_ns() - start
        start = process_time_ns()
        await gather(*(outlet.close() for outlet in outlets))
        taken += process_time_ns() - start
    assert sum(outlet.written[0] for outlet in outlets) == len(matched(raws))
    return taken


async def _taken(raws: Sequence[bytes]) -> int:
    """CPU nanoseconds of correlating these, from frames of events to frames of lines."""
    shard, stats, now = Shard(_worker_setup()), CheckpointStats(), int(time())
    decode = msgspec.msgpack.Decoder(list[bytes]).decode
    taken = lines = 0
    with _drained() as pipe, _frozen():
        for batch in _as_received(raws, _BATCH):
            frame = encode_frame(batch)[4:]
            start = process_time_ns()
            shard.process_batch(0, decode(frame), now)
            report = shard.make_report((), stats)
            os.write(pipe, encode_frame(report))
            taken += process_time_ns() - start
            lines += report.alarm_events.count(b"\n")
        os.close(pipe)
    assert lines == len(matched(raws))
    return taken


def _router_setup() -> RouterSetup:
    keys = [routing_keys_of(directive) for directive in parsed(workload.directives(_DIRECTIVES))]
    return RouterSetup(
        Settings(), msgspec.msgpack.encode(keys), tuple(parse_assets(workload.assets())[0])
    )


def _worker_setup() -> WorkerSetup:
    directives = msgspec.msgpack.encode(parsed(workload.directives(_DIRECTIVES)))
    assets = tuple(parse_assets(workload.assets())[0])
    return WorkerSetup(Settings(), Options(expiry_grace=10), directives, assets)


def _as_received(raws: Sequence[bytes], size: int) -> Iterator[list[bytes]]:
    """So many at a time, as warm as bytes that have just been received."""
    for at in range(0, len(raws), size):
        yield [bytes(bytearray(raw)) for raw in raws[at : at + size]]


@contextmanager
def _drained() -> Iterator[int]:
    """The writing end of a pipe that a process reads; whoever gets it closes it."""
    reader, writer = os.pipe()
    with subprocess.Popen(("cat",), stdin=reader, stdout=subprocess.DEVNULL) as drain:
        os.close(reader)
        try:
            yield writer
        finally:
            drain.kill()


@contextmanager
def _frozen() -> Iterator[None]:
    """What is loaded is out of the garbage collector's sight, as in a service."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
