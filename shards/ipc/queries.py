"""What the supervisor asks workers, what they answer, and what they tell the console of alarms.

A query and its answer travel in the messages AskWorker and WorkerAnswer. The names of fields are
those of openapi.json where the page gets them as they are.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from engine.directives.directive import Directive
from shards.ipc.explanations import ExplainEvent

BacklogOrder = Literal["updated", "age", "expires", "progress", "stage", "directive", "risk"]
"""What open backlogs are sorted by."""
MAX_ROWS = 500
"""Rows that a query may ask one worker for."""
MAX_SHOWN = 3
"""Addresses of a side that a row has; further ones are only counted."""
MAX_TEXT = 300
"""Characters of a name or title in a row."""
MAX_EVENT_BYTES = 48 << 10
"""Longest event that is shown: POST /explain takes no longer ones."""


class FindBacklogs(Struct, frozen=True, tag=True, kw_only=True):
    """The first open backlogs in an order, of those that pass all filters.

    `descending`: the highest first; `after`: only what comes after this rank and id. `words`: each
    in one of the texts, or equal to the id, case folded; `network`: of either side;
    `directives`: none for all; `stage`: 0 for any; `risks`: classes, none for all; `alarm`: the id
    of an alarm, "" for any.
    """

    sort: BacklogOrder = "updated"
    descending: bool = True
    limit: int = 100
    after: tuple[float, str] | None = None
    words: list[str] = []
    network: str = ""
    directives: list[int] = []
    stage: int = 0
    risks: list[str] = []
    alarm: str = ""


class ListDirectives(Struct, frozen=True, tag=True):
    """The directives from the `start`th of a shard on, in the order of the configuration."""

    start: int = 0
    limit: int = MAX_ROWS


class CountBacklogs(Struct, frozen=True, tag=True):
    """The numbers of open backlogs by directive, of those that have some."""


class GetDirective(Struct, frozen=True, tag=True):
    """One directive with all of its rules."""

    directive: int


class DescribeAddresses(Struct, frozen=True, tag=True):
    """What the assets say about addresses."""

    addresses: list[str]


class RecentEvents(Struct, frozen=True, tag=True):
    """The last events of a shard; `directive`: only those that concern it, 0 for any."""

    directive: int
    limit: int


WorkerQuery = (
    FindBacklogs
    | ListDirectives
    | CountBacklogs
    | GetDirective
    | DescribeAddresses
    | RecentEvents
    | ExplainEvent
)


class Address(Struct, frozen=True):
    """An address, with the name of its host asset or ""."""

    ip: str
    name: str


class BacklogRow(Struct, frozen=True):
    """An open backlog; times in seconds since the epoch. `rank`: what it is sorted by."""

    rank: float
    id: str
    directive: int
    title: str
    risk: int
    risk_class: str
    stage: int
    stages: int
    stage_name: str
    taken: int
    needed: int
    src: list[Address]
    src_count: int
    dst: list[Address]
    dst_count: int
    created_time: int
    update_time: int
    expires_time: int
    worker: int


class BacklogRows(Struct, frozen=True):
    """The answer to FindBacklogs.

    `open`, `matching`: numbers of all, and of those that pass the filters. `complete`: whether all
    were looked at in time. `now`: the clock of the shard.
    """

    rows: list[BacklogRow]
    open: int
    matching: int
    complete: bool
    now: int


class DirectiveRow(Struct, frozen=True):
    """A directive without its rules; `stages`: number of them."""

    id: int
    name: str
    kingdom: str
    category: str
    priority: int
    stages: int


class DirectiveRows(Struct, frozen=True):
    """The answer to ListDirectives; `total`: number of directives of the shard."""

    rows: list[DirectiveRow]
    total: int


class BacklogCounts(Struct, frozen=True):
    """The answer to CountBacklogs."""

    by_directive: dict[int, int]


class FoundDirective(Struct, frozen=True):
    """The answer to GetDirective; None if the shard does not have it."""

    directive: Directive | None


class AddressRow(Struct, frozen=True):
    """What the assets say about an address: the name of its host asset, its networks and value."""

    ip: str
    name: str
    networks: list[str]
    value: int


class AddressRows(Struct, frozen=True):
    """The answer to DescribeAddresses."""

    rows: list[AddressRow]


class EventRows(Struct, frozen=True):
    """The answer to RecentEvents: events as they came, the newest first."""

    events: list[bytes]


class AskWorker(Struct, frozen=True, tag=True):
    """To a worker: a query. It answers by WorkerAnswers.

    `number`: that of the request; `until`: when nobody waits for an answer any more, in
    time.monotonic(), which is one clock for all processes of a machine.
    """

    number: int
    query: WorkerQuery
    until: float


class WorkerAnswer(Struct, frozen=True, tag=True):
    """A piece of the answer to a query, in MessagePack; `last`: it is complete."""

    number: int
    piece: bytes
    last: bool


class AlarmAbout(Struct, frozen=True, array_like=True):
    """What the line of an alarm does not say: its directive, and asset names by address."""

    directive: int
    names: dict[str, str]


encode_answer = msgspec.msgpack.Encoder().encode
"""The answer to a query in MessagePack."""
