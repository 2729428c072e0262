"""What a JetStream stream costs, and how fast it is read: `python benchmarks/bench_stream.py`.

As bench_nats.py: publisher, nats-server and all processes of a service share two cores. Core NATS
and stream take turns within one run, since machines differ, and what else they do.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.cluster.nats_service import (
    SERVICE_KINDS,
    SIDS,
    Load,
    NatsService,
    Outcome,
    run,
    running_service,
)
from benchmarks.support import report, synthetic
from benchmarks.support.measure import Figure
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer

STREAM = ("--stream=bench", "--stream-create")
_PAIRS = 3
"""Runs of each kind."""
_PARTS = {"the service": SERVICE_KINDS, "router": ("router",), "workers": ("worker",)}
_PUBLISH_RATE = 150_000
"""Events per second while nobody reads."""


def cost(quick: bool) -> list[Figure]:
    """CPU time of an event from a stream, to that of one over core NATS."""
    return [
        *_cost("1 in 10 matching", 50_000, 0.1, quick),
        *_cost("all matching", 25_000, 1.0, quick),
    ]


def _cost(name: str, rate: int, share: float, quick: bool) -> list[Figure]:
    load, seconds = Load(synthetic.directives(100), rate, share, SIDS), 5 if quick else 15
    pairs = [
        (run(load, seconds), run(load, seconds, options=STREAM))
        for _ in range(1 if quick else _PAIRS)
    ]
    _check(outcome for pair in pairs for outcome in pair)
    figures: list[Figure] = []
    for part, kinds in _PARTS.items():
        core, stream = ([pair[n].cpu_micros(*kinds) for pair in pairs] for n in (0, 1))
        ratio = median(s / c for c, s in zip(core, stream, strict=True))
        target = 1.2 if part == "the service" else None
        figures += [
            Figure("cost", f"{name}, {part}: core NATS", median(core), "µs"),
            Figure("cost", "  stream", median(stream), "µs"),
            Figure("cost", "  stream, to core NATS", ratio, "×", target),
        ]
    return figures


def _check(outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        if not outcome.complete:
            raise RuntimeError(f"events are missing: {outcome.ledger}")


def catch_up(quick: bool) -> list[Figure]:
    """How fast events are read that were published while the router was stopped."""
    return [
        *_catch_up("1 in 10 matching", 0.1, 150_000, quick),
        *_catch_up("all matching", 1.0, None, quick),
    ]


def _catch_up(name: str, share: float, target: float | None, quick: bool) -> list[Figure]:
    load = Load(synthetic.directives(100), _PUBLISH_RATE, share, SIDS)
    rates, memory = [], 0
    for _ in range(1 if quick else _PAIRS):
        rate, pss = _catch_up_once(load, 2 if quick else 6)
        rates.append(rate)
        memory = max(memory, pss)
    return [
        Figure("catch-up", name, median(rates), "events/s", target, at_least=True),
        Figure("catch-up", "  memory of the service after it, at most", memory / 1e6, "MB"),
    ]


def _catch_up_once(load: Load, seconds: float) -> tuple[float, int]:
    def create(server: NatsServer, frontend: Frontend) -> NatsService:
        return NatsService(server, frontend, *STREAM)

    with running_service(load, create) as (service, server, _):
        return service.run_after_pause(load.plan(server.port, seconds))


SECTIONS: Mapping[str, Callable[[bool], list[Figure]]] = {"cost": cost, "catch-up": catch_up}


if __name__ == "__main__":
    sys.exit(report.run(__doc__, "dsiem-shards from a stream", "bench_stream", SECTIONS))
