"""The replay verb: recorded events through one correlator, with their own times as the clock."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta

from engine.address import canonical
from engine.asset import NetworkAssets
from engine.correlator import Correlator
from engine.errors import InvalidEvent
from engine.event import TimedKey, decode_event, decode_timed_key, event_time
from engine.index import DirectiveIndex, keys_of
from engine.outputs import Outputs
from shards import memory, report
from shards.book import AlarmBook
from shards.config import Config, PathError, engine_options, load
from shards.ledger import Ledger
from shards.logs import InvalidEvents
from shards.recording import Recording
from shards.settings import Settings
from shards.sink import AlarmFiles
from shards.validate import line_of

INVALID, NO_PATH, INTERRUPTED = 1, 2, 130
_LONG_AGO = -(2**62)
_LATE_SECONDS = 60
"""An event this much behind the clock shows that a recording is not in the order of time."""
_SHOW_EVERY = 1000
"""Events between two updates of the progress bar."""


class EventClock:
    """The highest event time so far, in seconds since the epoch; and who came late."""

    def __init__(self) -> None:
        self.now = _LONG_AGO
        self.late = 0
        self.furthest_behind = 0

    def see(self, event_time: int) -> int:
        """Go on to this time, unless it is past already; returns the time it is now."""
        if event_time >= self.now:
            self.now = event_time
        elif self.now - event_time > _LATE_SECONDS:
            self.late += 1
            self.furthest_behind = max(self.furthest_behind, self.now - event_time)
        return self.now


class Replay:
    """A correlator fed with raw events, whose own times are its clock."""

    def __init__(self, config: Config, settings: Settings) -> None:
        self.ledger = Ledger()
        self.clock = EventClock()
        self._assets = NetworkAssets(config.assets)
        self._index = DirectiveIndex(map(keys_of, config.directives))
        self._correlator = Correlator(config.directives, self._assets, engine_options(settings))

    @property
    def open_backlogs(self) -> int:
        """How many backlogs are open."""
        return len(self._correlator)

    def feed(self, raw: bytes) -> Outputs:
        """What one line leads to; InvalidEvent when it is no valid event, which is counted."""
        events = self.ledger.events
        events.received += 1
        try:
            key = decode_timed_key(raw)
        except InvalidEvent as error:
            events.invalid[error.reason] += 1
            raise
        if not self._index.find(key):
            events.unmatched += 1
            return self._advance_to(key)
        if self._assets.facts(canonical(key.src_ip)).whitelisted:
            events.whitelisted += 1
            return self._advance_to(key)
        events.routed += 1
        return self._deliver(raw)

    def _deliver(self, raw: bytes) -> Outputs:
        """The part of a shard: decode the whole event, and correlate it."""
        deliveries = self.ledger.deliveries
        deliveries.sent += 1
        try:
            event = decode_event(raw)
        except InvalidEvent as error:
            deliveries.invalid[error.reason] += 1
            raise
        outputs = self._correlator.on_event(event, self.clock.see(event.time))
        if outputs.consumed:
            deliveries.consumed += 1
        else:
            deliveries.unmatched += 1
        return self._noted(outputs)

    def _advance_to(self, key: TimedKey) -> Outputs:
        """Let the clock go on with an event that is not correlated; a bad timestamp leaves it."""
        try:
            now = self.clock.see(event_time(key.timestamp))
        except InvalidEvent:
            return _NOTHING
        return self._noted(self._correlator.on_tick(now))

    def finish(self) -> Outputs:
        """At the end: what has expired by then is closed."""
        return self._noted(self._correlator.on_tick(self.clock.now))

    def _noted(self, outputs: Outputs) -> Outputs:
        if outputs.counts:
            self.ledger.note(outputs.counts)
        return outputs


_NOTHING = Outputs()


def run(settings: Settings, names: list[str], show_alarms: bool) -> int:
    """Replay the files, print the summary, and return the exit code."""
    with ExitStack() as opened:
        return _run(settings, names, show_alarms, opened)


def _run(settings: Settings, names: list[str], show_alarms: bool, opened: ExitStack) -> int:
    try:
        recordings = [opened.enter_context(closing(Recording(name))) for name in names]
        config, problems = load(settings)
        for problem in problems:
            report.complain(line_of(problem))
        if config is None:
            report.complain("nothing was replayed: the config has faults")
            return INVALID
        files = AlarmFiles(settings.log_dir)
    except PathError as error:
        report.complain(str(error))
        return NO_PATH
    except OSError as error:
        report.complain(f"{error.filename}: {error.strerror}")
        return NO_PATH
    session = Session(Replay(config, settings), files, AlarmBook(keep=show_alarms))
    code = session.run(recordings)
    session.report(settings)
    return code


class Session:
    """One run of the verb: recordings into a replay, and what comes out into the files."""

    def __init__(self, replay: Replay, files: AlarmFiles, book: AlarmBook) -> None:
        self._replay = replay
        self._files = files
        self._book = book
        self._invalid = InvalidEvents()
        self._seconds = 0.0

    def run(self, recordings: list[Recording]) -> int:
        """Replay all of them, and return the exit code."""
        memory.settle()
        started = time.perf_counter()
        try:
            return self._run(recordings)
        except OSError as error:
            report.complain(f"stopped: {error.filename}: {error.strerror}; its last lines are lost")
            return INVALID
        finally:
            self._invalid.close()
            self._seconds = time.perf_counter() - started

    def _run(self, recordings: list[Recording]) -> int:
        code = 0
        try:
            with report.progress(sum(recording.size for recording in recordings)) as show:
                for recording in recordings:
                    self._replay_one(recording, show)
        except PathError as error:
            report.complain(f"stopped: {error}")
            code = INVALID
        except KeyboardInterrupt:
            report.complain("stopped: interrupted")
            code = INTERRUPTED
        self._take(self._replay.finish())
        self._files.close()
        return code

    def _replay_one(self, recording: Recording, show: Callable[[int], None]) -> None:
        shown = 0
        for number, raw in enumerate(recording.lines()):
            if number % _SHOW_EVERY == 0:
                position = recording.position()
                show(position - shown)
                shown = position
            self._feed(raw)
        show(recording.size - shown)

    def _feed(self, raw: bytes) -> None:
        try:
            outputs = self._replay.feed(raw)
        except InvalidEvent as error:
            self._invalid.report(error.reason, raw, time.monotonic())
            return
        self._take(outputs)

    def _take(self, outputs: Outputs) -> None:
        if outputs.counts:
            self._files.write(outputs)
            self._book.note(outputs.publishes)

    def report(self, settings: Settings) -> None:
        """Print the summary."""
        ledger = self._replay.ledger
        ledger.backlogs["open"] = self._replay.open_backlogs
        summary = report.Summary(ledger, self._book, self._seconds, self._files.paths)
        if settings.format == "json":
            report.say(summary.json())
        else:
            report.show(summary)
        self._warn_of_disorder()

    def _warn_of_disorder(self) -> None:
        clock = self._replay.clock
        if clock.late:
            behind = timedelta(seconds=clock.furthest_behind)
            report.complain(
                f"{clock.late:,} events came late, up to {behind} behind the clock: what they open "
                "or continue may have timed out by then. Is the input sorted by timestamp?"
            )
