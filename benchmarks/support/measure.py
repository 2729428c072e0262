"""CPU time per item, figures, and the calibration that makes machines comparable."""

import gc
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time_ns

import msgspec
from msgspec import Struct

Work = Callable[[], object]
"""What is timed."""
Step = Callable[[Sequence[bytes]], Work]
"""Makes, of a few hundred events, the work that handles them; only the work is timed."""
Fresh = Callable[[], Step]
"""Sets up anew; what is made then is frozen, as the service does, for the garbage collector."""
_BATCH = 250
"""Events handled between two looks at the clock: they are as warm as just received ones."""


class RawEvent(Struct, gc=False):
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
    """Medians: microseconds per item, and the same in calibrations."""

    micros: float
    times_calibration: float


_decode = msgspec.json.Decoder(RawEvent).decode


def calibration(raws: Sequence[bytes]) -> Work:
    """Decode each of these events once with msgspec, into `RawEvent`."""

    def work() -> None:
        for raw in raws:
            _decode(raw)

    return work


def cpu_nanos(fresh: Fresh, raws: Sequence[bytes]) -> int:
    """The CPU time that handling these events takes."""
    step = fresh()
    gc.collect()
    gc.freeze()
    taken = 0
    for first in range(0, len(raws), _BATCH):
        work = step(raws[first : first + _BATCH])
        start = process_time_ns()
        work()
        taken += process_time_ns() - start
    gc.unfreeze()
    return taken


def timed(fresh: Fresh, raws: Sequence[bytes], repeats: int) -> Timing:
    """Handling these events, set up anew for each repeat, beside its calibration."""
    runs = [(cpu_nanos(fresh, raws), cpu_nanos(lambda: calibration, raws)) for _ in range(repeats)]
    return Timing(
        micros=median(taken for taken, _ in runs) / len(raws) / 1000,
        times_calibration=median(taken / unit for taken, unit in runs),
    )
