"""`test --record`: prints a file of tests that recorded events give for one directive.

Apart from test.py, which runs tests and does not read recordings.
"""

from pathlib import Path

from msgspec.structs import replace

from shards.commands.explain import selected_directives
from shards.commands.recordings import load_and_report, read_recordings, warn_of_times
from shards.commands.terminal import print_error, print_line
from shards.directive_tests.outcome import MAX_ALARMS
from shards.directive_tests.recorder import MAX_EVENTS, MAX_EXPECTED, RecordingReplay
from shards.exit_codes import INVALID
from shards.replay.event_reader import EventReader
from shards.settings.schema import UsageError
from shards.settings.settings import Settings


def record(settings: Settings, paths: list[Path]) -> int:
    """Record a test of one directive of the folder; returns the exit code. PathError as replay."""
    directives = selected_directives(settings.directive)
    if len(directives) != 1:
        raise UsageError("--record needs --directive with the id of one directive")
    if len(paths) != 1 or not paths[0].is_dir():
        raise UsageError("--record needs the folder of the directives, and nothing else")
    reader = EventReader([settings.record], settings)
    config = load_and_report(replace(settings, config_dir=paths[0]))
    if config is None:
        print_error("nothing was recorded: the config has faults")
        return INVALID
    if directives[0] not in {directive.id for directive in config.directives}:
        print_error(f"{paths[0]} has no directive {directives[0]} that is enabled")
        return INVALID
    replay = RecordingReplay(config, settings, directives[0])
    read_recordings(reader, replay.process_event)
    reader.close()
    replay.finish()
    replay.take_outputs()
    warn_of_times(reader, replay)
    return _print_test(replay, settings, paths[0]) or reader.exit_code


def _print_test(replay: RecordingReplay, settings: Settings, folder: Path) -> int:
    """Print the file of tests, and what it leaves out; INVALID if there can be none."""
    if not replay.consumed:
        print_error(f"nothing was recorded: directive {replay.directive} took none of the events")
        return INVALID
    if replay.too_many:
        print_error(f"nothing was recorded: a test has at most {MAX_ALARMS:,} alarms")
        return INVALID
    print_line(replay.test_file([Path(settings.record)], folder).rstrip())
    if replay.consumed > MAX_EVENTS:
        print_error(f"the directive took more than {MAX_EVENTS} events: the test names the file")
    if left_out := replay.left_out:
        print_error(f"the test expects {MAX_EXPECTED} different alarms, and allows {left_out} more")
    return 0
