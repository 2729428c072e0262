"""This project and its peers on the same work: `python benchmarks/compare.py --peer go=DSIEM`.

Each backend in turn runs as a cluster backend behind a real nats-server and a small frontend, with
unbounded queues, and gets the same events. Peers are binaries that you provide; without one, this
project runs alone.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.peers import alarm_comparison, summary
from benchmarks.peers.backend import OURS, PEERS, Backend
from benchmarks.peers.backend_run import Run, RunLimits, run_workload
from benchmarks.peers.running_backend import BackendStartError
from benchmarks.peers.workloads import DIMENSIONS, Workload, select_workloads
from benchmarks.support import report

_RESULTS = Path(__file__).parent / "results"
_CORES = 2


def main() -> int:
    """Run the comparison; returns 1 when a goal is missed or a difference of alarms unexplained."""
    arguments = _parser().parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])  # inherited by all children
    backends = list(_runnable([Backend(OURS), *arguments.peer]))
    versions = {backend.name: backend.version() for backend in backends}
    if arguments.correctness:
        return _compare_alarms(backends, versions, arguments.json)
    workloads = select_workloads(arguments.only, arguments.quick)
    runs = list(_runs(workloads, backends, _repeats(arguments), _limits(arguments)))
    rows = summary.summarize(workloads, runs, judged=not arguments.quick)
    summary.show(rows, len(os.sched_getaffinity(0)))
    path = arguments.json or _RESULTS / "compare.json"
    report.write(path, versions=versions, runs=runs)
    return int(any(row.missed for row in rows))


def _compare_alarms(
    backends: Sequence[Backend], versions: Mapping[str, str], path: Path | None
) -> int:
    """Compare the alarms; 1 when a difference is unexplained, 2 when this project cannot start."""
    try:
        comparisons = alarm_comparison.compare(backends, _log)
    except BackendStartError as error:
        _log(f"{backends[0].name} cannot be started: {error}")
        return 2
    alarm_comparison.show(comparisons)
    path = path or _RESULTS / "compare_alarms.json"
    report.write(path, versions=versions, compared=comparisons)
    return int(any(comparison.unexplained for comparison in comparisons))


def _runnable(backends: Sequence[Backend]) -> Iterator[Backend]:
    """The backends that can be run; logs why others cannot."""
    for backend in backends:
        if fault := backend.fault():
            _log(f"{backend.name} is left out: {fault}")
        else:
            yield backend


def _runs(
    workloads: Sequence[Workload], backends: Sequence[Backend], repeats: int, limits: RunLimits
) -> Iterator[Run]:
    """All runs; the order of the backends alternates: ours, peers, peers, ours, …

    A peer that cannot be started for its first run is left out.
    """
    excluded: set[str] = set()
    started: set[str] = set()
    for workload in workloads:
        for repeat in range(1, repeats + 1):
            for backend in backends[:: 1 if repeat % 2 else -1]:
                if backend.name in excluded or (backend.name != OURS and not workload.peers):
                    continue
                try:
                    run = run_workload(workload, backend, repeat, limits)
                    started.add(backend.name)
                except BackendStartError as error:
                    if backend.name not in started:
                        excluded.add(backend.name)
                        _log(f"{backend.name} cannot be started and is left out: {error}")
                        continue
                    key = (workload.dimension, workload.value, backend.name, repeat)
                    run = Run(*key, note=str(error))
                _log(_progress_line(workload, run))
                yield run


def _progress_line(workload: Workload, run: Run) -> str:
    note = f" ({run.note})" if run.note else ""
    return f"{workload.name}, {run.backend}, {run.repeat}: {run.rate:,.0f} events/s{note}"


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _repeats(arguments: argparse.Namespace) -> int:
    return int(arguments.repeat or (1 if arguments.quick else 3))


def _limits(arguments: argparse.Namespace) -> RunLimits:
    if arguments.quick:
        return RunLimits(4000, 2.0, arguments.limit or 20.0)
    return RunLimits(20_000, 5.0, arguments.limit or 120.0)


def _peer(text: str) -> Backend:
    name, sign, path = text.partition("=")
    if not sign or name not in PEERS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(PEERS)}, = and a path")
    return Backend(name, Path(path).absolute())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[2])
    add = parser.add_argument
    kinds = ", ".join(PEERS)
    add("--peer", type=_peer, action="append", default=[], metavar="KIND=BINARY", help=kinds)
    add("--repeat", type=int, metavar="N", help="runs of each backend on each workload: 3")
    add("--only", choices=DIMENSIONS, action="append", default=[], help="one dimension")
    add("--limit", type=float, metavar="SECONDS", help="for opening backlogs, and for a run: 120")
    add("--quick", action="store_true", help="few workloads, 4,000 events, once, a limit of 20 s")
    add("--correctness", action="store_true", help="compare the alarms, not the speed")
    add("--json", type=Path, metavar="FILE", help="file for the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
