"""The replay command: recorded events through one correlator; their timestamps are the clock."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta

from engine.address import canonical_event_ip
from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.directives.index import DirectiveIndex, routing_keys_of
from engine.errors import InvalidEventError
from engine.event import TimedRoutingKey, decode_event, decode_timed_routing_key, parse_timestamp
from shards.alarm_files import AlarmFiles
from shards.commands.replay_summary import AlarmTally, Summary, print_summary
from shards.commands.terminal import print_error, print_json, progress
from shards.config.config_folder import Config, engine_options, load_config
from shards.errors import PathError
from shards.exit_codes import INTERRUPTED, INVALID, NO_PATH
from shards.ipc.memory import tune_memory
from shards.ledger import Ledger
from shards.logs import EventLog
from shards.settings.settings import Settings
from shards.sources.recorded_file import RecordedFile

_BEFORE_ALL_EVENTS = -(2**62)
_UNSORTED_SECONDS = 60
"""An event that is behind the clock by more shows that the input is not sorted by time."""
_PROGRESS_INTERVAL = 1000
"""Number of events between two updates of the progress bar."""
_NOTHING = Outputs()


class EventClock:
    """The highest event time so far, in seconds since the epoch; counts late events."""

    def __init__(self) -> None:
        self.now = _BEFORE_ALL_EVENTS
        self.late_events = 0
        self.max_seconds_behind = 0

    def advance(self, event_time: int) -> int:
        """Advance to an event time, unless it has passed; returns the clock's time."""
        if event_time >= self.now:
            self.now = event_time
        elif self.now - event_time > _UNSORTED_SECONDS:
            self.late_events += 1
            self.max_seconds_behind = max(self.max_seconds_behind, self.now - event_time)
        return self.now


class Replay:
    """A correlator for raw events, whose timestamps are its clock."""

    def __init__(self, config: Config, settings: Settings) -> None:
        self.clock = EventClock()
        self._assets = NetworkAssets(config.assets)
        self._index = DirectiveIndex(map(routing_keys_of, config.directives))
        self._correlator = Correlator(config.directives, self._assets, engine_options(settings))
        self.ledger = Ledger(capped=self._correlator.capped)

    @property
    def open_backlogs(self) -> int:
        """Number of open backlogs."""
        return len(self._correlator)

    def process_line(self, raw: bytes) -> Outputs:
        """Route and correlate one raw event; InvalidEventError, counted, if it is invalid."""
        events = self.ledger.events
        events.received += 1
        try:
            key = decode_timed_routing_key(raw)
        except InvalidEventError as error:
            self.ledger.count_invalid(events.invalid, error)
            raise
        if not self._index.find(key):
            events.unmatched += 1
            return self._advance_clock(key)
        if self._assets.address_info(canonical_event_ip(key.src_ip)).whitelisted:
            events.whitelisted += 1
            return self._advance_clock(key)
        events.routed += 1
        return self._deliver(raw)

    def _deliver(self, raw: bytes) -> Outputs:
        """Decode the whole event and correlate it, as a shard does."""
        deliveries = self.ledger.deliveries
        deliveries.sent += 1
        repaired: list[str] = []
        try:
            event = decode_event(raw, repaired)
        except InvalidEventError as error:
            self.ledger.count_invalid(deliveries.invalid, error)
            raise
        self.ledger.repaired.update(repaired)
        outputs = self._correlator.process_event(event, self.clock.advance(event.time))
        if outputs.consumed:
            deliveries.consumed += 1
        else:
            deliveries.unmatched += 1
        return self._count_outputs(outputs)

    def _advance_clock(self, key: TimedRoutingKey) -> Outputs:
        """Advance the clock by an event that is not correlated; a bad timestamp is ignored."""
        try:
            now = self.clock.advance(parse_timestamp(key.timestamp))
        except InvalidEventError:
            return _NOTHING
        return self._count_outputs(self._correlator.advance_time(now))

    def finish(self) -> Outputs:
        """Close what has expired by the end of the input, and write what waits."""
        outputs = self._correlator.advance_time(self.clock.now)
        return self._count_outputs(self._correlator.write_pending(outputs))

    def _count_outputs(self, outputs: Outputs) -> Outputs:
        if outputs.counts:
            self.ledger.add_outputs(outputs.counts)
        return outputs


