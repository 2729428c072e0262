"""The replay command: recorded events through one correlator; their timestamps are the clock."""

import time

from shards.alarm_files import AlarmFiles
from shards.commands.recordings import load_and_report, read_recordings, warn_of_times
from shards.commands.replay_summary import AlarmTally, Summary, print_summary
from shards.commands.terminal import print_error, print_json
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH
from shards.replay.event_reader import EventReader
from shards.replay.event_replay import Replay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent

_EVENTS_PER_WRITE = 100
"""Number of events whose outputs are written together."""


def run(settings: Settings, names: list[str], show_alarms: bool) -> int:
    """Replay the files, print the summary, and return the exit code."""
    try:
        reader = EventReader(names, settings)
        config = load_and_report(settings)
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
    code = session.run(reader)
    session.print_results(settings)
    warn_of_times(reader, session.replay)
    return code


class Session:
    """One run of the command: recorded files into a replay, its outputs into the alarm files."""

    def __init__(self, replay: Replay, files: AlarmFiles, alarms: AlarmTally) -> None:
        self.replay = replay
        self._files = files
        self._alarms = alarms
        self._unwritten = 0
        """Number of events whose outputs are not written yet."""
        self._seconds = 0.0

    def run(self, reader: EventReader) -> int:
        """Replay all files; returns the exit code."""
        started = time.perf_counter()
        try:
            read_recordings(reader, lambda event: self._process(event, reader))
            self.replay.finish()
            self._write_outputs(reader)
            self._files.close()
        except OSError as error:
            print_error(f"stopped: {error.filename}: {error.strerror}; its last lines are lost")
            return INVALID
        finally:
            reader.close()
            self._seconds = time.perf_counter() - started
        return reader.exit_code

    def _process(self, event: RecordedEvent, reader: EventReader) -> None:
        if self._unwritten == _EVENTS_PER_WRITE:
            self._write_outputs(reader)
        self._unwritten += 1
        self.replay.process_event(event)

    def _write_outputs(self, reader: EventReader) -> None:
        """Write what the last events have caused."""
        outputs = self.replay.take_outputs()
        self._files.write(outputs)
        self._alarms.add(outputs.published)
        reader.log_reused(self.replay.take_reused())
        self._unwritten = 0

    def print_results(self, settings: Settings) -> None:
        """Print the summary."""
        ledger = self.replay.ledger
        ledger.backlogs["open"] = self.replay.open_backlogs
        summary = Summary(ledger, self._alarms, self._seconds, self._files.paths)
        if settings.format == "json":
            print_json(summary.as_document())
        else:
            print_summary(summary)
