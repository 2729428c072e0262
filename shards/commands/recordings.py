"""What all commands on recorded events do alike: load a config, read the events, and warn.

A file of its own, since `replay`, `diff`, `stats` and others are one module each.
"""

from collections.abc import Callable

from shards.commands.terminal import print_error, progress
from shards.config.config_folder import Config, load_config
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH
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


def open_recordings(
    settings: Settings, names: list[str], consequence: str
) -> tuple[EventReader, Config] | int:
    """What reads the files, and the config of the settings' folder; the exit code if either fails.

    Prints why, and `consequence` if it is the config: `nothing was counted`.
    """
    try:
        reader = EventReader(names, settings)
        config = load_and_report(settings)
    except PathError as error:
        print_error(str(error))
        return NO_PATH
    if config is None:
        print_error(f"{consequence}: the config has faults")
        return INVALID
    return reader, config


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