def run(settings: Settings, names: list[str], show_alarms: bool) -> int:
    """Replay the files, print the summary, and return the exit code."""
    with ExitStack() as opened:
        return _run(settings, names, show_alarms, opened)


def _run(settings: Settings, names: list[str], show_alarms: bool, opened: ExitStack) -> int:
    try:
        recorded_files = [opened.enter_context(closing(RecordedFile(name))) for name in names]
        config, problems = load_config(settings)
        for problem in problems.listed:
            print_error(str(problem))
        if unlisted := problems.unlisted:
            print_error(unlisted)
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
    code = session.run(recorded_files)
    session.print_results(settings)
    return code


class Session:
    """One run of the command: recorded files into a replay, its outputs into the alarm files."""

    def __init__(self, replay: Replay, files: AlarmFiles, alarms: AlarmTally) -> None:
        self._replay = replay
        self._files = files
        self._alarms = alarms
        self._event_log = EventLog()
        self._seconds = 0.0

    def run(self, recorded_files: list[RecordedFile]) -> int:
        """Replay all files; returns the exit code."""
        tune_memory()
        started = time.perf_counter()
        try:
            return self._run(recorded_files)
        except OSError as error:
            print_error(f"stopped: {error.filename}: {error.strerror}; its last lines are lost")
            return INVALID
        finally:
            self._event_log.close()
            self._seconds = time.perf_counter() - started

    def _run(self, recorded_files: list[RecordedFile]) -> int:
        code = 0
        try:
            with progress(sum(recorded_file.size for recorded_file in recorded_files)) as show:
                for recorded_file in recorded_files:
                    self._replay_file(recorded_file, show)
        except PathError as error:
            print_error(f"stopped: {error}")
            code = INVALID
        except KeyboardInterrupt:
            print_error("stopped: interrupted")
            code = INTERRUPTED
        self._write_outputs(self._replay.finish())
        self._files.close()
        return code

    def _replay_file(self, recorded_file: RecordedFile, show: Callable[[int], None]) -> None:
        shown = 0
        for number, raw in enumerate(recorded_file.lines()):
            if number % _PROGRESS_INTERVAL == 0:
                position = recorded_file.position()
                show(position - shown)
                shown = position
            self._process_line(raw)
        show(recorded_file.size - shown)

    def _process_line(self, raw: bytes) -> None:
        try:
            outputs = self._replay.process_line(raw)
        except InvalidEventError as error:
            self._event_log.log_invalid(error, raw, time.monotonic())
            return
        self._write_outputs(outputs)

    def _write_outputs(self, outputs: Outputs) -> None:
        if outputs.counts or outputs.published:
            self._files.write(outputs)
            self._alarms.add(outputs.published)

    def print_results(self, settings: Settings) -> None:
        """Print the summary."""
        ledger = self._replay.ledger
        ledger.backlogs["open"] = self._replay.open_backlogs
        summary = Summary(ledger, self._alarms, self._seconds, self._files.paths)
        if settings.format == "json":
            print_json(summary.as_document())
        else:
            print_summary(summary)
        self._warn_if_unsorted()

    def _warn_if_unsorted(self) -> None:
        clock = self._replay.clock
        if clock.late_events:
            behind = timedelta(seconds=clock.max_seconds_behind)
            print_error(
                f"{clock.late_events:,} events came late, up to {behind} behind the clock: what "
                "they open or continue may have timed out by then. "
                "Is the input sorted by timestamp?"
            )
