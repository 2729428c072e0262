"""Kills processes of a system at random times, and hinders those that live."""

import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from random import Random

from msgspec import Struct

from benchmarks.exactly_once.contract import CHILDREN
from benchmarks.exactly_once.system import NATS, SUPERVISOR, System

_FIRST_SECONDS = 1.0
_PAUSE_SECONDS = (0.2, 3.0)
"""Time for which a process is stopped. Far less than --hang-timeout."""
_FULL_SECONDS = (1.0, 3.0)
_NATS_DOWN_SECONDS = (0.0, 1.0)
_WORKERS = range(1, 5)
"""Numbers of workers after a change."""


class Injection(Struct, frozen=True):
    """`at`: seconds since the start; `kind`: a name of contract.VICTIMS; `victim`: the process."""

    at: float
    kind: str
    victim: str


class Injector(threading.Thread):
    """One fault after another at random times, of kinds by weight.

    Never kills a child so often that the service would give up. `fault`: why it has ended early.
    """

    def __init__(
        self,
        system: System,
        weights: Mapping[str, float],
        number: int,
        seconds: float,
        random: Random,
    ) -> None:
        """`number` of faults within so many seconds."""
        super().__init__(daemon=True)
        self._system = system
        self._weights = dict(weights)
        self._seconds = seconds
        self._random = random
        self._times = sorted(random.uniform(_FIRST_SECONDS, seconds) for _ in range(number))
        self._ended = threading.Event()
        self.injections: list[Injection] = []
        self.fault = ""

    def run(self) -> None:
        """Act as planned; what is not possible is done when it is, if that is within the time."""
        begun = time.monotonic()
        end = begun + self._seconds
        for due in self._times:
            self._ended.wait(max(0.0, begun + due - time.monotonic()))
            while not (possible := self._possible()) and time.monotonic() < end:
                self._ended.wait(0.1)
            if self._ended.is_set() or not possible:
                return
            (kind,) = self._random.choices(list(possible), [self._weights[one] for one in possible])
            victim = self._random.choice(possible[kind])
            self.injections.append(Injection(time.monotonic() - begun, kind, victim))
            try:
                self._inject(kind, victim)
            except (AssertionError, OSError) as error:
                self.fault = f"{kind} of {victim}: {error}"
                return

    def finish(self) -> None:
        """Do no more; what was stopped or filled goes on."""
        self._ended.set()
        self.join()

    def _possible(self) -> dict[str, list[str]]:
        """Victims by kind."""
        children = self._system.children
        victims = {kind: [kind] for kind in self._weights}
        for kind in CHILDREN:
            own = [name for name in children if name.startswith(kind)]
            victims[kind] = [name for name in own if self._system.may_die(name)]
        nats = [NATS] if self._system.nats else []
        victims["pause"] = [*children, SUPERVISOR, *nats]
        return {kind: victims[kind] for kind in self._weights if victims[kind]}

    def _inject(self, kind: str, victim: str) -> None:
        match kind:
            case "worker" | "router":
                self._system.kill_child(victim)
            case "supervisor" | "all" | "resize":
                self._kill_service(kind)
            case "nats":
                self._system.restart_nats(self._random.uniform(*_NATS_DOWN_SECONDS))
            case "pause":
                self._pause(victim)
            case "disk":
                self._fill_disk()
            case "rotate":
                self._system.rotate()
            case "reload":
                self._system.reload()

    def _kill_service(self, kind: str) -> None:
        workers = self._random.choice(_WORKERS) if kind == "resize" else 0
        self._system.kill_supervisor(with_children=kind != "supervisor", workers=workers)

    def _pause(self, name: str) -> None:
        """Stop a process for a while; it may be killed meanwhile."""
        pid = self._system.pid(name)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                self._ended.wait(self._random.uniform(*_PAUSE_SECONDS))
            finally:
                os.kill(pid, signal.SIGCONT)

    def _fill_disk(self) -> None:
        assert self._system.disk is not None, "the log folder has a disk of its own"
        with self._system.disk.filled():
            self._ended.wait(self._random.uniform(*_FULL_SECONDS))
