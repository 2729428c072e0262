"""The stats command: which directives recorded events reach, and which events none is for."""

from shards.commands.recordings import load_and_report, read_recordings
from shards.commands.stats_summary import StatsSummary, print_stats
from shards.commands.terminal import print_error, print_json
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH
from shards.replay.directive_stats import StatsCollector
from shards.replay.event_reader import EventReader
from shards.replay.event_replay import Replay
from shards.replay.tracked_replay import TrackedReplay
from shards.replay.unmatched_events import UnmatchedEvents
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent


def run(settings: Settings, names: list[str]) -> int:
    """Replay the files, print the counts, and return the exit code."""
    try:
        reader = EventReader(names, settings)
        config = load_and_report(settings)
    except PathError as error:
        print_error(str(error))
        return NO_PATH
    if config is None:
        print_error("nothing was counted: the config has faults")
        return INVALID
    replay = Replay(config, settings, count_matches=True)
    collector = StatsCollector(config, TrackedReplay(replay), UnmatchedEvents())

    def process(event: RecordedEvent) -> None:
        collector.process_event(event)
        reader.log_reused(replay.take_reused())

    read_recordings(reader, process)
    collector.finish()
    reader.close()
    warnings = [f"stopped: {reader.stopped}"] if reader.stopped else []
    for warning in reader.warnings(replay):
        print_error(warning)
        warnings.append(warning)
    summary = StatsSummary(collector, warnings)
    if settings.format == "json":
        print_json(summary.as_document())
    else:
        print_stats(summary, show_all=settings.all)
    return reader.exit_code
