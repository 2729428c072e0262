"""A whole comparison: its runs in turns, and its document, which is complete after every run."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from benchmarks.peers import life, losses, rates, steady
from benchmarks.peers.backend import OURS, Backend
from benchmarks.peers.life import LifeRun
from benchmarks.peers.losses import LossRun
from benchmarks.peers.rates import RateRun
from benchmarks.peers.record import Record
from benchmarks.peers.running_backend import BackendStartError
from benchmarks.peers.steady import SteadyRun
from benchmarks.peers.test_bed import Options
from benchmarks.peers.workloads import DIMENSIONS, select_workloads
from benchmarks.support import report

TOPICS = (*DIMENSIONS, "steady", "life", "losses")
"""The dimensions of the sustained rates, and the other measurements."""
R = TypeVar("R", bound=Record)
Measure = Callable[[Backend, int, Options], R]
"""A measurement of a backend; the number is that of the repeat."""


class Results(Struct):
    """All runs so far, as in compare.json.

    `queues`: defaults or unbounded. `complete`: the comparison was not interrupted. `failures`: the
    starts that failed.
    """

    versions: Mapping[str, str]
    queues: str
    complete: bool = False
    rates: list[RateRun] = []
    steady: list[SteadyRun] = []
    life: list[LifeRun] = []
    losses: list[LossRun] = []
    failures: list[str] = []


class Comparison:
    """Runs each measurement with each backend, in alternating order: ours, peers, peers, ours, …

    `results` are written to `path` after every run. A peer that cannot be started for its first run
    is left out.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        repeats: int,
        options: Options,
        path: Path,
        log: Callable[[str], None],
    ) -> None:
        self._backends, self._repeats, self._options = backends, repeats, options
        self._path, self._log = path, log
        self._started: set[str] = set()
        self._excluded: set[str] = set()
        self._environment = report.environment()
        versions = {backend.name: backend.version() for backend in backends}
        self.results = Results(versions, "unbounded" if options.unbounded else "defaults")
        self._write()

    def run(self, topics: Sequence[str]) -> None:
        """Measure these topics."""
        results, quick = self.results, self._options.quick
        for workload in select_workloads(topics, quick):
            measure_rate = partial(rates.measure, workload)
            self._measure(results.rates, measure_rate, workload.name, peers=workload.peers)
        if "steady" in topics:
            for rate in steady.QUICK_RATES if quick else steady.RATES:
                name = f"steady, {rate:,} events/s"
                self._measure(results.steady, partial(steady.measure, rate), name)
        if "life" in topics:
            for number in life.QUICK_DIRECTIVES if quick else life.DIRECTIVES:
                name = f"start to stop, {number:,} directives"
                self._measure(results.life, partial(life.measure, number), name)
        if "losses" in topics:
            for victim in losses.QUICK_VICTIMS if quick else losses.VICTIMS:
                name = f"SIGKILL of {victim.name}"
                measure_loss = partial(losses.measure, victim)
                self._measure(results.losses, measure_loss, name, peers=victim.peers)
        self.results.complete = True
        self._write()

    def _measure(
        self, runs: list[R], measure: Measure[R], name: str, *, peers: bool = True
    ) -> None:
        """Measure all backends, or only this project."""
        for repeat in range(1, self._repeats + 1):
            for backend in self._backends[:: 1 if repeat % 2 else -1]:
                if backend.name in self._excluded or not (peers or backend.name == OURS):
                    continue
                self._log(f"{name}, {backend.name}, {repeat} of {self._repeats}")
                try:
                    runs.append(measure(backend, repeat, self._options))
                    self._started.add(backend.name)
                except BackendStartError as error:
                    self._note_failure(name, backend, error)
                self._write()

    def _note_failure(self, name: str, backend: Backend, error: BackendStartError) -> None:
        text = f"{name}, {backend.name} cannot be started: {error}"
        if backend.name not in self._started:
            self._excluded.add(backend.name)
            text = f"{backend.name} cannot be started and is left out: {error}"
        self.results.failures.append(text)
        self._log(text)

    def _write(self) -> None:
        document = msgspec.to_builtins(self.results)
        report.write_document(self._path, self._environment | document)
