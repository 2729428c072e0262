"""The stats command: which directives recorded events reach, and which events none is for.

A file of its own, as every command.
"""

from shards.commands.recordings import open_recordings, read_recordings
from shards.commands.stats_summary import StatsSummary, print_stats
from shards.commands.terminal import print_error, print_json
from shards.replay.directive_stats import StatsCollector
from shards.replay.event_replay import Replay
from shards.replay.tracked_replay import TrackedReplay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent
from shards.unmatched_events import UnmatchedEvents


def run(settings: Settings, names: list[str]) -> int:
    """Replay the files, print the counts, and return the exit code."""
    opened = open_recordings(settings, names, "nothing was counted")
    if isinstance(opened, int):
        return opened
    reader, config = opened
    replay = Replay(config, settings, count_by_directive=True)
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
