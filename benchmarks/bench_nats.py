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
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from msgspec.structs import replace

from benchmarks.cluster.nats_service import PATIENCE, SERVICE, Load, Outcome, run
from benchmarks.engine.per_event import LONG
from benchmarks.support import report, workload
from benchmarks.support.measure import Figure
from tests.support.frontend import Reply
from tests.support.lookup_server import WISE_HIT, LookupServer
from tests.support.nats_server import free_port

_TENTH, _ALL = 150_000, 75_000
"""Events a second when 1 in 10 matches, and when all do."""
_PEACEFUL = 50_000
"""Events a second under which the time from publish to line is measured."""
_FOUR = tuple(workload.FIRST_SID + directive - 1 for directive in (1, 2, 3, 9))
"""Signatures of four directives, two of which live in each of two workers."""


def sustained(quick: bool) -> list[Figure]:
    """1 in 10 matching; the same with a hundred times as many directives, of no more concern."""
    seconds = _seconds(quick)
    few = run(_load(_TENTH, 0.1), seconds)
    lots = run(_load(_TENTH, 0.1, 10_000), seconds)
    most = lots if lots.sustained else run(_load(int(_TENTH * 0.85), 0.1, 10_000), seconds)
    ratio = lots.micros(*SERVICE) / few.micros(*SERVICE)
    return [
        *_figures("sustained", "1 in 10 matching", few, _TENTH, {"router": 3.5, "all": 5.0}),
        *_figures("10,000 directives", "the same, 10,000 directives", most, _TENTH * 0.85),
        Figure("10,000 directives", "  CPU, to that with 100", ratio, "×", 1.15),
    ]


def matching(quick: bool) -> list[Figure]:
    """All events match."""
    return _figures("matching", "all matching", run(_load(_ALL, 1.0), _seconds(quick)), _ALL)


def backlogs(quick: bool) -> list[Figure]:
    """One directive, so one worker does it all; all events stay at stage 2."""
    load = Load(workload.directives(1, LONG), _ALL, 1.0, _FOUR[:1], 5000)
    outcome = run(load, _seconds(quick))
    return _figures("backlogs", "one directive, 5,000 open backlogs", outcome, _ALL)


def latency(quick: bool) -> list[Figure]:
    """From when an event was due to be published until its line can be read."""
    outcome = run(_load(_PEACEFUL, 0.1), _seconds(quick), tail=True)
    parts = quantiles(outcome.draw_latencies, n=1000)
    return [
        *_figures("latency", "1 in 10 matching, for latency", outcome, _PEACEFUL),
        Figure("latency", "  publish to line, p50", median(outcome.draw_latencies) * 1000, "ms"),
        Figure("latency", "  publish to line, p99", parts[989] * 1000, "ms", 50),
        Figure("latency", "  publish to line, p99.9", parts[998] * 1000, "ms"),
    ]


def lookups(quick: bool) -> list[Figure]:
    """All matching, at half the rate: without lookups, with those of addresses, and of ports too.

    Nearly every event has a port of its own, so that of ports far more is due than can be asked.
    """
    seconds, rate = _seconds(quick), _ALL // 2
    with LookupServer(Reply(body=WISE_HIT)) as wise, LookupServer() as nesd:
        intel = _sources("intel", "Wise", f"{wise.url}/ip/${{ip}}")
        vuln = _sources("vuln", "Nesd", f"{nesd.url}/?ip=${{ip}}&port=${{port}}")
        without = run(_load(rate, 1.0), seconds)
        figures = _figures("lookups", "all matching, no lookups", without, rate)
        for name, files in (("addresses looked up", intel), ("ports too", intel | vuln)):
            outcome = run(replace(_load(rate, 1.0), sources=files), seconds)
            ratio = outcome.micros(*SERVICE) / without.micros(*SERVICE)
            figures += _figures("lookups", f"the same, {name}", outcome, rate)
            figures += [
                Figure("lookups", "  CPU, to that without", ratio, "×"),
                Figure("lookups", "  requests", len(wise.asked) + len(nesd.asked), ""),
            ]
            wise.asked.clear()
    return figures


