"""What a router is started with. A file of its own: the supervisor needs no more of a router."""

from typing import NamedTuple

from shards.config.generation import GenerationStart

ROUTER_TARGET = "shards.router.process:main"
"""The target of the router process."""


class ShardStart(NamedTuple):
    """Where a shard begins: after the position whose effect its checkpoint holds, 0 for nowhere.

    `stream`: the one that the position is in; `generation`: of the configuration there.
    """

    position: int = 0
    stream: str = ""
    generation: int = 1


class RouterStart(NamedTuple):
    """How a router starts.

    `life`: its number among the routers of this run of the service, from 1. `port`: the one to
    listen on, 0 for any free one. `generations`: the configuration; with a stream, also those that
    events before were routed by which are to be read again, the oldest first. `down_since`: when
    the router before this one died, in monotonic seconds. With a stream, `shards`: where each
    worker begins; `read`: the position up to which routers before this one have counted its events.
    """

    life: int
    port: int
    generations: tuple[GenerationStart, ...]
    down_since: float | None = None
    shards: tuple[ShardStart, ...] = ()
    read: int = 0
