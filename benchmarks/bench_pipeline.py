"""The speed of the service over HTTP, against targets: `python benchmarks/bench_pipeline.py`.

A client posts to router, workers and supervisor, all of them on two cores; their CPU times come
from /proc. At the end each service must account for every event, in its ledger and its files.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec import Struct

from benchmarks.engine.per_event import LONG
from benchmarks.pipeline import checkpoint_pause, router_and_worker
from benchmarks.pipeline.http_service import HttpService, LiveMaker, matched
from benchmarks.support import report, workload
from benchmarks.support.measure import Figure
from benchmarks.support.service_process import ROOT, FileTail, Seconds, event_id


@contextmanager
def serving(document: bytes) -> Iterator[HttpService]:
    """A service with these directives and the assets of the workload."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "assets_bench.json").write_bytes(workload.assets())
        (Path(folder) / "directives_bench.json").write_bytes(document)
        with running(Path(folder)) as served:
            yield served


@contextmanager
def running(configs: Path) -> Iterator[HttpService]:
    """A service with this config, checked at its end."""
    served = HttpService(configs)
    try:
        yield served
        served.stop()
    finally:
        served.kill()


def flood(quick: bool) -> list[Figure]:
    """Events as fast as the router takes them: what each kind of process spends on its part."""
    count, repeats = (20_000, 2) if quick else (100_000, 5)
    with serving(workload.directives(100)) as served:
        some = _flood(served, 31, count, repeats, 0.1)
        every = _flood(served, 51, count // 3, repeats, 1.0)

    def cost(name: str, kind: str, runs: Sequence[Run], target: float | None = None) -> Figure:
        return Figure("flood", name, median(run.cost(kind) for run in runs), "µs", target)

    def rate(name: str, runs: Sequence[Run]) -> Figure:
        return Figure("flood", name, median(run.events / run.seconds for run in runs), "events/s")

    return [
        cost("worker: a matching event", "worker", some, 8.0),
        cost("  when all match", "worker", every),
        cost("supervisor: an alarm event", "supervisor", some, 0.6),
        cost("  when all match", "supervisor", every),
        cost("router, over HTTP: an event", "router", some),
        rate("1 in 10 matching", some),
        rate("all matching", every),
    ]


class Run(Struct, frozen=True):
    """So many events that were posted, and those that matched: CPU seconds by kind, and seconds."""

    events: int
    matching: int
    cpu: Seconds
    seconds: float

    def cost(self, kind: str) -> float:
        """Microseconds of a kind of process for an event that concerns it."""
        return self.cpu[kind] * 1e6 / (self.events if kind == "router" else self.matching)


def _flood(served: HttpService, seed: int, count: int, repeats: int, share: float) -> list[Run]:
    """The first run is to warm up."""
    sizes = [count // 5] + [count] * repeats
    return [
        _fed(served, list(LiveMaker(seed + number).stream(size, share)))
        for number, size in enumerate(sizes)
    ][1:]


def _fed(served: HttpService, raws: Sequence[bytes]) -> Run:
    """Post these, and wait for their lines."""
    before = served.cpu()
    seconds = served.feed(raws)
    after = served.cpu()
    cpu = {kind: after[kind] - before[kind] for kind in after}
    return Run(len(raws), len(matched(raws)), cpu, seconds)


def growth(quick: bool) -> list[Figure]:
    """Whether events cost more where there is more that they do not concern."""
    count, repeats = (10_000, 3) if quick else (20_000, 7)

    def ratio(few: bytes, lots: bytes, few_pairs: int, lots_pairs: int, share: float) -> float:
        with serving(few) as small, serving(lots) as big:  # in turns
            sides = (_Side(small, few_pairs, share), _Side(big, lots_pairs, share))
            runs = [[side.micros(count) for side in sides] for _ in range(repeats)]
        return median(big / small for small, big in runs)

    few, lots = workload.directives(10), workload.directives(10_000)
    long = workload.directives(1, LONG)
    directives = ratio(few, lots, 400, 400, 0.1)
    backlogs = ratio(long, long, 100, 5000, 1.0)
    return [
        Figure("growth", "10,000 directives to 10", directives, "×", 1.15),
        Figure("growth", "5,000 open backlogs to 100", backlogs, "×", 1.15),
    ]


class _Side:
    """One of two services, and its events: each of its pairs has a backlog open."""

    def __init__(self, served: HttpService, pairs: int, share: float) -> None:
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
            *self._maker.draw_all(int(count * self._share), self._pairs, known),
            *self._maker.draw_all(count - int(count * self._share), self._pairs, unknown),
        ]
        raws.sort(key=lambda raw: pick())
        return sum(_fed(self._served, raws).cpu.values()) / count * 1e6


def steady(quick: bool) -> list[Figure]:
    """1,000 events/s, 1 in 10 matching: CPU, and from when a post was due to the line in a file."""
    seconds = 4 if quick else 10
    with serving(workload.directives(100)) as served:
        served.feed(list(LiveMaker(80).stream(5000, 0.1)))
        idle = _idle_load(served)
        tens = _paced(served, 81, seconds, 10)
        single = _paced(served, 82, seconds // 2, 1)
    return [
        *_paced_figures("100 posts of 10 a second", tens, 25.0, 5.0),
        *_paced_figures("1,000 posts a second", single),
        Figure("steady", "no events: CPU of all", idle * 100, "%"),
    ]


def _idle_load(served: HttpService) -> float:
    """The cores that it uses while nothing comes in."""
    before = sum(served.cpu().values())
    time.sleep(2)
    return (sum(served.cpu().values()) - before) / 2


def _paced_figures(
    name: str, run: tuple[float, list[float]], cpu: float | None = None, p50: float | None = None
) -> list[Figure]:
    load, latencies = run
    p99 = quantiles(latencies, n=100)[-1]
    return [
        Figure("steady", f"{name}: CPU of all", load * 100, "%", cpu),
        Figure("steady", "  post to line, p50", median(latencies) * 1000, "ms", p50),
        Figure("steady", "  post to line, p99", p99 * 1000, "ms"),
    ]


def _paced(
    served: HttpService, seed: int, seconds: int, body_events: int
) -> tuple[float, list[float]]:
    """The cores used, and for each line its seconds since the post of its event was due."""
    raws = list(LiveMaker(seed).stream(1000 * seconds, 0.1))
    bodies = [raws[at : at + body_events] for at in range(0, len(raws), body_events)]
    due: dict[str, float] = {}
    before, start = sum(served.cpu().values()), time.monotonic() + 0.1
    with FileTail(served.alarm_events) as tail:
        for number, body in enumerate(bodies):
            at = start + number * body_events / 1000
            known = matched(body)
            due |= dict.fromkeys(map(event_id, known), at)
            time.sleep(max(0.0, at - time.monotonic()))
            served.post(b"\n".join(body), len(body), len(known))
        served.await_lines()
    taken, passed = sum(served.cpu().values()) - before, time.monotonic() - start
    return taken / passed, [tail.seen[event_id] - at for event_id, at in due.items()]


def idle(quick: bool) -> list[Figure]:
    """What a service occupies that has nothing to do, PSS of all processes; and its start."""
    directives = 4000 if quick else 23_500
    with running(ROOT / "deploy/example/configs") as served:
        time.sleep(1)
        example = served.pss()
    with serving(workload.directives(directives)) as served:
        load = _idle_load(served)
        many, start = served.pss(), served.start_seconds
    return [
        Figure("idle", "memory, the example's config", example / 1e6, "MB", 160),
        Figure("idle", f"memory, {directives:,} directives", many / 1e6, "MB", 400),
        Figure("idle", "  CPU of all", load * 100, "%"),
        Figure("idle", "  from start to serving", start, "s"),
    ]


SECTIONS: Mapping[str, Callable[[bool], list[Figure]]] = {
    "parts": router_and_worker.run,
    "pause": checkpoint_pause.run,
    "flood": flood,
    "growth": growth,
    "steady": steady,
    "idle": idle,
}


if __name__ == "__main__":
    sys.exit(report.run(__doc__, "dsiem-shards service", "bench_pipeline", SECTIONS))
