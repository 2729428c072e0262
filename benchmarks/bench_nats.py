"""The speed of the service over NATS, against targets: `python benchmarks/bench_nats.py`.

A publisher, a nats-server and all processes of a service in cluster-backend mode with two workers
and checkpoints share two cores. At the end of each run every event must be accounted for, in the
ledger and in the files.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from threading import Event, Thread
from types import MappingProxyType
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from msgspec.structs import replace

from benchmarks.cluster.nats_service import MAX_LINE_DELAY, SERVICE_KINDS, SIDS, Load, Outcome, run
from benchmarks.support import report, synthetic
from benchmarks.support.measure import Figure
from benchmarks.support.search import search_rate
from tests.support.frontend import Reply
from tests.support.lookup_server import WISE_HIT, LookupServer
from tests.support.nats_server import free_port

_TENTH_RATE, _ALL_RATE = 150_000, 75_000
"""Events per second when 1 in 10 matches, and when all match."""
_LATENCY_RATE = 50_000
"""Events per second for the measurement of latency."""


def sustained(quick: bool) -> list[Figure]:
    """1 in 10 events match; then the same events with 10,000 directives in place of 100."""
    seconds = _seconds(quick)
    small = run(_load(_TENTH_RATE, 0.1), seconds)
    large = run(_load(_TENTH_RATE, 0.1, 10_000), seconds)
    shown = large
    if not large.sustained:
        shown = run(_load(int(_TENTH_RATE * 0.85), 0.1, 10_000), seconds)
    ratio = large.cpu_micros(*SERVICE_KINDS) / small.cpu_micros(*SERVICE_KINDS)
    return [
        *_figures("sustained", "1 in 10 matching", small, _TENTH_RATE, {"router": 3.5, "all": 5.0}),
        *_figures("10,000 directives", "the same, 10,000 directives", shown, _TENTH_RATE * 0.85),
        Figure("10,000 directives", "  CPU, to that with 100", ratio, "×", 1.15),
    ]


def matching(quick: bool) -> list[Figure]:
    """All events match."""
    outcome = run(_load(_ALL_RATE, 1.0), _seconds(quick))
    return _figures("matching", "all matching", outcome, _ALL_RATE)


def backlogs(quick: bool) -> list[Figure]:
    """All events match one directive, so that one worker does all the work; all stay at stage 2."""
    load = Load(synthetic.directives(1, synthetic.STAY_AT_STAGE_2), _ALL_RATE, 1.0, SIDS[:1], 5000)
    outcome = run(load, _seconds(quick))
    return _figures("backlogs", "one directive, 5,000 open backlogs", outcome, _ALL_RATE)


def latency(quick: bool) -> list[Figure]:
    """The time from when an event is due to be published until its line can be read."""
    outcome = run(_load(_LATENCY_RATE, 0.1), _seconds(quick), measure_latency=True)
    permille = quantiles(outcome.latencies, n=1000)
    return [
        *_figures("latency", "1 in 10 matching, for latency", outcome, _LATENCY_RATE),
        Figure("latency", "  publish to line, p50", median(outcome.latencies) * 1000, "ms"),
        Figure("latency", "  publish to line, p99", permille[989] * 1000, "ms", 50),
        Figure("latency", "  publish to line, p99.9", permille[998] * 1000, "ms"),
    ]


def lookups(quick: bool) -> list[Figure]:
    """All matching, at half the rate: without lookups, with lookups of addresses, and of ports too.

    Nearly every event has a different port, so that far more ports are due than can be looked up.
    """
    seconds, rate = _seconds(quick), _ALL_RATE // 2
    with LookupServer(Reply(body=WISE_HIT)) as wise, LookupServer() as nesd:
        intel = _sources("intel", "Wise", f"{wise.url}/ip/${{ip}}")
        vuln = _sources("vuln", "Nesd", f"{nesd.url}/?ip=${{ip}}&port=${{port}}")
        without = run(_load(rate, 1.0), seconds)
        figures = _figures("lookups", "all matching, no lookups", without, rate)
        for name, files in (("addresses looked up", intel), ("ports too", intel | vuln)):
            outcome = run(replace(_load(rate, 1.0), sources=files), seconds)
            ratio = outcome.cpu_micros(*SERVICE_KINDS) / without.cpu_micros(*SERVICE_KINDS)
            figures += _figures("lookups", f"the same, {name}", outcome, rate)
            figures += [
                Figure("lookups", "  CPU, to that without", ratio, "×"),
                Figure("lookups", "  requests", len(wise.asked) + len(nesd.asked), ""),
            ]
            wise.asked.clear()
    return figures


def ops(quick: bool) -> list[Figure]:
    """All matching, at half the rate: without an ops port, and with its pages fetched."""
    seconds, load = _seconds(quick), _load(_ALL_RATE // 2, 1.0)
    port = free_port()
    ratios: list[float] = []
    figures: list[Figure] = []
    for _ in range(3):
        without = run(load, seconds, options=["--ops-port=0"])
        with _fetching(port, ("/livez", "/readyz", "/metrics", "/status")):
            fetched = run(load, seconds, options=[f"--ops-port={port}", "--metrics-per-directive"])
        ratios.append(fetched.cpu_micros(*SERVICE_KINDS) / without.cpu_micros(*SERVICE_KINDS))
        figures = _figures("ops", "all matching, metrics and status asked for", fetched, load.rate)
    return [*figures, Figure("ops", "  CPU, to that without, median", median(ratios), "×", 1.03)]


@contextmanager
def _fetching(port: int, paths: Sequence[str]) -> Iterator[None]:
    """Fetch each of these pages once a second in a thread; failures are ignored."""
    stopped = Event()

    def fetch() -> None:
        while not stopped.wait(1.0):
            for path in paths:
                with (
                    suppress(OSError),
                    urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response,
                ):
                    response.read()

    thread = Thread(target=fetch)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _sources(kind: str, plugin: str, url: str) -> dict[str, bytes]:
    """The config file of one lookup source, by name."""
    config = msgspec.json.encode({"url": url}).decode()
    source = {"name": "bench", "plugin": plugin, "enabled": True, "config": config}
    return {f"{kind}_bench.json": msgspec.json.encode({f"{kind}_sources": [source]})}


def limit(quick: bool) -> list[Figure]:
    """Search the highest sustained rate."""
    seconds = 5 if quick else 10
    return [
        *_limit("1 in 10 matching", _TENTH_RATE, 0.1, seconds),
        *_limit("all matching", _ALL_RATE, 1.0, seconds),
    ]


def _limit(name: str, rate: int, share: float, seconds: int) -> Iterator[Figure]:
    """The highest sustained rate, 0 if there is none, and the lowest that failed."""
    other_cores: list[float] = []

    def sustains(rate: int) -> bool:
        outcome = run(_load(rate, share), seconds)
        other_cores.append(outcome.other_cores)
        return outcome.sustained

    found = search_rate(sustains, rate)
    yield Figure("limit", f"{name}: sustained", found.sustained, "events/s")
    yield Figure("limit", "  no longer sustained", found.failed, "events/s")
    yield Figure("limit", "  other work on the cores, at most", max(other_cores), "cores")


def _seconds(quick: bool) -> int:
    return 5 if quick else 30


def _load(rate: int, share: float, directives: int = 100) -> Load:
    return Load(synthetic.directives(directives), rate, share, SIDS)


def _figures(
    section: str,
    name: str,
    outcome: Outcome,
    rate: float,
    cpu_targets: Mapping[str, float] = MappingProxyType({}),
) -> list[Figure]:
    """The figures of a run. `rate`: target of the rate; `cpu_targets`: µs by kind of process."""

    def cost(text: str, kind: str, kinds: Sequence[str]) -> Figure:
        micros = outcome.cpu_micros(*kinds)
        times, target = micros / outcome.calibration, cpu_targets.get(kind)
        name = f"  CPU an event: {text}"
        return Figure(section, name, micros, "µs", target, times_calibration=times)

    return [
        Figure(section, name, outcome.rate, "events/s", rate, at_least=True),
        Figure(section, "  events lost", outcome.lost, "", 0),
        *_delay_figures(section, outcome),
        cost("the service", "all", SERVICE_KINDS),
        cost("its router", "router", ["router"]),
        cost("its workers", "worker", ["worker"]),
        cost("its supervisor", "supervisor", ["supervisor"]),
        cost("nats-server", "nats-server", ["nats-server"]),
        cost("publisher", "publisher", ["publisher"]),
        Figure(section, "  memory at the end", outcome.pss / 1e6, "MB"),
        Figure(section, "  other work on the cores", outcome.other_cores, "cores"),
    ]


def _delay_figures(section: str, outcome: Outcome) -> list[Figure]:
    """Delays of the last line, unless lines are missing, and of the publisher."""
    delay = outcome.report.max_delay * 1000
    figures = [Figure(section, "  publisher behind, at most", delay, "ms")]
    if outcome.line_delay is not None:
        name = "  last line after the end"
        figures.insert(0, Figure(section, name, outcome.line_delay, "s", MAX_LINE_DELAY))
    return figures


SECTIONS: Mapping[str, Callable[[bool], list[Figure]]] = {
    "sustained": sustained,
    "matching": matching,
    "backlogs": backlogs,
    "latency": latency,
    "lookups": lookups,
    "ops": ops,
    "limit": limit,
}
_USUAL = ("sustained", "matching", "backlogs", "latency")


if __name__ == "__main__":
    sys.exit(report.run(__doc__, "dsiem-shards stopped NATS", "bench_nats", SECTIONS, usual=_USUAL))
