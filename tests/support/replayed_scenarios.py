"""Random scenarios as configs and recorded events, for what replays them in one process."""

import json
from collections.abc import Iterable

from engine.alarm import AlarmEvent, AlarmRecord
from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from shards.config.config_folder import Config
from shards.replay.event_replay import Replay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent, decode_recorded_event
from tests.support.strategies import ASSETS, Json, Moment

SETTINGS = Settings()


def config_of(directives: Iterable[Json], assets: Iterable[Json] = ASSETS) -> Config:
    """The config of these documents, without the disabled directives."""
    parsed, _ = parse_assets(json.dumps({"assets": list(assets)}).encode())
    items = list(parse_directives(json.dumps({"directives": list(directives)}).encode()))
    enabled = tuple(item.directive for item in items if item.directive is not None)
    return Config(enabled, tuple(parsed))


def recorded_events(moments: Iterable[Moment]) -> list[RecordedEvent]:
    """The events of a scenario, as they are read from a file."""
    events = [moment.event for moment in moments if moment.event is not None]
    return [
        decode_recorded_event("events", json.dumps(event).encode(), line, 1)
        for line, event in enumerate(events, 1)
    ]


def plain_replay(
    config: Config, events: Iterable[RecordedEvent]
) -> tuple[Replay, dict[str, AlarmRecord], list[AlarmEvent]]:
    """The replay of all events, the last record of each alarm, and all alarm events."""
    replay = Replay(config, SETTINGS)
    for event in events:
        replay.process_event(event)
    replay.finish()
    outputs = replay.take_outputs()
    return replay, {p.alarm.alarm_id: p.alarm for p in outputs.published}, outputs.alarm_events
