"""One run: events are sent, processes killed, and at the end the files are judged."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from benchmarks.exactly_once.contract import HINDRANCES, permitted_faults, received_at_most
from benchmarks.exactly_once.injector import Injection, Injector
from benchmarks.exactly_once.judge import Verdict, judge
from benchmarks.exactly_once.ledger_reader import LedgerReader
from benchmarks.exactly_once.plans import TIMEOUT_SECONDS, all_plans
from benchmarks.exactly_once.senders import HttpSender, NatsSender, Sender, SenderThread
from benchmarks.exactly_once.small_disk import MountError
from benchmarks.exactly_once.system import STREAM, System
from benchmarks.exactly_once.traffic import Traffic, batches
from tests.support.jetstream import last_sequence
from tests.support.serving import Ledger, ServiceExit

_BATCHES_PER_SECOND = 40
_GRACE_SECONDS = 1
_SETTLE_SECONDS = 2.0 * (TIMEOUT_SECONDS + _GRACE_SECONDS) + 2.0
"""After that long without events, what times out has done so, even if its worker died then."""
_QUIET_SECONDS = 180.0
"""Longest time until nothing is in flight."""
_DISK_BYTES, _DISK_BYTES_PER_EVENT = 64 << 20, 6 << 10
"""Room on the small disk."""


class ChaosPlan(Struct, frozen=True, kw_only=True):
    """One run. `rate`: events per second; `kills`: faults within `seconds`, at random times.

    `victims`: names of contract.VICTIMS with their weights.
    """

    source: str
    seconds: float
    rate: int = 2000
    kills: int = 10
    victims: Mapping[str, float]
    workers: int = 3
    seed: int = 1
    options: tuple[str, ...] = ()


class ChaosResult(Struct, kw_only=True):
    """The judgement of a run; `faults`: what is wrong beside the files."""

    verdict: Verdict
    permitted: list[str]
    """Faults of the files that the source does not exclude with these victims."""
    kills: list[Injection]
    skipped: dict[str, str]
    """Why a kind of victim was left out."""
    faults: list[str]
    events: int
    seconds: float
    refused: int
    sent_again: int
    polls: int
    failed_polls: int
    failed_starts: int
    ledger: dict[str, Any]

    @property
    def exact(self) -> bool:
        """Whether nothing is wrong at all."""
        return not self.faults and not self.verdict.faults.total()

    @property
    def as_promised(self) -> bool:
        """Whether nothing is wrong but what is permitted."""
        found = {name for name, number in self.verdict.faults.items() if number}
        return not self.faults and found <= set(self.permitted)


def run_chaos(plan: ChaosPlan, folder: Path) -> ChaosResult:
    """Run a service in this folder, kill what the plan says, stop it, and judge its files."""
    directives, plans = all_plans(plan.workers)
    batch = max(1, plan.rate // _BATCHES_PER_SECOND)
    traffic = Traffic(plans, plan.rate, batch, plan.seed)
    interval = batch / plan.rate
    options = (f"--expiry-grace={_GRACE_SECONDS}", *plan.options)
    with System(folder, plan.source, plan.workers, options) as system:
        victims, skipped = _prepare_victims(plan, system)
        system.start(directives)
        reader, injectors = LedgerReader(system.ops_port), _injectors(plan, system, victims)
        with closing(_sender(system)) as sender:
            events = batches(traffic, round(plan.seconds / interval))
            stream = SenderThread(sender, events, interval)
            for thread in (reader, stream, *injectors):
                thread.start()
            faults = list(_faults_until_quiet(system, reader, stream, injectors))
        reader.finish()
        sent = _number_sent(system, stream)
        most = received_at_most(plan.source, victims, sent, sender.sent_again)
        ended = system.stop()
        if sent < stream.sent:
            faults.append(f"{stream.sent} events were acknowledged, {sent} are in the stream")
        faults += _faults_of_ledgers(reader, ended.ledger)
        faults += _faults_of_received(plan, ended.ledger, sent, most)
        faults += _faults_of_lives(system, ended)
        verdict = judge(system.logs, plans, traffic.plan_numbers)
    return ChaosResult(
        verdict=verdict,
        permitted=sorted(permitted_faults(plan.source, victims)),
        kills=sorted((one for each in injectors for one in each.injections), key=lambda i: i.at),
        skipped=skipped,
        faults=faults,
        events=stream.sent,
        seconds=stream.seconds,
        refused=sender.refused,
        sent_again=sender.sent_again,
        polls=reader.polls,
        failed_polls=reader.failed,
        failed_starts=system.failed_starts,
        ledger={name: count for name, count in ended.ledger.items() if count},
    )


def _prepare_victims(plan: ChaosPlan, system: System) -> tuple[dict[str, float], dict[str, str]]:
    """The victims that are possible here, and why others are not."""
    victims, skipped = dict(plan.victims), {}
    if "disk" in victims:
        room = _DISK_BYTES + round(plan.rate * plan.seconds) * _DISK_BYTES_PER_EVENT
        try:
            system.use_small_disk(room)
        except MountError as error:
            del victims["disk"]
            skipped["disk"] = str(error)
    return victims, skipped


def _injectors(plan: ChaosPlan, system: System, victims: Mapping[str, float]) -> list[Injector]:
    """One for kills, and one for what lasts: so processes are killed while others are stopped."""
    random = Random(plan.seed)
    kinds = random.choices(list(victims), list(victims.values()), k=plan.kills) if victims else []
    numbers: Counter[bool] = Counter(kind in HINDRANCES for kind in kinds)
    injectors = []
    for lasting in (False, True):
        weights = {kind: w for kind, w in victims.items() if (kind in HINDRANCES) == lasting}
        own_random = Random(random.random())
        injectors.append(Injector(system, weights, numbers[lasting], plan.seconds, own_random))
    return injectors


def _sender(system: System) -> Sender:
    if system.nats is None:
        return HttpSender(system.port)
    return NatsSender(system.nats, to_stream=system.source == "stream")


def _number_sent(system: System, stream: SenderThread) -> int:
    """The number of events that the service must have received, if none is lost."""
    if system.source == "stream" and system.nats:
        return last_sequence(system.nats, STREAM)  # some may be in it twice
    return stream.sent


def _faults_until_quiet(
    system: System, reader: LedgerReader, stream: SenderThread, injectors: Sequence[Injector]
) -> Iterator[str]:
    """Wait until all is sent, all is killed, and nothing is in flight any more."""
    active: list[SenderThread | Injector] = [stream, *injectors]
    while any(thread.is_alive() for thread in active) and not system.has_ended:
        time.sleep(0.1)
    for injector in injectors:
        injector.finish()
    yield from (thread.fault for thread in active if thread.fault)
    deadline = time.monotonic() + _QUIET_SECONDS
    while reader.quiet_seconds < _SETTLE_SECONDS and not system.has_ended:
        if time.monotonic() > deadline:
            yield f"not quiet within {_QUIET_SECONDS:.0f} s"
            return
        time.sleep(0.2)


def _faults_of_ledgers(reader: LedgerReader, ledger: Ledger) -> Iterator[str]:
    if reader.wrong:
        yield f"at {len(reader.wrong)} of {reader.polls} polls the ledger did not add up"
    if not reader.polls:
        yield "no poll was answered"
    if not ledger["adds_up"]:
        yield "the ledger did not add up at the end"


def _faults_of_received(
    plan: ChaosPlan, ledger: Ledger, sent: int, most: int | None
) -> Iterator[str]:
    # Refusals were counted as received and dropped, and the events came again.
    taken = ledger["events_received"]
    taken -= ledger["events_dropped_queue_full"] if plan.source in ("http", "spool") else 0
    if most is not None and not sent <= taken <= most:
        yield f"{sent} events were sent, {taken} are in the ledger"


def _faults_of_lives(system: System, ended: ServiceExit) -> Iterator[str]:
    """`ended`: the last life's."""
    if ended.code != 0:
        reason = system.service.logged("giving up")
        yield f"exit code {ended.code}: {reason[-1]['message'] if reason else ''}"
    for number, life in enumerate(system.lives, 1):
        _, traceback, text = life.text().partition("Traceback")
        if traceback:
            yield f"life {number} of the service logged: {text[:2000]}"
