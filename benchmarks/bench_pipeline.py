"""How fast the service is, each figure against its target: `python benchmarks/bench_pipeline.py`.

A source posts to router, workers and supervisor, all of them on two cores; their CPU times come
from /proc. At its end each service has to account for every event, in its ledger and its files.
"""

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from threading import Event, Thread

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import uvloop

from benchmarks import report, workload
from benchmarks.loaded import parsed
from benchmarks.measure import Figure, calibration, cpu_nanos
from benchmarks.per_event import LONG
from benchmarks.served import ROOT, LiveMaker, Seconds, Served, matched
from engine.asset import parse_assets
from engine.index import keys_of
from shards.outlet import Outlet
from shards.router import Router, RouterSetup
from shards.settings import Settings

_RESULTS = Path(__file__).parent / "results" / "bench_pipeline.json"
_READ_EVENTS = 120
"""Events that a read from a socket brings, in 64 KiB."""


@contextmanager
def serving(document: bytes) -> Iterator[Served]:
    """A service with these directives and the assets of the workload."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "assets_bench.json").write_bytes(workload.assets())
        (Path(folder) / "directives_bench.json").write_bytes(document)
        with running(Path(folder)) as served:
            yield served


@contextmanager
def running(configs: Path) -> Iterator[Served]:
    """A service with this config, checked at its end."""
    served = Served(configs)
    try:
        yield served
        served.stop()
    finally:
        served.kill()


def router(quick: bool) -> list[Figure]:
    """The router by itself, receiving aside."""
    repeats = 3 if quick else 7
    raws = list(LiveMaker(21).stream(24_000, 0.1))
    runs = [(asyncio.run(_routed(raws)), cpu_nanos(lambda: calibration, raws)) for _ in range(repeats)]
    micros = median(taken for taken, _ in runs) / len(raws) / 1000
    times = median(taken / unit for taken, unit in runs)
    name = "router, receiving aside: an event"
    return [Figure("router", name, micros, "µs", 1.5, times_calibration=times)]


async def _routed(raws: Sequence[bytes]) -> int:
    """CPU nanoseconds of routing these, 1 in 10 of which goes into the pipe of a worker."""
    keys = tuple(keys_of(directive) for directive in parsed(workload.directives(100)))
    outlets = [Outlet(25_000), Outlet(25_000)]
    setup = RouterSetup(Settings(), keys, tuple(parse_assets(workload.assets())[0]), 0)
    shards = Router(setup, outlets)
    drains = [_drained(outlet) for outlet in outlets]
    gc.collect()
    gc.freeze()
    taken = 0
    for at in range(0, len(raws), _READ_EVENTS):
        read = [bytes(bytearray(raw)) for raw in raws[at : at + _READ_EVENTS]]  # as just received
        start = time.process_time_ns()
        for raw in read:
            shards.route(raw)
        shards.flush()
        await asyncio.sleep(0)  # the outlets write
        await asyncio.sleep(0)
        taken += time.process_time_ns() - start
    start = time.process_time_ns()
    await asyncio.gather(*(outlet.close() for outlet in outlets))
    taken += time.process_time_ns() - start
    gc.unfreeze()
    written = sum(drain.wait() or sum(outlet.written.values()) for drain, outlet in zip(drains, outlets, strict=True))
    assert written == len(matched(raws)) == shards.events.routed
    return taken


def _drained(outlet: Outlet) -> "subprocess.Popen[bytes]":
    """Attach the outlet to a pipe that a process reads as a worker would."""
    reader, writer = os.pipe()
    drain = subprocess.Popen(("cat",), stdin=reader, stdout=subprocess.DEVNULL)
    os.close(reader)
    outlet.attach(0, writer)
    return drain


def flood(quick: bool) -> list[Figure]:
    """Events as fast as the router takes them: what each kind of process spends on its part."""
    count, repeats = (20_000, 2) if quick else (100_000, 3)
    with serving(workload.directives(100)) as served:
        few = _flood(served, 31, count, repeats, 0.1)
        all_of_them = _flood(served, 51, count // 3, repeats, 1.0)

    def figure(name: str, values: Sequence[float], target: float | None = None) -> Figure:
        return Figure("flood", name, median(values), "µs", target)

    return [
        figure("worker: a matching event", [t["worker"] / n * 1e6 for _, n, t, _ in few], 8.0),
        figure("  when all are", [t["worker"] / n * 1e6 for _, n, t, _ in all_of_them]),
        figure("supervisor: an alarm event", [t["supervisor"] / n * 1e6 for _, n, t, _ in few], 0.6),
        figure("  when all match", [t["supervisor"] / n * 1e6 for _, n, t, _ in all_of_them]),
        figure("router, over HTTP: an event", [t["router"] / n * 1e6 for n, _, t, _ in few]),
        Figure("flood", "1 in 10 matching", median(n / s for n, _, _, s in few), "events/s"),
        Figure("flood", "all matching", median(n / s for n, _, _, s in all_of_them), "events/s"),
    ]


Run = tuple[int, int, Seconds, float]
"""Events, those matching, CPU seconds by kind, seconds."""


def _flood(served: Served, seed: int, count: int, repeats: int, share: float) -> list[Run]:
    """The first run is to warm up."""
    runs: list[Run] = []
    for number in range(1 + repeats):
        raws = list(LiveMaker(seed + number).stream(count if number else count // 5, share))
        taken, seconds = _fed(served, raws)
        runs.append((len(raws), len(matched(raws)), taken, seconds))
    return runs[1:]


def _fed(served: Served, raws: Sequence[bytes]) -> tuple[Seconds, float]:
    """CPU seconds by kind, and seconds, of these events, up to their lines."""
    before = served.cpu()
    seconds = served.feed(raws)
    after = served.cpu()
    return {kind: after[kind] - before[kind] for kind in after}, seconds


def growth(quick: bool) -> list[Figure]:
    """Whether events cost more where there is more that they do not concern: two services in turns."""
    count, repeats = (10_000, 3) if quick else (20_000, 7)

    def ratio(few: bytes, lots: bytes, few_pairs: int, lots_pairs: int, share: float) -> float:
        with serving(few) as small, serving(lots) as big:
            sides = (_Side(small, few_pairs, share), _Side(big, lots_pairs, share))
            runs = [[side.micros(count) for side in sides] for _ in range(repeats)]
        return median(big / small for small, big in runs)

    few, lots = workload.directives(10), workload.directives(10_000)
    long = workload.directives(1, LONG)
    return [
        Figure("growth", "10,000 directives to 10", ratio(few, lots, 400, 400, 0.1), "×", 1.15),
        Figure("growth", "5,000 open backlogs to 100", ratio(long, long, 100, 5000, 1.0), "×", 1.15),
    ]


class _Side:
    """One of two services, and its events: each of its pairs has a backlog open."""

    def __init__(self, served: Served, pairs: int, share: float) -> None:
        self._served = served
        self._maker = LiveMaker(71)
        self._pairs = workload.pairs(pairs)
        self._share = share
        served.feed(self._maker.one_each(self._pairs))

    def micros(self, count: int) -> float:
        """CPU time of all processes for an event."""
        known, pick = [workload.FIRST_SID], self._maker.random.random
        unknown = range(workload.UNKNOWN_SID, workload.UNKNOWN_SID + 500)
        raws = [
            *self._maker.drawn(int(count * self._share), self._pairs, known),
            *self._maker.drawn(count - int(count * self._share), self._pairs, unknown),
        ]
        raws.sort(key=lambda raw: pick())
        return sum(_fed(self._served, raws)[0].values()) / count * 1e6


def steady(quick: bool) -> list[Figure]:
    """1,000 events/s, 1 in 10 matching: CPU, and from when a post was due to the line in the file."""
    seconds = 4 if quick else 10
    with serving(workload.directives(100)) as served:
        served.feed(list(LiveMaker(80).stream(5000, 0.1)))
        before, start = sum(served.cpu().values()), time.monotonic()
        time.sleep(2)
        idle = (sum(served.cpu().values()) - before) / (time.monotonic() - start)
        tens = _paced(served, 81, seconds, 10)
        single = _paced(served, 82, seconds // 2, 1)
    return [
        *_paced_figures("100 posts of 10 a second", tens, 0.25, 5.0),
        *_paced_figures("1,000 posts a second", single),
        Figure("steady", "no events: CPU of all", idle * 100, "%"),
    ]


def _paced_figures(
    name: str, run: tuple[float, list[float]], cpu: float | None = None, p50: float | None = None
) -> list[Figure]:
    load, latencies = run
    p99 = quantiles(latencies, n=100)[-1]
    return [
        Figure("steady", f"{name}: CPU of all", load * 100, "%", None if cpu is None else cpu * 100),
        Figure("steady", "  post to line, p50", median(latencies) * 1000, "ms", p50),
        Figure("steady", "  post to line, p99", p99 * 1000, "ms"),
    ]


def _paced(served: Served, seed: int, seconds: int, body_events: int) -> tuple[float, list[float]]:
    """The cores used, and for each line its seconds since the post of its event was due."""
    raws = list(LiveMaker(seed).stream(1000 * seconds, 0.1))
    bodies = [raws[at : at + body_events] for at in range(0, len(raws), body_events)]
    due: dict[str, float] = {}
    before, start = sum(served.cpu().values()), time.monotonic() + 0.1
    with _Tail(served.alarm_events) as tail:
        for number, body in enumerate(bodies):
            at = start + number * body_events / 1000
            known = matched(body)
            due |= dict.fromkeys(map(_event_id, known), at)
            time.sleep(max(0.0, at - time.monotonic()))
            served.post(b"\n".join(body), len(body), len(known))
        served.await_lines()
    taken, passed = sum(served.cpu().values()) - before, time.monotonic() - start
    return taken / passed, [tail.seen[event_id] - at for event_id, at in due.items()]


class _Id(msgspec.Struct):
    event_id: str


_ids = msgspec.json.Decoder(_Id)


def _event_id(raw: bytes) -> str:
    return _ids.decode(raw).event_id


class _Tail(Thread):
    """Follows the alarm events file, and notes when each line is there to be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, float] = {}
        self._file = path.open("rb")
        self._file.seek(0, os.SEEK_END)
        self._rest = b""
        self._ended = Event()

    def run(self) -> None:
        """Look twice a millisecond."""
        while not self._ended.wait(0.0005):
            self._look()
        self._look()

    def _look(self) -> None:
        read, now = self._file.read(), time.monotonic()
        whole, _, self._rest = (self._rest + read).rpartition(b"\n")
        for line in whole.splitlines():
            self.seen[_event_id(line)] = now

    def __enter__(self) -> "_Tail":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()


