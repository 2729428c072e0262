"""This project and its peers on the same work: `python benchmarks/compare.py --peer go=DSIEM`.

Each peer in turn runs as a cluster backend behind a real nats-server and a small frontend, with
unbounded queues, and gets the same events. Peers are binaries that you provide; without one, this
project runs alone.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.peers import alarm_comparison, peer_run, summary, workloads
from benchmarks.peers.peer import OURS, PEERS, Peer
from benchmarks.peers.peer_run import Run, RunLimits
from benchmarks.peers.running_peer import PeerError
from benchmarks.peers.workloads import Workload
from benchmarks.support import report

_RESULTS = Path(__file__).parent / "results"
_CORES = 2


def main() -> int:
    """Do what is asked; 1 when a goal is not met, or alarms differ without a known reason."""
    arguments = _parser().parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])  # all children too
    contenders = list(_present([Peer(OURS), *arguments.peer]))
    versions = {each.name: each.version() for each in contenders}
    if arguments.correctness:
        return _correctness(contenders, versions, arguments.json)
    chosen = workloads.chosen(arguments.only, arguments.quick)
    runs = list(_runs(chosen, contenders, _repeats(arguments), _effort(arguments)))
    found = summary.summarize(chosen, runs, judged=not arguments.quick)
    summary.show(found, len(os.sched_getaffinity(0)))
    path = arguments.json or _RESULTS / "compare.json"
    report.write(path, versions=versions, runs=runs)
    return int(any(one.missed for one in found))


def _correctness(contenders: Sequence[Peer], versions: Mapping[str, str], path: Path | None) -> int:
    """Compare the alarms; 1 when there is a difference that nobody intended."""
    try:
        compared = alarm_comparison.compare(contenders, _say)
    except PeerError as unable:
        _say(f"{contenders[0].name} cannot be started: {unable}")
        return 2
    alarm_comparison.show(compared)
    report.write(path or _RESULTS / "compare_alarms.json", versions=versions, compared=compared)
    return int(any(one.unexplained for one in compared))


def _present(contenders: Sequence[Peer]) -> Iterator[Peer]:
    """Those that can be run; of others it is said why not."""
    for each in contenders:
        if missing := each.missing():
            _say(f"{each.name} is left out: {missing}")
        else:
            yield each


def _runs(
    chosen: Sequence[Workload], contenders: Sequence[Peer], repeats: int, effort: RunLimits
) -> Iterator[Run]:
    """All runs; on each site in alternating order: ours, peers, peers, ours, …"""
    out: set[str] = set()
    started: set[str] = set()
    for site in chosen:
        for repeat in range(1, repeats + 1):
            for each in contenders[:: 1 if repeat % 2 else -1]:
                if each.name in out or (each.name != OURS and not site.peers):
                    continue
                try:
                    run = peer_run.run(site, each, repeat, effort)
                    started.add(each.name)
                except PeerError as unable:
                    run = Run(site.dimension, site.value, each.name, repeat, note=str(unable))
                    if each.name not in started:
                        out.add(each.name)
                        _say(f"{each.name} cannot be started and is left out: {unable}")
                        continue
                _say(_line(site, run))
                yield run


def _line(site: Workload, run: Run) -> str:
    note = f" ({run.note})" if run.note else ""
    return f"{site.name}, {run.contender}, {run.repeat}: {run.rate:,.0f} events/s{note}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _repeats(arguments: argparse.Namespace) -> int:
    return int(arguments.repeat or (1 if arguments.quick else 3))


def _effort(arguments: argparse.Namespace) -> RunLimits:
    if arguments.quick:
        return RunLimits(4000, 2.0, arguments.limit or 20.0)
    return RunLimits(20_000, 5.0, arguments.limit or 120.0)


def _peer(text: str) -> Peer:
    name, sign, path = text.partition("=")
    if not sign or name not in PEERS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(PEERS)}, = and a path")
    return Peer(name, Path(path).absolute())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[2])
    add = parser.add_argument
    kinds = ", ".join(PEERS)
    add("--peer", type=_peer, action="append", default=[], metavar="KIND=BINARY", help=kinds)
    add("--repeat", type=int, metavar="N", help="runs of each contender on each workload: 3")
    add("--only", choices=workloads.DIMENSIONS, action="append", default=[], help="one dimension")
    add("--limit", type=float, metavar="SECONDS", help="for opening backlogs, and for a run: 120")
    add("--quick", action="store_true", help="few workloads, 4,000 events, once, a limit of 20 s")
    add("--correctness", action="store_true", help="compare the alarms, not the speed")
    add("--json", type=Path, metavar="FILE", help="file for the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
