"""CPU time per event, figures with targets, and a calibration to compare machines."""

import gc
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time_ns

import msgspec
from msgspec import Struct

Work = Callable[[], object]
"""The code that is timed."""
Prepare = Callable[[Sequence[bytes]], Work]
"""Returns the work for a few hundred events; only the work is timed."""
SetUp = Callable[[], Prepare]
"""Creates new state; its objects are then hidden from the garbage collector, as in the service."""
_BATCH = 250
"""Events between two readings of the clock: few enough to be in the CPU's caches, as in use."""


class RawEvent(Struct, gc=False):
    """The result of the calibration: all fields of an event, typed, without checks."""

    event_id: str = ""
    timestamp: str = ""
    title: str = ""
    sensor: str = ""
    product: str = ""
    category: str = ""
    subcategory: str = ""
    src_ip: str = ""
    dst_ip: str = ""
    src_port: int = 0
    dst_port: int = 0
    protocol: str = ""
    conn_id: int = 0
    plugin_id: int = 0
    plugin_sid: int = 0
    rcvd_time: int = 0


class Figure(Struct, frozen=True, omit_defaults=True):
    """One row of a table. Without a target it is for information only.

    `at_least`: the target is a minimum, else a maximum. `times_calibration`: the value in units of
    the calibration.
    """

    section: str
    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    times_calibration: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


class Timing(Struct, frozen=True):
    """Medians per event: microseconds of CPU time, and the same in units of the calibration."""

    micros: float
    times_calibration: float


_decode = msgspec.json.Decoder(RawEvent).decode


def calibrate(raws: Sequence[bytes]) -> Work:
    """Return the work of decoding each event once with msgspec, into `RawEvent`."""

    def work() -> None:
        for raw in raws:
            _decode(raw)

    return work


def cpu_nanos(set_up: SetUp, raws: Sequence[bytes]) -> int:
    """CPU time in nanoseconds that the work for these events takes, after a new set-up."""
    prepare = set_up()
    gc.collect()
    gc.freeze()
    nanos = 0
    for first in range(0, len(raws), _BATCH):
        work = prepare(raws[first : first + _BATCH])
        start = process_time_ns()
        work()
        nanos += process_time_ns() - start
    gc.unfreeze()
    return nanos


def measure_cpu(set_up: SetUp, raws: Sequence[bytes], repeats: int) -> Timing:
    """Measure the work for these events with a new set-up each time, next to the calibration."""
    runs = [(cpu_nanos(set_up, raws), cpu_nanos(lambda: calibrate, raws)) for _ in range(repeats)]
    return Timing(
        micros=median(nanos for nanos, _ in runs) / len(raws) / 1000,
        times_calibration=median(nanos / unit for nanos, unit in runs),
    )
