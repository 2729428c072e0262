"""Kills anything at any time, and judges what it cost: `python benchmarks/chaos.py --seconds 60`.

A driver sends the events of thousands of scenarios and knows the alarm that each must cause: most
attacks are complete, some lack an event and must not finish, some time out. Meanwhile processes are
killed or stopped for a while at random times, the disk is filled up, and the alarm files are
rotated. When all is quiet the service is stopped, and its files are compared with what must be in
them; the ledger must add up at every poll. Exits with 1 if there is a fault that the source does
not permit with these victims (docs/reliability.md).
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.exactly_once.chaos_run import ChaosPlan, ChaosResult, run_chaos
from benchmarks.exactly_once.contract import SOURCES, VICTIMS
from benchmarks.support import report

_LEDGER_ROWS = (
    "lost",
    "dropped",
    "redelivered",
    "rolled_back",
    "expired",
    "unreported",
    "outdated",
)
"""Parts of the names of counts that are shown."""


def _show(plan: ChaosPlan, result: ChaosResult) -> None:
    verdict = result.verdict
    table = Table(title=f"chaos: {plan.source}")
    table.add_column("what")
    table.add_column("number", justify="right")
    rows = {
        "events sent": result.events,
        "events per second": round(result.events / max(result.seconds, 0.001)),
        "events refused and sent again": result.refused,
        "events sent again, for want of an answer": result.sent_again,
        "scenarios": verdict.scenarios,
        "alarms expected": verdict.alarms_expected,
        "alarm lines": verdict.alarm_lines,
        "alarm event lines": verdict.event_lines,
        "ledger polls": result.polls,
        "ledger polls without an answer": result.failed_polls,
        "starts of the service that failed": result.failed_starts,
    }
    for name, number in rows.items():
        table.add_row(name, f"{number:,}")
    for name, number in result.ledger.items():
        if any(part in name for part in _LEDGER_ROWS):
            table.add_row(f"ledger: {name}", f"{number:,}")
    table.add_section()
    for kind, number in sorted(Counter(one.kind for one in result.kills).items()):
        table.add_row(f"victims: {kind}", f"{number:,}")
    for kind, reason in result.skipped.items():
        table.add_row(f"victims: {kind}", f"skipped: {reason}")
    table.add_section()
    for name, number in verdict.faults.items():
        table.add_row(name, f"{number:,}{' (permitted)' if name in result.permitted else ''}")
    table.add_row("alarms harmed in any way", f"{verdict.alarms_harmed:,}")
    Console().print(table)
    examples = [f"{name}: {one}" for name, some in verdict.examples.items() for one in some]
    print("\n".join(examples))
    for fault in result.faults:
        print(f"FAULT: {fault}", file=sys.stderr)


def _victims(text: str) -> dict[str, float]:
    """Weights by name, as in `worker=5,router`."""
    weights = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        if name not in VICTIMS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(VICTIMS)}")
        weights[name] = float(weight or 1)
    return weights


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", choices=SOURCES, default="http")
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the events")
    parser.add_argument("--rate", type=int, default=2000, help="events per second")
    parser.add_argument(
        "--victims",
        type=_victims,
        default="worker",
        help=f"what to kill or to hinder, with weights: worker=5,router=3; of {', '.join(VICTIMS)}",
    )
    parser.add_argument("--kills", type=int, help="number of faults, 0 is none [10]")
    parser.add_argument("--interval", type=float, help="instead: mean seconds between two faults")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the scenarios and the faults")
    parser.add_argument("--folder", type=Path, help="keep the files of the run in it")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("options", nargs="*", help="options of serve, after --")
    given = parser.parse_args()
    if given.source not in ("nats", "stream") and "nats" in given.victims:
        parser.error(f"there is no NATS server with --source {given.source}")
    return given


def main() -> int:
    """Run as the command line says, and print a table."""
    given = _parsed()
    kills = given.kills
    if kills is None:
        kills = round(given.seconds / given.interval) if given.interval else 10
    plan = ChaosPlan(
        source=given.source,
        seconds=given.seconds,
        rate=given.rate,
        kills=kills,
        victims=given.victims,
        workers=given.workers,
        seed=given.seed,
        options=tuple(given.options),
    )
    with TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = run_chaos(plan, folder)
    _show(plan, result)
    if given.json:
        fields = msgspec.to_builtins(result)
        report.write(given.json, plan=msgspec.to_builtins(plan), exact=result.exact, **fields)
    return 0 if result.as_promised else 1


if __name__ == "__main__":
    sys.exit(main())
