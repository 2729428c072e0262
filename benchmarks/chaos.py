"""Whether deaths cost or repeat a line: `python benchmarks/chaos.py --seconds 60 --kills 10`.

A driver sends the events of thousands of scenarios and knows the alarm that each must cause: most
attacks are complete, some lack an event and must not finish, some time out. Meanwhile workers are
killed at random times. When all is quiet the service is stopped, and its files are compared with
what must be in them; the ledger must add up at every poll. Exits with 1 unless all faults are 0.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.exactly_once.judge import Verdict, judge
from benchmarks.exactly_once.plans import TIMEOUT_SECONDS, all_plans
from benchmarks.exactly_once.senders import HttpSender, NatsSender, Sender, SenderThread
from benchmarks.exactly_once.traffic import Traffic, batches
from benchmarks.exactly_once.victims import LedgerReader, WorkerKiller
from benchmarks.support import report
from tests.support.cluster import CONNECTED, NODE, frontend_of
from tests.support.nats_server import NatsServer, free_port
from tests.support.replaying import Json
from tests.support.serving import Ledger, Service, write_config

SOURCES = ("http", "nats")
_BATCHES_PER_SECOND = 40
_LEDGER_ROWS = ("lost", "dropped", "redelivered", "rolled_back")
"""Parts of the names of counts that are shown."""
_GRACE_SECONDS = 1
_SETTLE_SECONDS = 2.0 * (TIMEOUT_SECONDS + _GRACE_SECONDS) + 2.0
"""After the last event: what times out has done so, even if its worker had to start again."""
_QUIET_SECONDS = 120.0
"""Longest time until nothing is in flight."""


class Plan(Struct, frozen=True, kw_only=True):
    """One run. `rate`: events per second; `kills`: deaths within `seconds`, at random times."""

    source: str
    seconds: float
    rate: int = 2000
    kills: int = 10
    workers: int = 3
    seed: int = 1
    options: tuple[str, ...] = ()


class Result(Struct, kw_only=True):
    """The judgement of a run; `faults`: what is wrong beside the files."""

    verdict: Verdict
    faults: list[str]
    kills: list[float]
    """Seconds at which a worker was killed."""
    events: int
    seconds: float
    refused: int
    polls: int
    failed_polls: int
    ledger: dict[str, Any]

    @property
    def exact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults and not self.verdict.faults.total()


def run(plan: Plan, folder: Path) -> Result:
    """Run a service in this folder, kill workers, stop it, and judge its files."""
    directives, plans = all_plans(plan.workers)
    batch = max(1, plan.rate // _BATCHES_PER_SECOND)
    traffic = Traffic(plans, plan.rate, batch, plan.seed)
    with _running_service(plan, folder, directives) as (service, sender, ops_port):
        interval = batch / plan.rate
        stream = SenderThread(sender, batches(traffic, round(plan.seconds / interval)), interval)
        killer = WorkerKiller(service, plan.kills, plan.seconds, plan.seed)
        reader = LedgerReader(ops_port)
        for thread in (reader, stream, killer):
            thread.start()
        while (stream.running or killer.is_alive()) and service.process.poll() is None:
            time.sleep(0.1)
        killer.finish()
        faults = [fault for fault in (stream.fault, killer.fault) if fault]
        if service.process.poll() is None and not _wait_until_quiet(reader):
            faults.append(f"not quiet within {_QUIET_SECONDS:.0f} s")
        reader.finish()
        if service.process.poll() is not None:
            reason = service.logged("giving up")
            faults.append(f"the service has ended: {reason and reason[-1]['message']}")
        ended = service.stop() if service.process.poll() is None else service.wait_for_exit(0)
    faults += _ledger_faults(plan, reader, ended.ledger, stream.sent)
    if ended.code != 0:
        faults.append(f"exit code {ended.code}")
    return Result(
        verdict=judge(service.logs, plans, traffic.plan_numbers),
        faults=faults,
        kills=killer.killed_at,
        events=stream.sent,
        seconds=stream.seconds,
        refused=sender.refused,
        polls=reader.polls,
        failed_polls=reader.failed,
        ledger={name: count for name, count in ended.ledger.items() if count},
    )


@contextmanager
def _running_service(
    plan: Plan, folder: Path, directives: list[Json]
) -> Iterator[tuple[Service, Sender, int]]:
    """A service that takes events, with a sender for it, and its ops port."""
    ops_port = free_port()
    options = (f"--ops-port={ops_port}", f"--expiry-grace={_GRACE_SECONDS}", *plan.options)
    if plan.source == "http":
        write_config(folder, directives)
        service = Service(folder, *options, workers=plan.workers)
        try:
            with closing(HttpSender(service.port)) as sender:
                yield service, sender, ops_port
        finally:
            service.kill_all()
        return
    with NatsServer(folder / "nats") as server, frontend_of(directives) as frontend:
        cluster = ("--mode=cluster-backend", f"--node={NODE}")
        urls = (f"--frontend={frontend.url}", f"--msq={server.url}")
        (folder / "conf").mkdir(exist_ok=True)
        service = Service(folder, *cluster, *urls, *options, workers=plan.workers)
        try:
            service.wait_for_log(CONNECTED)
            with closing(NatsSender(server)) as publisher:
                yield service, publisher, ops_port
        finally:
            service.kill_all()


def _wait_until_quiet(reader: LedgerReader) -> bool:
    """Wait until nothing is in flight, and what times out has done so."""
    begun = time.monotonic()
    while time.monotonic() < begun + _QUIET_SECONDS:
        if reader.quiet and time.monotonic() > begun + _SETTLE_SECONDS:
            return True
        time.sleep(0.2)
    return False


def _ledger_faults(plan: Plan, reader: LedgerReader, ledger: Ledger, sent: int) -> Iterator[str]:
    if reader.wrong:
        yield f"at {len(reader.wrong)} of {reader.polls} polls the ledger did not add up"
    if not reader.polls:
        yield "no poll was answered"
    if not ledger["adds_up"]:
        yield "the ledger did not add up at the end"
    # Refusals were counted as received and dropped, and the events came again.
    taken = ledger["events_received"]
    taken -= ledger["events_dropped_queue_full"] if plan.source == "http" else 0
    if taken != sent:
        yield f"{sent} events were sent, {taken} are in the ledger"


def _show(plan: Plan, result: Result) -> None:
    verdict = result.verdict
    table = Table(title=f"{plan.source}: {len(result.kills)} kills of workers")
    table.add_column("what")
    table.add_column("number", justify="right")
    rows = {
        "events sent": result.events,
        "events per second": round(result.events / max(result.seconds, 0.001)),
        "events refused and sent again": result.refused,
        "scenarios": verdict.scenarios,
        "alarms expected": verdict.alarms_expected,
        "alarm lines": verdict.alarm_lines,
        "alarm event lines": verdict.event_lines,
        "ledger polls": result.polls,
        "ledger polls without an answer": result.failed_polls,
    }
    for name, number in rows.items():
        table.add_row(name, f"{number:,}")
    for name, number in result.ledger.items():
        if any(part in name for part in _LEDGER_ROWS):
            table.add_row(f"ledger: {name}", f"{number:,}")
    table.add_section()
    for name, number in verdict.faults.items():
        table.add_row(name, f"{number:,}")
    table.add_row("alarms harmed in any way", f"{verdict.alarms_harmed:,}")
    Console().print(table)
    examples = [f"{name}: {one}" for name, some in verdict.examples.items() for one in some]
    print("\n".join(examples))
    for fault in result.faults:
        print(f"FAULT: {fault}", file=sys.stderr)


def main() -> int:
    """Run as the command line says, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", choices=SOURCES, default="http")
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the events")
    parser.add_argument("--rate", type=int, default=2000, help="events per second")
    parser.add_argument("--victims", choices=("worker",), default="worker")
    parser.add_argument("--kills", type=int, help="number of kills, 0 is none [10]")
    parser.add_argument("--interval", type=float, help="instead: mean seconds between two kills")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the scenarios and the kills")
    parser.add_argument("--folder", type=Path, help="keep the files of the run in it")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("options", nargs="*", help="options of serve, after --")
    given = parser.parse_args()
    kills = given.kills
    if kills is None:
        kills = round(given.seconds / given.interval) if given.interval else 10
    plan = Plan(
        source=given.source,
        seconds=given.seconds,
        rate=given.rate,
        kills=kills,
        workers=given.workers,
        seed=given.seed,
        options=tuple(given.options),
    )
    with TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = run(plan, folder)
    _show(plan, result)
    if given.json:
        fields = msgspec.to_builtins(result)
        report.write(given.json, plan=msgspec.to_builtins(plan), exact=result.exact, **fields)
    return 0 if result.exact else 1


if __name__ == "__main__":
    sys.exit(main())
