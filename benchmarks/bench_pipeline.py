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

from benchmarks.pipeline import checkpoint_pause, router_and_worker
from benchmarks.pipeline.http_service import HttpService
from benchmarks.support import report, synthetic
from benchmarks.support.measure import Figure
from benchmarks.support.service_process import ROOT, FileTail, Seconds, event_id


@contextmanager
def service_with(document: bytes) -> Iterator[HttpService]:
    """A service with these directives and the assets of the benchmarks."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "assets_bench.json").write_bytes(synthetic.assets())
        (Path(folder) / "directives_bench.json").write_bytes(document)
        with running_service(Path(folder)) as service:
            yield service


@contextmanager
def running_service(configs: Path) -> Iterator[HttpService]:
    """A service with this config folder; at the end its ledger and files are checked."""
    service = HttpService(configs)
    try:
        yield service
        service.stop()
    finally:
        service.kill()


def flood(quick: bool) -> list[Figure]:
    """CPU time of each kind of process, with events as fast as the router takes them."""
    count, repeats = (20_000, 2) if quick else (100_000, 5)
    with service_with(synthetic.directives(100)) as service:
        tenth = _flood(service, 31, count, repeats, 0.1)
        all_matching = _flood(service, 51, count // 3, repeats, 1.0)

    def cost(name: str, kind: str, runs: Sequence[Run], target: float | None = None) -> Figure:
        return Figure("flood", name, median(run.cost(kind) for run in runs), "µs", target)

    def rate(name: str, runs: Sequence[Run]) -> Figure:
        return Figure("flood", name, median(run.events / run.seconds for run in runs), "events/s")

    return [
        cost("worker: a matching event", "worker", tenth, 8.0),
        cost("  when all match", "worker", all_matching),
        cost("supervisor: an alarm event", "supervisor", tenth, 0.6),
        cost("  when all match", "supervisor", all_matching),
        cost("router, over HTTP: an event", "router", tenth),
        rate("1 in 10 matching", tenth),
        rate("all matching", all_matching),
    ]


class Run(Struct, frozen=True):
    """Posted events, matching events, CPU seconds by kind of process, and seconds of the run."""

    events: int
    matching: int
    cpu: Seconds
    seconds: float

    def cost(self, kind: str) -> float:
        """CPU microseconds of a kind of process per event; only matching ones reach a worker."""
        return self.cpu[kind] * 1e6 / (self.events if kind == "router" else self.matching)


def _flood(service: HttpService, seed: int, count: int, repeats: int, share: float) -> list[Run]:
    """`repeats` runs with `count` events each, after one to warm up."""
    sizes = [count // 5] + [count] * repeats
    runs = [
        _post_all(service, list(synthetic.CurrentEventGenerator(seed + number).stream(size, share)))
        for number, size in enumerate(sizes)
    ]
    return runs[1:]


def _post_all(service: HttpService, raws: Sequence[bytes]) -> Run:
    """Post these events, and wait for their lines."""
    before = service.cpu_by_kind()
    seconds = service.post_all(raws)
    after = service.cpu_by_kind()
    cpu = {kind: after[kind] - before[kind] for kind in after}
    return Run(len(raws), len(synthetic.matching_events(raws)), cpu, seconds)


def growth(quick: bool) -> list[Figure]:
    """Growth of the CPU time per event with the number of directives and of open backlogs."""
    count, repeats = (10_000, 3) if quick else (20_000, 7)

    def ratio(documents: tuple[bytes, bytes], pairs: tuple[int, int], share: float) -> float:
        first, second = map(service_with, documents)
        with first as small, second as large:  # measured in turns
            services = (
                _LoadedService(small, pairs[0], share),
                _LoadedService(large, pairs[1], share),
            )
            runs = [[service.cpu_micros(count) for service in services] for _ in range(repeats)]
        return median(large_micros / small_micros for small_micros, large_micros in runs)

    documents = synthetic.directives(10), synthetic.directives(10_000)
    one_directive = synthetic.directives(1, synthetic.STAY_AT_STAGE_2)
    directives = ratio(documents, (400, 400), 0.1)
    backlogs = ratio((one_directive, one_directive), (100, 5000), 1.0)
    return [
        Figure("growth", "10,000 directives to 10", directives, "×", 1.15),
        Figure("growth", "5,000 open backlogs to 100", backlogs, "×", 1.15),
    ]


class _LoadedService:
    """A service with an open backlog for each pair of addresses, and events for it."""

    def __init__(self, service: HttpService, pairs: int, share: float) -> None:
        self._service = service
        self._generator = synthetic.CurrentEventGenerator(71)
        self._pairs = synthetic.address_pairs(pairs)
        self._share = share
        service.post_all(self._generator.one_per_pair(self._pairs))

    def cpu_micros(self, count: int) -> float:
        """Post `count` events; CPU microseconds of all processes per event."""
        matching, random = int(count * self._share), self._generator.random.random
        unknown = range(synthetic.UNKNOWN_SID, synthetic.UNKNOWN_SID + 500)
        raws = [
            *self._generator.random_events(matching, self._pairs, [synthetic.FIRST_SID]),
            *self._generator.random_events(count - matching, self._pairs, unknown),
        ]
        raws.sort(key=lambda raw: random())
        return sum(_post_all(self._service, raws).cpu.values()) / count * 1e6


def steady(quick: bool) -> list[Figure]:
    """CPU time and latency at 1,000 events/s, 1 in 10 matching."""
    seconds = 4 if quick else 10
    with service_with(synthetic.directives(100)) as service:
        service.post_all(list(synthetic.CurrentEventGenerator(80).stream(5000, 0.1)))
        idle_cores = _idle_cores(service)
        ten_per_post = _post_paced(service, 81, seconds, 10)
        one_per_post = _post_paced(service, 82, seconds // 2, 1)
    return [
        *_paced_figures("100 posts of 10 a second", ten_per_post, 25.0, 5.0),
        *_paced_figures("1,000 posts a second", one_per_post),
        Figure("steady", "no events: CPU of all", idle_cores * 100, "%"),
    ]


def _idle_cores(service: HttpService) -> float:
    """Cores that the service uses without events."""
    before = sum(service.cpu_by_kind().values())
    time.sleep(2)
    return (sum(service.cpu_by_kind().values()) - before) / 2


def _paced_figures(
    name: str, run: tuple[float, list[float]], cpu: float | None = None, p50: float | None = None
) -> list[Figure]:
    cores, latencies = run
    p99 = quantiles(latencies, n=100)[-1]
    return [
        Figure("steady", f"{name}: CPU of all", cores * 100, "%", cpu),
        Figure("steady", "  post to line, p50", median(latencies) * 1000, "ms", p50),
        Figure("steady", "  post to line, p99", p99 * 1000, "ms"),
    ]


def _post_paced(
    service: HttpService, seed: int, seconds: int, body_events: int
) -> tuple[float, list[float]]:
    """Post 1,000 events/s: the cores used, and the latency of each line.

    A latency is in seconds from the time at which the post of the event was due.
    """
    raws = list(synthetic.CurrentEventGenerator(seed).stream(1000 * seconds, 0.1))
    bodies = [raws[at : at + body_events] for at in range(0, len(raws), body_events)]
    due: dict[str, float] = {}
    before, start = sum(service.cpu_by_kind().values()), time.monotonic() + 0.1
    with FileTail(service.alarm_events) as tail:
        for number, body in enumerate(bodies):
            at = start + number * body_events / 1000
            matching = synthetic.matching_events(body)
            due |= dict.fromkeys(map(event_id, matching), at)
            time.sleep(max(0.0, at - time.monotonic()))
            service.post(b"\n".join(body), len(body), len(matching))
        service.wait_for_lines()
    used, passed = sum(service.cpu_by_kind().values()) - before, time.monotonic() - start
    return used / passed, [tail.seen_at[event_id] - at for event_id, at in due.items()]


def idle(quick: bool) -> list[Figure]:
    """Memory (PSS) and CPU of a service without events, and the time of its start."""
    directives = 4000 if quick else 23_500
    with running_service(ROOT / "deploy/example/configs") as service:
        time.sleep(1)
        example = service.pss()
    with service_with(synthetic.directives(directives)) as service:
        cores = _idle_cores(service)
        large, start = service.pss(), service.start_seconds
    return [
        Figure("idle", "memory, the example's config", example / 1e6, "MB", 160),
        Figure("idle", f"memory, {directives:,} directives", large / 1e6, "MB", 400),
        Figure("idle", "  CPU of all", cores * 100, "%"),
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
