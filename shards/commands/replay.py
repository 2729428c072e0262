"""The replay command: recorded events through one correlator; their timestamps are the clock."""

import time
from datetime import timedelta

from engine.errors import InvalidEventError
from shards.alarm_files import AlarmFiles
from shards.commands.replay_summary import AlarmTally, Summary, print_summary
from shards.commands.terminal import print_error, print_json, progress
from shards.config.config_folder import load_config
from shards.errors import PathError
from shards.exit_codes import INTERRUPTED, INVALID, NO_PATH
from shards.ipc.memory import tune_memory
from shards.logs import EventLog
from shards.replay.event_replay import Replay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent
from shards.sources.recorded_file import RecordedFile
from shards.sources.recordings import events_in_order

_PROGRESS_INTERVAL = 1000
"""Number of events between two updates of the progress bar."""
_EVENTS_PER_WRITE = 100
"""Number of events whose outputs are written together."""


def run(settings: Settings, names: list[str], show_alarms: bool) -> int:
    """Replay the files, print the summary, and return the exit code."""
    try:
        recorded_files = [RecordedFile(name) for name in names]
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
    code = session.run(recorded_files, settings)
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
        self._newest_first: list[str] = []
        """Names of recorded files whose order is wrong."""

    def run(self, recorded_files: list[RecordedFile], settings: Settings) -> int:
        """Replay all files; returns the exit code."""
        tune_memory()
        started = time.perf_counter()
        try:
            return self._run(recorded_files, settings)
        except OSError as error:
            print_error(f"stopped: {error.filename}: {error.strerror}; its last lines are lost")
            return INVALID
        finally:
            self._event_log.close()
            self._seconds = time.perf_counter() - started

    def _run(self, recorded_files: list[RecordedFile], settings: Settings) -> int:
        code = 0
        events = events_in_order(recorded_files, settings.max_future, sort=settings.sort)
        try:
            with progress(sum(recorded_file.size for recorded_file in recorded_files)) as show:
                for number, event in enumerate(events):
                    if number % _EVENTS_PER_WRITE == 0:
                        self._write_outputs()
                    if number % _PROGRESS_INTERVAL == 0:
                        show(sum(recorded_file.position for recorded_file in recorded_files))
                    try:
                        self._replay.process_event(event)
                    except InvalidEventError as error:
                        self._log_invalid(error, event)
        except PathError as error:
            print_error(f"stopped: {error}")
            code = INVALID
        except KeyboardInterrupt:
            print_error("stopped: interrupted")
            code = INTERRUPTED
        self._replay.finish()
        self._write_outputs()
        self._files.close()
        if not settings.sort:
            self._newest_first = [file.name for file in recorded_files if file.is_newest_first]
        return code

    def _log_invalid(self, error: InvalidEventError, event: RecordedEvent) -> None:
        self._event_log.log_invalid(error, event.raw, time.monotonic(), event.place)

    def _write_outputs(self) -> None:
        """Write what the last events have caused."""
        outputs = self._replay.take_outputs()
        self._files.write(outputs)
        self._alarms.add(outputs.published)
        if reused := self._replay.take_reused():
            self._event_log.log_reused(reused, time.monotonic())

    def print_results(self, settings: Settings) -> None:
        """Print the summary."""
        ledger = self._replay.ledger
        ledger.backlogs["open"] = self._replay.open_backlogs
        summary = Summary(ledger, self._alarms, self._seconds, self._files.paths)
        if settings.format == "json":
            print_json(summary.as_document())
        else:
            print_summary(summary)
        self._warn_of_times(settings.max_future)

    def _warn_of_times(self, max_future: int) -> None:
        clock = self._replay.clock
        if self._newest_first:
            print_error(
                f"newest events first: {', '.join(self._newest_first)}. No event can continue what "
                "a later one opens. --sort brings the events into their order."
            )
        elif clock.late_events:
            behind = timedelta(seconds=clock.max_seconds_behind)
            print_error(
                f"{clock.late_events:,} events came late, up to {behind} behind the clock: what "
                "they open or continue may have timed out by then. "
                "Is the input sorted by timestamp? --sort sorts it."
            )
        if count := self._replay.ledger.from_future:
            print_error(
                f"events more than {max_future} s ahead of those around them (--max-future): "
                f"{count:,}. They got the time of the clock. Unsorted input needs --sort."
            )
