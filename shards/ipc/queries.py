"""What the console asks workers, and the rows that they answer.

A query and its answer travel in the messages AskWorker and WorkerAnswer. The rows of an answer are
MessagePack, since the supervisor only passes them on.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from engine.directives.directive import Directive

BacklogOrder = Literal["updated", "opened", "expires", "risk", "stage", "progress", "directive"]
"""What open backlogs are sorted by."""
MAX_ROWS = 500
"""Rows that a query may ask one worker for."""
MAX_SHOWN_ADDRESSES = 20
"""Addresses of a side that a row has; further ones are only counted."""
MAX_TEXT = 300
"""Characters of a name or title in a row."""


class FindBacklogs(Struct, frozen=True, tag=True, kw_only=True):
    """The first open backlogs in an order, of those that pass all filters.

    `text`: in the title, in lower case; `address`: one of the addresses; `directives`: none for
    all; `stage`, `least_risk`: 0 for any; `alarm`: the id of an alarm, "" for any.
    """

    sort: BacklogOrder = "updated"
    descending: bool = True
    limit: int = 100
    text: str = ""
    address: str = ""
    directives: list[int] = []
    stage: int = 0
    least_risk: int = 0
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


WorkerQuery = FindBacklogs | ListDirectives | CountBacklogs | GetDirective | DescribeAddresses


class BacklogRow(Struct, frozen=True):
    """An open backlog. Times in seconds since the epoch, by the clock of its shard.

    `rank`: what it is sorted by; `count`: events taken at the stage, of `needed`; `expires_in`:
    seconds until the stage times out; `reported`: whether an alarm has been written.
    """

    rank: float
    alarm_id: str
    directive: int
    title: str
    stage: int
    stages: int
    count: int
    needed: int
    risk: int
    risk_class: str
    opened: int
    updated: int
    expires: int
    expires_in: int
    reported: bool
    src_ips: list[str]
    dst_ips: list[str]
    src_count: int
    dst_count: int
    shard: int


class BacklogRows(Struct, frozen=True):
    """The answer to FindBacklogs: `open` and `matching` count all, and those that pass the filters.

    `complete`: whether all were looked at in time.
    """

    rows: list[BacklogRow]
    open: int
    matching: int
    complete: bool = True


class DirectiveRow(Struct, frozen=True):
    """A directive without its rules; `stages`: number of them; `backlogs`: open ones."""

    id: int
    name: str
    kingdom: str
    category: str
    priority: int
    stages: int
    always_active: bool
    backlogs: int


class DirectiveRows(Struct, frozen=True):
    """The answer to ListDirectives; `total`: number of directives of the shard."""

    rows: list[DirectiveRow]
    total: int


class BacklogCounts(Struct, frozen=True):
    """The answer to CountBacklogs."""

    by_directive: dict[int, int]


class DirectiveAnswer(Struct, frozen=True):
    """The answer to GetDirective; None if the shard does not have it."""

    directive: Directive | None
    backlogs: int = 0


class AddressRow(Struct, frozen=True):
    """What the assets say about an address; `home`: it is in HOME_NET."""

    address: str
    name: str
    networks: list[str]
    value: int
    home: bool
    whitelisted: bool


class AddressRows(Struct, frozen=True):
    """The answer to DescribeAddresses."""

    rows: list[AddressRow]


encode_rows = msgspec.msgpack.Encoder().encode
"""The answer to a query in MessagePack."""
