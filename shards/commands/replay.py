"""The replay verb: recorded events through one correlator, with their own times as the clock."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta

from engine.address import canonical_ip
from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.directives.index import DirectiveIndex, routing_keys_of
from engine.errors import InvalidEventError
from engine.event import TimedRoutingKey, decode_event, decode_timed_routing_key, event_time
from shards.alarm_files import AlarmFiles
from shards.commands.replay_summary import AlarmTally, Summary, print_summary
from shards.commands.terminal import print_error, print_line, progress
from shards.config.config_folder import Config, engine_options, load_config
from shards.errors import PathError
from shards.ipc.memory import tune_memory
from shards.ledger import Ledger
from shards.logs import InvalidEventLog
from shards.settings.settings import Settings
from shards.sources.recorded_file import RecordedFile

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
        self._index = DirectiveIndex(map(routing_keys_of, config.directives))
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
            key = decode_timed_routing_key(raw)
        except InvalidEventError as error:
            events.invalid[error.reason] += 1
            raise
        if not self._index.find(key):
            events.unmatched += 1
            return self._advance_to(key)
        if self._assets.address_info(canonical_ip(key.src_ip)).whitelisted:
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
        except InvalidEventError as error:
            deliveries.invalid[error.reason] += 1
            raise
        outputs = self._correlator.process_event(event, self.clock.see(event.time))
        if outputs.consumed:
            deliveries.consumed += 1
        else:
            deliveries.unmatched += 1
        return self._noted(outputs)

    def _advance_to(self, key: TimedRoutingKey) -> Outputs:
        """Let the clock go on with an event that is not correlated; a bad timestamp leaves it."""
        try:
            now = self.clock.see(event_time(key.timestamp))
        except InvalidEventError:
            return _NOTHING
        return self._noted(self._correlator.advance_time(now))

    def finish(self) -> Outputs:
        """At the end: what has expired by then is closed."""
        return self._noted(self._correlator.advance_time(self.clock.now))

    def _noted(self, outputs: Outputs) -> Outputs:
        if outputs.counts:
            self.ledger.add_outputs(outputs.counts)
        return outputs


_NOTHING = Outputs()


def run(settings: Settings, names: list[str], show_alarms: bool) -> int:
    """Replay the files, print the summary, and return the exit code."""
    with ExitStack() as opened:
        return _run(settings, names, show_alarms, opened)


def _run(settings: Settings, names: list[str], show_alarms: bool, opened: ExitStack) -> int:
    try:
        recordings = [opened.enter_context(closing(RecordedFile(name))) for name in names]
        config, problems = load_config(settings)
        for problem in problems:
            print_error(str(problem))
        if config is None:
            print_error("nothing was replayed: the config has faults")
            return INVALID
        files = AlarmFiles(settings.log_dir)
    except PathError as error:
        print_error(str(error))
        return NO_PATH
    except OSError as error:
        print_error(f"{error.filename}: {error.strerror}")
        return NO_PATH
    session = Session(Replay(config, settings), files, AlarmTally(keep=show_alarms))
    code = session.run(recordings)
    session.report(settings)
    return code


class Session:
    """One run of the verb: recordings into a replay, and what comes out into the files."""

    def __init__(self, replay: Replay, files: AlarmFiles, book: AlarmTally) -> None:
        self._replay = replay
        self._files = files
        self._book = book
        self._invalid = InvalidEventLog()
        self._seconds = 0.0

    def run(self, recordings: list[RecordedFile]) -> int:
        """Replay all of them, and return the exit code."""
        tune_memory()
        started = time.perf_counter()
        try:
            return self._run(recordings)
        except OSError as error:
            print_error(f"stopped: {error.filename}: {error.strerror}; its last lines are lost")
            return INVALID
        finally:
            self._invalid.close()
            self._seconds = time.perf_counter() - started

    def _run(self, recordings: list[RecordedFile]) -> int:
        code = 0
        try:
            with progress(sum(recording.size for recording in recordings)) as show:
                for recording in recordings:
                    self._replay_one(recording, show)
        except PathError as error:
            print_error(f"stopped: {error}")
            code = INVALID
        except KeyboardInterrupt:
            print_error("stopped: interrupted")
            code = INTERRUPTED
        self._take(self._replay.finish())
        self._files.close()
        return code

    def _replay_one(self, recording: RecordedFile, show: Callable[[int], None]) -> None:
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
        except InvalidEventError as error:
            self._invalid.log(error.reason, raw, time.monotonic())
            return
        self._take(outputs)

    def _take(self, outputs: Outputs) -> None:
        if outputs.counts:
            self._files.write(outputs)
            self._book.note(outputs.published)

    def report(self, settings: Settings) -> None:
        """Print the summary."""
        ledger = self._replay.ledger
        ledger.backlogs["open"] = self._replay.open_backlogs
        summary = Summary(ledger, self._book, self._seconds, self._files.paths)
        if settings.format == "json":
            print_line(summary.json())
        else:
            print_summary(summary)
        self._warn_of_disorder()

    def _warn_of_disorder(self) -> None:
        clock = self._replay.clock
        if clock.late:
            behind = timedelta(seconds=clock.furthest_behind)
            print_error(
                f"{clock.late:,} events came late, up to {behind} behind the clock: what they open "
                "or continue may have timed out by then. Is the input sorted by timestamp?"
            )
