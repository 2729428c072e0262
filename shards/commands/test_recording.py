"""`test --record`: prints a file of tests that recorded events give for one directive.

Events of Elasticsearch are first written to a file, so that the test needs no server.

Apart from test.py, which runs tests and does not read recordings.
"""

from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from engine.directives.index import DirectiveIndex, routing_keys_of
from engine.event import decode_timed_routing_key
from shards.commands.explain import selected_directives
from shards.commands.recordings import load_and_report, read_recordings, warn_of_times
from shards.commands.terminal import counted, print_error, print_line
from shards.config.config_files import is_folder
from shards.config.config_folder import Config
from shards.directive_tests.outcome import MAX_ALARMS
from shards.directive_tests.recorder import MAX_EVENTS, MAX_EXPECTED, RecordingReplay
from shards.errors import PathError
from shards.exit_codes import INVALID
from shards.replay.event_reader import EventReader
from shards.settings.schema import UsageError
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent


def record(settings: Settings, paths: list[Path]) -> int:
    """Record a test of one directive of the folder; returns the exit code. PathError as replay."""
    directives = selected_directives(settings.directive)
    if len(directives) != 1:
        raise UsageError("--record needs --directive with the id of one directive")
    if len(paths) != 1 or not is_folder(paths[0]):
        raise UsageError("--record needs the folder of the directives, and nothing else")
    source = _open_source(settings)
    settings = replace(settings, config_dir=paths[0])
    config = load_and_report(settings)
    if config is None:
        print_error("nothing was recorded: the config has faults")
        return INVALID
    if directives[0] not in {directive.id for directive in config.directives}:
        print_error(f"{paths[0]} has no directive {directives[0]} that is enabled")
        return INVALID
    if settings.elasticsearch:
        if code := _save_events(source, config, directives[0], Path(settings.record)):
            return code
        settings = replace(settings, elasticsearch="")
        source = EventReader([settings.record], settings)
    return _record_from(source, RecordingReplay(config, settings, directives[0]), settings)


def _open_source(settings: Settings) -> EventReader:
    """What reads the file, or the index whose events it is to hold."""
    if not settings.elasticsearch:
        return EventReader([settings.record], settings)
    if settings.record == "-":
        raise UsageError("--record is standard input, should be a new file with --elasticsearch")
    try:
        exists = Path(settings.record).exists()
    except OSError as error:
        raise PathError(f"{settings.record} cannot be written: {error.strerror}") from error
    if exists:
        raise PathError(
            f"{settings.record} exists; with --elasticsearch (DSIEM_ELASTICSEARCH), --record makes"
            " a new file"
        )
    return EventReader([], settings)


def _save_events(reader: EventReader, config: Config, directive: int, path: Path) -> int:
    """Write the events for the rules of a directive to a new file; the exit code if there is none.

    The others would make a month of events a file too large to be kept beside a test.
    """
    [chosen] = (one for one in config.directives if one.id == directive)
    index = DirectiveIndex([routing_keys_of(chosen)])
    part, saved = path.with_name(f"{path.name}.part"), 0
    try:
        with part.open("wb") as file:

            def process(event: RecordedEvent) -> None:
                nonlocal saved
                if index.find(event.key or decode_timed_routing_key(event.raw)):
                    file.write(event.raw.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
                    saved += 1

            read_recordings(reader, process)
        reader.close()
        if saved and not reader.stopped:
            part.rename(path)
    except OSError as error:
        raise PathError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):  # there is none
            part.unlink()
    if reader.stopped:
        return reader.exit_code
    if not saved:
        print_error(f"nothing was recorded: no event is for a rule of directive {directive}")
        return INVALID
    print_error(f"{path}: {counted(saved, 'event')} for the rules of directive {directive}")
    return 0


def _record_from(reader: EventReader, replay: RecordingReplay, settings: Settings) -> int:
    """Print the test that recorded events give; returns the exit code."""
    read_recordings(reader, replay.process_event)
    reader.close()
    replay.finish()
    replay.take_outputs()
    warn_of_times(reader, replay)
    return _print_test(replay, settings) or reader.exit_code


def _print_test(replay: RecordingReplay, settings: Settings) -> int:
    """Print the file of tests, and what it leaves out; INVALID if there can be none."""
    if not replay.consumed:
        print_error(f"nothing was recorded: directive {replay.directive} took none of the events")
        return INVALID
    if replay.too_many:
        print_error(f"nothing was recorded: a test has at most {MAX_ALARMS:,} alarms")
        return INVALID
    print_line(replay.test_file([Path(settings.record)], settings.config_dir).rstrip())
    if replay.consumed > MAX_EVENTS:
        print_error(f"the directive took more than {MAX_EVENTS} events: the test names the file")
    if left_out := replay.left_out:
        print_error(f"the test expects {MAX_EXPECTED} different alarms, and allows {left_out} more")
    return 0
