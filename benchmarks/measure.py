"""CPU time per item, and what a figure is; the calibration that makes machines comparable.

May live here: timing and the shape of results. May not: what is measured, and how it is shown.
"""

import gc
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time_ns

import msgspec
from msgspec import Struct

Work = Callable[[], object]
"""What is timed."""


class WireEvent(Struct, gc=False):
    """The calibration decodes an event into this: typed, unchecked, each field that is known."""

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
    """One line of the table; a target of None: for information."""

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
    """Medians: microseconds per item, and the same in calibrations (see `calibration`)."""

    micros: float
    times_calibration: float


def calibration(raws: Sequence[bytes]) -> Work:
    """Decode all these events once with msgspec, into `WireEvent`."""
    decode = msgspec.json.Decoder(WireEvent).decode

    def work() -> None:
        for raw in raws:
            decode(raw)

    return work


def cpu_nanos(work: Work) -> int:
    """The CPU time of one run, with all that there is frozen for the garbage collector."""
    gc.collect()
    gc.freeze()
    start = process_time_ns()
    work()
    taken = process_time_ns() - start
    gc.unfreeze()
    return taken


def timed(prepare: Callable[[], Work], raws: Sequence[bytes], repeats: int) -> Timing:
    """Work that handles these events once, anew each time, beside its calibration."""
    calibrate = calibration(raws)
    runs = [(cpu_nanos(prepare()), cpu_nanos(calibrate)) for _ in range(repeats)]
    return Timing(
        micros=median(taken for taken, _ in runs) / len(raws) / 1000,
        times_calibration=median(taken / unit for taken, unit in runs),
    )


def ratio(small: Callable[[], Work], large: Callable[[], Work], repeats: int) -> float:
    """How many times the CPU time of `small` the work of `large` takes; they take turns."""
    runs = [(cpu_nanos(small()), cpu_nanos(large())) for _ in range(repeats)]
    return median(more / less for less, more in runs)
