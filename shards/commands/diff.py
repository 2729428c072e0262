"""The diff command: recorded events through two configs at once, and how their alarms differ."""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from shards.commands.diff_markdown import print_markdown
from shards.commands.diff_result import DiffResult
from shards.commands.diff_text import print_text
from shards.commands.directive_changes import compare_directives
from shards.commands.recordings import load_and_report, read_recordings
from shards.commands.terminal import print_error, print_json
from shards.config.config_files import is_folder
from shards.config.config_folder import Config
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH
from shards.replay.comparison import MAX_KEPT, Comparison
from shards.replay.event_reader import EventReader
from shards.replay.event_replay import Replay
from shards.replay.tracked_replay import TrackedReplay
from shards.settings.schema import UsageError
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent

_PRINTERS: Mapping[str, Callable[[DiffResult, bool], None]] = {
    "text": print_text,
    "markdown": print_markdown,
    "json": lambda result, _: print_json(result.as_document()),
}


def run(settings: Settings, operands: list[str]) -> int:
    """Replay the events through both configs, print the differences, and return the exit code.

    `operands`: the two config folders, and the files of events, if they come from files; UsageError
    if they are not.
    """
    if len(operands) < 2 or (len(operands) == 2 and not settings.elasticsearch):
        raise UsageError(
            "diff needs OLD and NEW, two config folders, and at least one EVENTS or --elasticsearch"
        )
    folders, names = operands[:2], operands[2:]
    try:
        for name, folder in zip(("OLD", "NEW"), folders, strict=True):
            if not is_folder(Path(folder)) and Path(folder).exists():
                raise UsageError(f"{name} is {folder!r}, should be a config folder")
        reader = EventReader(names, settings)
        old, new = (load_and_report(replace(settings, config_dir=Path(f))) for f in folders)
    except PathError as error:
        print_error(str(error))
        return NO_PATH
    if old is None or new is None:
        faulty = [name for name, config in (("OLD", old), ("NEW", new)) if config is None]
        print_error(f"nothing was compared: faults in {' and '.join(faulty)}")
        return INVALID
    result = _compare(reader, old, new, settings)
    _PRINTERS[settings.format](result, settings.all)
    if reader.exit_code:
        return reader.exit_code
    return INVALID if any(result.totals[kind] for kind in settings.fail_on) else 0


def _compare(reader: EventReader, old: Config, new: Config, settings: Settings) -> DiffResult:
    """Read all events; prints what makes the result doubtful."""
    replays = [Replay(config, settings) for config in (old, new)]
    before, after = map(TrackedReplay, replays)
    comparison = Comparison(before, after, limit=None if settings.all else MAX_KEPT)

    def process(event: RecordedEvent) -> None:
        comparison.process_event(event)
        reader.log_reused(replays[1].take_reused() or replays[0].take_reused())

    read_recordings(reader, process)
    comparison.finish()
    reader.close()
    warnings = [f"stopped: {reader.stopped}"] if reader.stopped else []
    for warning in reader.warnings(replays[1]):
        print_error(warning)
        warnings.append(warning)
    return DiffResult(
        events=replays[1].ledger.events.received,
        warnings=warnings,
        differences=comparison.differences,
        directives=compare_directives(old, new),
        assets_differ=old.assets != new.assets,
    )
