"""What all commands on recorded events do alike: load a config, read the events, and warn.

A file of its own, since `replay`, `diff`, `stats` and others are one module each.
"""

from collections.abc import Callable

from shards.commands.terminal import print_error, progress
from shards.config.config_folder import Config, load_config
from shards.ipc.memory import tune_memory
from shards.replay.event_reader import EventReader
from shards.replay.event_replay import Replay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent


def load_and_report(settings: Settings) -> Config | None:
    """The config of the settings' folder, or None if it has faults; prints its problems.

    PathError if it cannot be read.
    """
    config, problems = load_config(settings)
    for problem in problems.listed:
        print_error(str(problem))
    if unlisted := problems.unlisted:
        print_error(unlisted)
    return config


def read_recordings(reader: EventReader, process: Callable[[RecordedEvent], None]) -> None:
    """Pass each event to `process`, with a progress bar; prints why it ended early, if it did."""
    tune_memory()
    with progress(reader.size) as show:
        reader.read(process, show)
    if reader.stopped:
        print_error(f"stopped: {reader.stopped}")


def warn_of_times(reader: EventReader, replay: Replay) -> None:
    """Print what about the order and the times of the events makes the results doubtful."""
    for warning in reader.warnings(replay):
        print_error(warning)
