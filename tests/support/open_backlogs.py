"""A shard with open backlogs of directives with two stages, each from another source."""

import json
from typing import Any

import msgspec

from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.options import Options
from shards.settings.settings import Settings
from shards.worker.shard import Shard
from tests.support.generations import directive_set
from tests.support.replaying import AT_START, Json, directive, event, rule

ASSETS = {
    "assets": [
        {"name": "lan", "cidr": "10.0.0.0/8", "value": 5},
        {"name": "web", "cidr": "10.0.0.1", "value": 5},
    ]
}

OUTSIDE = {"dst_ip": "192.0.2.9"}


def shard_of(*directives: Json, **settings: Any) -> Shard:
    """A shard without open backlogs."""
    document = msgspec.json.encode({"directives": directives})
    found = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(msgspec.json.encode(ASSETS))
    return Shard(Settings(max_future=0, **settings), Options(), directive_set(found, assets))


def two_stages(id_: int = 1, **more: Any) -> Json:
    """A directive whose first rule has its id as plugin_sid; three events finish the second."""
    second = rule(2, 100 + id_, name="again", occurrence=3, **{"from": ":1"})
    return directive(id_, rule(1, id_), second, **more)


def source(number: int) -> str:
    """A different address for each number."""
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def open_backlogs(shard: Shard, numbers: range, directive_id: int = 1) -> None:
    """Let an event from the source of each number open a backlog, one second after the other."""
    take(
        shard,
        *(
            event(f"e{directive_id}-{n}", n % 3600, directive_id, src_ip=source(n), **OUTSIDE)
            for n in numbers
        ),
    )


def open_many_backlogs(shard: Shard, number: int) -> None:
    """Let so many backlogs of directive 1 open in the same second, in less time."""
    one = json.dumps(event("ID", 0, 1, src_ip="SOURCE", **OUTSIDE)).encode()
    raw = [
        one.replace(b"ID", b"e%d" % n, 1).replace(b"SOURCE", source(n).encode(), 1)
        for n in range(number)
    ]
    shard.process_batch(number, raw, AT_START)


def take(shard: Shard, *events: Json) -> None:
    """Let the shard correlate events."""
    raw = [json.dumps(one).encode() for one in events]
    shard.process_batch(shard.progress.position + len(raw), raw, AT_START)
