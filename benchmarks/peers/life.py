"""The start of a backend, its memory and CPU time while it is idle, and its stop."""

import time

from msgspec.structs import replace

from benchmarks.peers.backend import Backend
from benchmarks.peers.record import Record
from benchmarks.peers.test_bed import Options, TestBed
from benchmarks.peers.workloads import Workload
from benchmarks.support.service_process import machine_cpu_seconds

DIRECTIVES = (100, 1000, 10_000, 23_500)
QUICK_DIRECTIVES = (100,)
_SETTLE_SECONDS, _IDLE_SECONDS = 1.0, 4.0
_QUICK_IDLE_SECONDS = 1.0


class LifeRun(Record, frozen=True):
    """A backend with `value` directives that gets no events but the probe.

    `start`: seconds from its start until it had subscribed, `ready`: until an event had a line,
    both in steps of 10 ms. `idle_mb`: memory of all its processes (PSS), `idle_cores`: their CPU
    time, by time. `stop`: seconds from SIGTERM until it ended, with 400 open backlogs; None if it
    did not end within 20 s.
    """

    start: float = 0.0
    ready: float = 0.0
    idle_mb: float = 0.0
    idle_cores: float = 0.0
    stop: float | None = None


def measure(directives: int, backend: Backend, repeat: int, options: Options) -> LifeRun:
    """From start to stop; BackendStartError when the backend does not start."""
    workload = Workload("life", directives, f"{directives:,} directives", directives)
    blank = LifeRun("life", directives, backend.name, repeat)
    seconds = _QUICK_IDLE_SECONDS if options.quick else _IDLE_SECONDS
    with TestBed.of(backend, workload, options) as bed:
        time.sleep(_SETTLE_SECONDS)
        cpu, machine, since = bed.running.cpu(), machine_cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        duration = time.monotonic() - since
        cores = (bed.running.cpu() - cpu) / duration
        others = max(0.0, (machine_cpu_seconds() - machine) / duration - cores)
        memory = bed.running.memory()
        opening = bed.open_backlogs(workload, options.limit)
        return replace(
            blank,
            start=bed.start_seconds,
            ready=bed.ready_seconds,
            idle_mb=memory,
            idle_cores=cores,
            stop=bed.running.terminate(),
            other_cores=others,
            note=opening.note,
        )
