"""This project and its peers on the same work: `python benchmarks/compare.py --peer go=DSIEM`.

Each backend in turn runs as a cluster backend behind a real nats-server and a small frontend, with
its default settings, and gets the same events. Peers are binaries that you provide; without one,
this project runs alone.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.peers import alarm_comparison, tables
from benchmarks.peers.backend import OURS, PEERS, Backend
from benchmarks.peers.comparison import TOPICS, Comparison
from benchmarks.peers.goals import judge
from benchmarks.peers.running_backend import BackendStartError
from benchmarks.peers.test_bed import Options
from benchmarks.support import report

_RESULTS = Path(__file__).parent / "results"
_PARTS = Path(__file__).parent.parent / "build" / "bench"
"""For the figures of a comparison that is not the whole."""
_CORES = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal that ends the comparison, and all that it has started."""


def main() -> int:
    """Run the comparison; returns 1 when a goal is missed or a difference of alarms unexplained."""
    arguments = _parser().parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])  # inherited by all children
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        backends = list(_runnable([Backend(OURS), *arguments.peer]))
        if arguments.correctness:
            return _compare_alarms(backends, arguments)
        return _compare_figures(backends, arguments)
    except Interrupted as error:
        return 128 + int(error.args[0])


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """Leave all blocks, which end what they have started; further signals cannot disturb this."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


def _compare_figures(backends: Sequence[Backend], arguments: argparse.Namespace) -> int:
    """Measure, and print the tables, also of a comparison that is interrupted."""
    partial = arguments.only or arguments.quick
    path = arguments.json or (_PARTS if partial else _RESULTS) / "compare.json"
    comparison = Comparison(backends, arguments.repeat, _options(arguments), path, _log)
    try:
        comparison.run(arguments.only or TOPICS)
    finally:
        verdicts = [] if arguments.quick else judge(comparison.results)
        tables.show(comparison.results, verdicts)
        _log(f"the figures are in {path}")
    return int(any(not verdict.met for verdict in verdicts))


def _compare_alarms(backends: Sequence[Backend], arguments: argparse.Namespace) -> int:
    """Compare the alarms; 1 when a difference is unexplained, 2 when this project cannot start."""
    try:
        comparisons = alarm_comparison.compare(backends, _options(arguments), _log)
    except BackendStartError as error:
        _log(f"{backends[0].name} cannot be started: {error}")
        return 2
    alarm_comparison.show(comparisons)
    versions = {backend.name: backend.version() for backend in backends}
    path = arguments.json or _RESULTS / "compare_alarms.json"
    report.write(path, versions=versions, compared=comparisons)
    return int(any(comparison.unexplained for comparison in comparisons))


def _runnable(backends: Sequence[Backend]) -> Iterator[Backend]:
    """The backends that can be run; logs why others cannot."""
    for backend in backends:
        if fault := backend.fault():
            _log(f"{backend.name} is left out: {fault}")
        else:
            yield backend


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options(arguments: argparse.Namespace) -> Options:
    quick = arguments.quick
    return Options(
        seconds=arguments.seconds or (1.0 if quick else 3.0),
        limit=arguments.limit or (20.0 if quick else 60.0),
        unbounded=arguments.unbounded,
        quick=quick,
    )


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
    add("--only", choices=TOPICS, action="append", default=[], help="one topic")
    add("--repeat", type=int, default=1, metavar="N", help="of each measurement: 1")
    add("--seconds", type=float, metavar="S", help="of events, in each run of a search: 3")
    add("--limit", type=float, metavar="S", help="for opening backlogs, and to work on: 60")
    add("--unbounded", action="store_true", help="queues without a limit, not the defaults")
    add("--quick", action="store_true", help="fewer and shorter runs, for a first look")
    add("--correctness", action="store_true", help="compare the alarms, not the speed")
    add("--json", type=Path, metavar="FILE", help="file for the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
