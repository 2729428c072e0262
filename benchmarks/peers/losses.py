"""What a SIGKILL in the middle of a steady run costs: alarms, and events without a line."""

import re
from collections import Counter

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.latency.paced_run import PacedPublisherProcess
from benchmarks.peers.backend import Backend
from benchmarks.peers.record import Record
from benchmarks.peers.running_backend import RunningBackend
from benchmarks.peers.test_bed import Options, TestBed
from benchmarks.peers.workloads import Workload
from benchmarks.support import synthetic

RATE = 2000
"""Events/s."""
_PAIRS = 160
_NEEDED = 9
"""Matching events after which an alarm must exist; of the twelve or thirteen that a pair gets,
seven come after the kill, so that a backend that forgets its backlogs misses the alarms."""
_WORKLOAD = Workload(
    "losses",
    RATE,
    "SIGKILL",
    occurrences=(1, _NEEDED - 2, 1),
    reliability=(1, 1, 10),  # a risk of 1 or more, and so an alarm, by stage 3 only
    pairs=_PAIRS,
    in_order=True,
)
_SECONDS = 10.0


class Victim(Struct, frozen=True):
    """What is killed: one worker, or all processes of the backend, which is then started again.

    `stream`: this project reads its events from a JetStream stream.
    """

    name: str
    worker: bool = False
    stream: bool = False

    @property
    def peers(self) -> bool:
        """Whether peers have this, too: they have neither workers nor streams."""
        return not (self.worker or self.stream)


VICTIMS = (
    Victim("one worker, core NATS", worker=True),
    Victim("all processes, core NATS"),
    Victim("one worker, stream", worker=True, stream=True),
    Victim("all processes, stream", stream=True),
)
QUICK_VICTIMS = VICTIMS[:2]


class LossRun(Record, frozen=True):
    """A run with one SIGKILL, of `victim`.

    `matching`: events that match; `without_line`: those without a line; `repeated`: lines more than
    events. `alarms`: that must exist, `missing`: those that do not. `back`: seconds from the kill
    until the first new line, if no other process could write one.
    """

    victim: str = ""
    matching: int = 0
    without_line: int = 0
    repeated: int = 0
    alarms: int = 0
    missing: int = 0
    back: float | None = None


def measure(victim: Victim, backend: Backend, repeat: int, options: Options) -> LossRun:
    """One run; BackendStartError when the backend does not start."""
    blank = LossRun("losses", RATE, backend.name, repeat, victim=victim.name)
    backend = replace(backend, stream=victim.stream)
    with TestBed.of(backend, _WORKLOAD, options) as bed:
        plan = _WORKLOAD.paced(bed.server.port, 2, RATE, _SECONDS)
        killer = _Killer(bed.running, victim, _SECONDS * 0.45)
        with PacedPublisherProcess(plan) as publisher:
            passage = bed.observe(plan, publisher, options.limit, killer.act)
        if not bed.running.alive:
            return replace(blank, note=f"it ended: {bed.running.last_error()}")
        bed.running.terminate()
        expected = _expected_alarms(passage.report.matching)
        written = _alarms(bed.running)
        return replace(
            blank,
            matching=passage.report.matching,
            without_line=passage.report.matching - passage.lines,
            repeated=passage.repeated,
            alarms=len(expected),
            missing=len(expected - written),
            back=killer.back,
            other_cores=passage.other_cores,
            note="" if passage.settled else "still at work at the limit",
        )


class _Killer:
    """Kills a victim at a time, starts it again, and notes when there is a new line."""

    def __init__(self, running: RunningBackend, victim: Victim, at: float) -> None:
        self._running, self._victim, self._at = running, victim, at
        self._killed: float | None = None
        self._lines = 0
        self.back: float | None = None

    def act(self, elapsed: float) -> None:
        """Do what is due at this time, in seconds since the start of the run."""
        if self._killed is None:
            if elapsed >= self._at:
                self._kill()
                self._lines, self._killed = self._running.alarm_events.count_lines(), elapsed
            return
        lines = self._running.alarm_events.count_lines()
        if self.back is None and not self._victim.worker and lines > self._lines:
            self.back = elapsed - self._killed

    def _kill(self) -> None:
        if self._victim.worker:
            self._running.kill_worker()
        else:
            self._running.kill()
            self._running.start()


def _expected_alarms(matching: int) -> set[str]:
    """The source addresses of which enough events were published, one pair after the other."""
    sources = [source for source, _ in synthetic.address_pairs(_PAIRS)]
    counts = Counter(sources[number % _PAIRS] for number in range(matching))
    return {source for source, count in counts.items() if count >= _NEEDED}


def _alarms(running: RunningBackend) -> set[str]:
    """The source addresses in the lines of alarms."""
    found = re.findall(rb'"src_ips":\s*\[\s*"([^"]+)"', running.alarms.read())
    return {address.decode() for address in found}
