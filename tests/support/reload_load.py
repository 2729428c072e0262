"""Reloads in a row while events flow and processes die, and what is wrong afterwards."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from threading import Event

from msgspec import Struct, field

from benchmarks.exactly_once.ledger_reader import LedgerReader
from benchmarks.exactly_once.senders import SenderThread
from tests.support.reload_pool import (
    FAULTS,
    Pool,
    Version,
    changes_between,
    faulty,
    files_of,
)
from tests.support.reload_replay import Judge, Verdict
from tests.support.reload_service import ReloadableService, ReloadAnswer
from tests.support.reload_traffic import ReloadTraffic
from tests.support.serving import ServiceExit, wait_until

_BATCHES_PER_SECOND = 50
_QUIET_SECONDS = 1.0
_DEADLINE = 60.0
_MOST_DEATHS, _WINDOW_SECONDS = 3, 65.0
"""Kills of one process within that time: with two more, the service would give up."""


class ReloadPlan(Struct, frozen=True, kw_only=True):
    """`reloads` in a row, while `rate` events a second are sent.

    Between two there are up to `pause` seconds. Every `faulty_every`th has a fault. In every
    `kill_every`th, one of the `victims` in turn is killed, at a random time in the first
    `kill_within` seconds.
    """

    source: str
    reloads: int
    rate: int = 600
    seed: int = 1
    pause: float = 0.6
    faulty_every: int = 5
    victims: tuple[str, ...] = ()
    kill_every: int = 3
    kill_within: float = 0.1


class ReloadRun(Struct, kw_only=True):
    """What came of a plan; `faults`: all that is wrong."""

    faults: list[str]
    verdict: Verdict
    ended: ServiceExit
    sent: int
    refused: int
    sent_again: int
    kills: int
    loaded: int
    """Versions that were loaded, with the first one."""
    tried_again: int
    """Reloads that failed since a process was killed, and were asked for again."""
    seconds: list[float] = field(default_factory=list)
    """Time that each reload took."""


class ReloadLoad:
    """A run of a plan in a folder."""

    def __init__(self, plan: ReloadPlan, folder: Path) -> None:
        self._plan = plan
        self._random = Random(plan.seed)
        self._pool = Pool(plan.seed)
        batch = max(1, plan.rate // _BATCHES_PER_SECOND)
        self._traffic = ReloadTraffic(self._pool, plan.seed, batch, longest=plan.rate)
        self._service = ReloadableService(folder, plan.source)
        self._loaded = [self._pool.latest]
        self._ended = Event()
        self._faults: list[str] = []
        self._kills: list[tuple[str, float]] = []
        self._tried_again = 0
        self._seconds: list[float] = []

    def run(self) -> ReloadRun:
        """Run it all."""
        with self._service as service:
            service.put(files_of(self._pool.latest))
            service.start()
            reader = LedgerReader(service.ops_port)
            with closing(service.sender()) as sender:
                interval = 1 / _BATCHES_PER_SECOND
                thread = SenderThread(sender, self._batches(), interval)
                reader.start()
                thread.start()
                try:
                    for number in range(1, self._plan.reloads + 1):
                        time.sleep(self._random.uniform(0, self._plan.pause))
                        self._reload(number)
                    time.sleep(self._plan.pause)  # for events of the last one
                finally:
                    self._ended.set()
                    thread.join(_DEADLINE)
                self._wait_until_quiet(reader)
            reader.finish()
            self._faults += [thread.fault] if thread.fault else []
            if reader.wrong:
                self._faults.append(f"the ledger did not add up: {reader.wrong[0]}")
            ended = service.service.stop()
            verdict = Judge(
                service.service.logs, service.node, self._loaded, self._traffic.sent
            ).verdict
        self._check_end(ended, verdict)
        return ReloadRun(
            faults=self._faults + verdict.faults,
            verdict=verdict,
            ended=ended,
            sent=len(self._traffic.sent),
            refused=sender.refused,
            sent_again=sender.sent_again,
            kills=len(self._kills),
            loaded=len(self._loaded),
            tried_again=self._tried_again,
            seconds=self._seconds,
        )

    def _batches(self) -> Iterator[list[bytes]]:
        while not self._ended.is_set():
            yield self._traffic.next_batch()
        yield from self._traffic.rest()

    def _reload(self, number: int) -> None:
        """Change the configuration, and reload it; a process may be killed meanwhile."""
        with ExitStack() as stack:
            if number % self._plan.faulty_every == 0:
                good, kind = self._pool.latest, number // self._plan.faulty_every % FAULTS
                self._service.put(faulty(good, kind))
                self._kill_within(stack, number)
                self._check_refused(self._service.ops.reload())
                self._service.put(files_of(good))
                return
            version = self._pool.next()
            self._service.put(files_of(version))
            victim = self._kill_within(stack, number)
            since = time.monotonic()
            answer = self._service.ops.reload()
            self._seconds.append(time.monotonic() - since)
        if answer.status != 200 and victim:
            answer = self._reload_again()
        self._check_loaded(answer, version)
        if answer.status == 200:
            self._loaded.append(version)

    def _kill_within(self, stack: ExitStack, number: int) -> str:
        """Kill the next victim soon, if it is time for that; returns its name, or ""."""
        plan = self._plan
        if not plan.victims or number % plan.kill_every:
            return ""
        victim = plan.victims[number // plan.kill_every % len(plan.victims)]
        since = time.monotonic() - _WINDOW_SECONDS
        if sum(name == victim and at > since for name, at in self._kills) >= _MOST_DEATHS:
            return ""
        self._kills.append((victim, time.monotonic()))
        after = self._random.uniform(0, plan.kill_within)
        stack.enter_context(self._service.killing(victim, after))
        return victim

    def _reload_again(self) -> ReloadAnswer:
        """Reload until that works: it has failed, since a process had died."""
        self._tried_again += 1

        def answered() -> list[ReloadAnswer]:
            answer = self._service.ops.reload()
            return [answer] if answer.status == 200 else []

        return wait_until(answered, "a reload after a death", _DEADLINE)[0]

    def _check_refused(self, answer: ReloadAnswer) -> None:
        number = len(self._loaded)
        if (answer.status, answer.result, answer.generation) != (422, "failed", number):
            self._faults.append(f"a faulty configuration, generation {number}: {answer}")
        problems = answer.body["problems"]
        if not any(one["severity"] == "fault" for one in problems):
            self._faults.append(f"no fault is named: {answer}")

    def _check_loaded(self, answer: ReloadAnswer, version: Version) -> None:
        number = len(self._loaded) + 1
        if (answer.status, answer.result, answer.generation) != (200, "changed", number):
            self._faults.append(f"instead of generation {number}: {answer}")
            return
        wanted = changes_between(self._loaded[-1], version)
        found = {what: answer.ids(what) for what in wanted}
        if found != wanted:
            self._faults.append(f"generation {number} has {found} changed, not {wanted}")
        if (running := self._service.ops.generation) != number:
            self._faults.append(f"/status says generation {running}, not {number}")

    def _wait_until_quiet(self, reader: LedgerReader) -> None:
        """Wait until nothing is in flight any more; the failure says what the service says."""
        try:
            wait_until(lambda: reader.quiet_seconds >= _QUIET_SECONDS, "quiet", _DEADLINE)
        except AssertionError as error:
            status = self._service.ops.status()
            found = {name: status[name] for name in ("config", "router", "shards", "ledger")}
            raise AssertionError(f"{error}: {found}") from error

    def _check_end(self, ended: ServiceExit, verdict: Verdict) -> None:
        ledger, sent = ended.ledger, len(self._traffic.sent)
        self._expect("exit code", ended.code, 0)
        ledger.check()
        self._expect("events received", ledger["events_received"], sent)
        for count in ("events_invalid", "events_dropped", "deliveries_dropped", "deliveries_lost"):
            self._expect(count, sum(ledger.by_reason(f"{count}_").values()), 0)
        for count in ("outcomes_repeated", "outcomes_out_of_order", "feed_expired"):
            self._expect(count, ledger[count], 0)
        self._expect_between("whitelisted", ledger["events_whitelisted"], verdict.whitelisted)
        self._expect_between("removed", ledger["backlogs_removed"], verdict.removed)

    def _expect(self, what: str, found: int, wanted: int) -> None:
        self._expect_between(what, found, (wanted, wanted))

    def _expect_between(self, what: str, found: int, wanted: Sequence[int]) -> None:
        if not wanted[0] <= found <= wanted[1]:
            self._faults.append(f"{what}: {found} instead of {wanted}")


def run_reloads(plan: ReloadPlan, folder: Path) -> ReloadRun:
    """Run a service in this folder as planned, and judge it."""
    return ReloadLoad(plan, folder).run()
