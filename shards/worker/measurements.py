"""What a shard measures between two reports with details."""

import time
from collections import Counter
from collections.abc import Iterable

from engine.alarm import PublishedAlarm
from engine.correlation.correlator import Correlator
from shards.checkpoint.stats import CheckpointStats
from shards.histograms import LAG_BOUNDS, PROCESSING_BOUNDS, Timings, observe
from shards.ipc.messages import WorkerDetails

NANOSECONDS = 1_000_000_000


class Measurements:
    """Times and numbers of lines; `busy_seconds` in total."""

    def __init__(self, correlator: Correlator) -> None:
        self.busy_seconds = 0.0
        self.active_directives = 0
        """Directives with open backlogs, when details were taken the last time."""
        self._correlator = correlator
        self._timings = Timings()
        self._alarms: Counter[str] = Counter()
        """Alarm lines by risk class."""

    def observe_batch(self, seconds: float, events: int, received: int) -> None:
        """Add a batch; `received`: `rcvd_time` of its first event, in ns since the epoch, or 0."""
        self.busy_seconds += seconds
        if not events:
            return
        observe(self._timings.processing, PROCESSING_BOUNDS, seconds / events, events)
        if received > 0:
            lag = time.time() - received / NANOSECONDS
            observe(self._timings.lag, LAG_BOUNDS, max(0.0, lag), events)

    def count_lines(self, published: Iterable[PublishedAlarm]) -> None:
        """Add alarm lines that are reported."""
        for publish in published:
            self._alarms[publish.alarm.risk_class] += 1

    def take_details(self, checkpoints: CheckpointStats) -> WorkerDetails:
        """All since the last call."""
        self.active_directives = self._correlator.active_directives
        timings, self._timings = self._timings, Timings()
        timings.checkpoints = checkpoints.take_durations()
        alarms, self._alarms = self._alarms, Counter()
        return WorkerDetails(
            timings,
            dict(alarms),
            self._correlator.take_counts(),
            checkpoints.written_at,
            checkpoints.trouble,
            sorted(self._correlator.former_directives),
        )
