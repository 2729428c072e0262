"""A shard by itself: what the clock does to events; the rest is seen in the serve tests."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from engine.asset import parse_assets
from engine.directive import parse_directives
from engine.options import Options
from shards.settings import Settings
from shards.wire import WorkerReport
from shards.worker import Shard, WorkerSetup

NOW = 1_800_000_000
RULE = {
    "name": "seen",
    "type": "PluginRule",
    "plugin_id": 1,
    "plugin_sid": [1],
    "occurrence": 1,
    "from": "ANY",
    "to": "ANY",
    "reliability": 10,
    "timeout": 60,
}
DIRECTIVE = {"id": 1, "name": "n", "kingdom": "k", "category": "c", "priority": 5}


def shard(max_future: int) -> Shard:
    rules = [RULE | {"stage": stage} for stage in (1, 2)]
    document = msgspec.json.encode({"directives": [DIRECTIVE | {"rules": rules}]})
    directives = [item.directive for item in parse_directives(document)]
    assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
    settings = Settings(max_future=max_future)
    packed = msgspec.msgpack.encode(directives)
    return Shard(WorkerSetup(settings, Options(), packed, tuple(assets)))


def event(seconds_ahead: int) -> bytes:
    time = datetime.fromtimestamp(NOW + seconds_ahead, UTC).isoformat()
    addresses = {"src_ip": "10.0.0.1", "dst_ip": "10.0.0.2"}
    body = {"event_id": "e", "timestamp": time, "sensor": "s", "plugin_id": 1, "plugin_sid": 1}
    return json.dumps(body | addresses).encode()


def told(max_future: int, seconds_ahead: int) -> tuple[WorkerReport, int]:
    """What is reported of one event, and the start of stage 1 in seconds from now."""
    worker = shard(max_future)
    worker.take(1, [event(seconds_ahead)], NOW)
    report = worker.report([])
    alarm = json.loads(report.alarms.splitlines()[-1])
    return report, alarm["rules"][0]["start_time"] - NOW


@pytest.mark.parametrize(
    ("max_future", "ahead", "taken_as", "counted"),
    [(60, 60, 60, 0), (60, 61, 0, 1), (0, 10**8, 10**8, 0), (60, -500, -500, 0)],
)
def test_an_event_too_far_ahead_is_taken_as_of_now_and_counted(
    max_future: int, ahead: int, taken_as: int, counted: int
) -> None:
    report, start = told(max_future, ahead)
    assert (start, report.from_future) == (taken_as, counted)
    assert (report.consumed, report.unmatched) == (1, 0)
