"""Attacks on a running service, again and again: `python benchmarks/recovery.py --seconds 600`.

Processes are killed or stopped for ever, file descriptors taken away, connections opened and left,
and requests sent that are no HTTP. After each attack the service must become ready again by itself,
and take events to their end; it must never say that it is ready while it stands still. At the end
it must stop with exit code 0, and its ledger must add up. Exits with 1 otherwise.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from benchmarks.attacks.attacks import ATTACKS, Target
from benchmarks.attacks.prober import Prober
from tests.support.nats_server import free_port
from tests.support.serving import (
    NEVER_EXPIRE,
    ServiceExit,
    counting_directive,
    directives_of,
    serving,
    write_config,
)

_WORKERS = 2
_HANG_TIMEOUT = 5
_RECOVERY_SECONDS = 60.0
_PAUSE_SECONDS = 20.0
"""Between two attacks: a process that dies five times within a minute ends the service."""
_SETTLE_SECONDS = 1.0
"""Lines that were under way at an attack are written within that time: they are no recovery."""


class Recoveries:
    """Seconds until the recovery from each attack, by its name, and all that went wrong."""

    def __init__(self) -> None:
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self.faults: list[str] = []


def run_attacks(folder: Path, seconds: float, seed: int) -> Recoveries:
    """Attack a service for that long, and stop it."""
    random, result = Random(seed), Recoveries()
    directives = [directives_of(worker, _WORKERS, 1)[0] for worker in range(_WORKERS)]
    write_config(folder, map(counting_directive, directives))
    ops_port = free_port()
    options = (*NEVER_EXPIRE, f"--ops-port={ops_port}", f"--hang-timeout={_HANG_TIMEOUT}")
    with serving(folder, *options, workers=_WORKERS) as service:
        target = Target(service, ops_port, random)
        prober = Prober(service, ops_port, directives)
        prober.start()
        end = time.monotonic() + seconds
        names: list[str] = []
        while time.monotonic() < end and not result.faults:
            names = names or random.sample(list(ATTACKS), len(ATTACKS))
            name = names.pop()
            begun = time.monotonic()
            ATTACKS[name](target)
            if _wait_for_recovery(prober):
                result.recoveries[name].append(time.monotonic() - begun)
            else:
                result.faults.append(f"no recovery from: {name}")
            time.sleep(max(0.0, min(begun + _PAUSE_SECONDS, end) - time.monotonic()))
        prober.finish()
        if service.process.poll() is not None:
            reason = service.logged("giving up")
            result.faults.append(f"the service has ended: {reason and reason[-1]['message']}")
        ended = service.stop()
        prober.read_lines()
    result.faults += _faults_at_the_end(prober, ended)
    return result


def _faults_at_the_end(prober: Prober, ended: ServiceExit) -> Iterator[str]:
    ledger, missing = ended.ledger, prober.accepted - prober.written
    # What a dead router had not reported yet is admitted in seconds.
    admitted = ledger.lost + prober.events_per_second * ledger["unreported_seconds"]
    if prober.standstills:
        yield f"{prober.standstills} times ready, and nothing moved"
    if ended.code != 0:
        yield f"exit code {ended.code}"
    if not ledger["adds_up"]:
        yield "the ledger does not add up"
    if missing > admitted:
        yield f"{missing} accepted events are missing, {admitted:.0f} are admitted"
    if prober.written != ledger.lines:
        yield f"{prober.written} lines written, {ledger.lines} in the ledger"


def _wait_for_recovery(prober: Prober) -> bool:
    settled = time.monotonic() + _SETTLE_SECONDS
    while not prober.everything_moves(settled):
        if time.monotonic() > settled + _RECOVERY_SECONDS:
            return False
        time.sleep(0.1)
    return True


def main() -> int:
    """Run the attacks of the command line, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--seconds", type=float, default=600.0, help="duration of the attacks")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the attacks")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        result = run_attacks(Path(folder), arguments.seconds, arguments.seed)
    table = Table(title="Recovery from attacks, in seconds")
    for column in ("attack", "times", "median", "longest"):
        table.add_column(column, justify="left" if column == "attack" else "right")
    for name, seconds in sorted(result.recoveries.items()):
        table.add_row(name, f"{len(seconds)}", f"{median(seconds):.1f}", f"{max(seconds):.1f}")
    Console().print(table)
    for fault in result.faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