def idle(quick: bool) -> list[Figure]:
    """What a service occupies that has nothing to do, PSS of all processes; and its start."""
    directives = 4000 if quick else 23_500
    with running(ROOT / "deploy/example/configs") as served:
        time.sleep(1.5)
        example = served.pss()
    with serving(workload.directives(directives)) as served:
        time.sleep(1.5)
        many, start = served.pss(), served.start_seconds
        before = sum(served.cpu().values())
        time.sleep(2)
        cpu = (sum(served.cpu().values()) - before) / 2
    return [
        Figure("idle", "memory, the example's config", example / 1e6, "MB", 160),
        Figure("idle", f"memory, {directives:,} directives", many / 1e6, "MB", 400),
        Figure("idle", "  CPU of all", cpu * 100, "%"),
        Figure("idle", "  from start to serving", start, "s"),
    ]


SECTIONS: Mapping[str, Callable[[bool], list[Figure]]] = {
    "router": router,
    "flood": flood,
    "growth": growth,
    "steady": steady,
    "idle": idle,
}


def main() -> int:
    """Run the sections asked for; 0 when every target is met, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=_RESULTS, help="file for the figures")
    parser.add_argument("--quick", action="store_true", help="fewer events and repeats")
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", metavar="NAME", help="one section of them"
    )
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # all children too
    figures: list[Figure] = []
    for name in arguments.only or SECTIONS:
        figures += SECTIONS[name](arguments.quick)
    report.show(figures)
    report.save(figures, arguments.json)
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    uvloop.install()
    sys.exit(main())