def ops(quick: bool) -> list[Figure]:
    """All matching, at half the rate: without health, metrics and status, and asked each second."""
    seconds, load = _seconds(quick), _load(_ALL // 2, 1.0)
    port = free_port()
    ratios: list[float] = []
    figures: list[Figure] = []
    for _ in range(3):
        without = run(load, seconds, options=["--ops-port=0"])
        with _asking(port, ("/livez", "/readyz", "/metrics", "/status")):
            asked = run(load, seconds, options=[f"--ops-port={port}", "--metrics-per-directive"])
        ratios.append(asked.micros(*SERVICE) / without.micros(*SERVICE))
        figures = _figures("ops", "all matching, metrics and status asked for", asked, load.rate)
    return [*figures, Figure("ops", "  CPU, to that without, median", median(ratios), "×", 1.03)]


@contextmanager
def _asking(port: int, paths: Sequence[str]) -> Iterator[None]:
    """Meanwhile ask for each of these once a second, as soon as somebody answers."""
    over = Event()

    def ask() -> None:
        while not over.wait(1.0):
            for path in paths:
                with suppress(OSError), urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as got:
                    got.read()

    thread = Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _sources(kind: str, plugin: str, url: str) -> dict[str, bytes]:
    """The file of a source."""
    config = msgspec.json.encode({"url": url}).decode()
    source = {"name": "bench", "plugin": plugin, "enabled": True, "config": config}
    return {f"{kind}_bench.json": msgspec.json.encode({f"{kind}_sources": [source]})}


def limit(quick: bool) -> list[Figure]:
    """How high it goes: the rate doubled until it no longer sustains it, and halfway back."""
    seconds = 5 if quick else 10
    return [
        *_limit("1 in 10 matching", _TENTH, 0.1, seconds),
        *_limit("all matching", _ALL, 1.0, seconds),
    ]


def _limit(name: str, rate: int, share: float, seconds: int) -> Iterator[Figure]:
    """The highest rate sustained; 0 when not even the first one is."""
    others: list[float] = []

    def holds(rate: int) -> bool:
        outcome = run(_load(rate, share), seconds)
        others.append(outcome.others)
        return outcome.sustained

    good, bad = 0, rate
    while holds(bad):
        good, bad = bad, bad * 2
    for _ in range(3 if good else 0):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    yield Figure("limit", f"{name}: sustained", good, "events/s")
    yield Figure("limit", "  no longer sustained", bad, "events/s")
    yield Figure("limit", "  other work on the cores, at most", max(others), "cores")


def _seconds(quick: bool) -> int:
    return 5 if quick else 30


def _load(rate: int, share: float, directives: int = 100) -> Load:
    return Load(workload.directives(directives), rate, share, _FOUR)


def _figures(
    section: str, name: str, outcome: Outcome, rate: float, most: Mapping[str, float] | None = None
) -> list[Figure]:
    """What is known of a run; `most`: targets of CPU time, of a kind of process or of all."""
    targets = most or {}

    def cost(text: str, what: str, kinds: Sequence[str]) -> Figure:
        micros = outcome.micros(*kinds)
        times = micros / outcome.calibration
        name = f"  CPU an event: {text}"
        return Figure(section, name, micros, "µs", targets.get(what), times_calibration=times)

    return [
        Figure(section, name, outcome.rate, "events/s", rate, at_least=True),
        Figure(section, "  events lost", outcome.lost, "", 0),
        *_lateness(section, outcome),
        cost("the service", "all", SERVICE),
        cost("its router", "router", ["router"]),
        cost("its workers", "worker", ["worker"]),
        cost("its supervisor", "supervisor", ["supervisor"]),
        cost("nats-server", "nats-server", ["nats-server"]),
        cost("publisher", "publisher", ["publisher"]),
        Figure(section, "  memory at the end", outcome.pss / 1e6, "MB"),
        Figure(section, "  other work on the cores", outcome.others, "cores"),
    ]


def _lateness(section: str, outcome: Outcome) -> list[Figure]:
    behind, late = outcome.report.behind, outcome.late
    last = (
        [] if late is None else [Figure(section, "  last line after the end", late, "s", PATIENCE)]
    )
    return [*last, Figure(section, "  publisher behind, at most", behind * 1000, "ms")]


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
    sys.exit(report.run(__doc__, "dsiem-shards over NATS", "bench_nats", SECTIONS, usual=_USUAL))
