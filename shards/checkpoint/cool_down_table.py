"""The table of cool-downs: values for which a directive opens no backlog for a time.

All shards read all of them, and keep what is theirs, as with the memory. They have a table of their
own, since they can last for days, and must not go when there is too much of the memory.
"""

import sqlite3
from typing import NamedTuple

from shards.checkpoint.shard_table import OLDEST_CLOCK

UPSERT_COOL_DOWNS = """
INSERT INTO cool_down (key, directive, until, seconds) VALUES {}
ON CONFLICT (key) DO UPDATE SET until = excluded.until, seconds = excluded.seconds
"""
_LOAD = "SELECT key, directive, until, seconds FROM cool_down ORDER BY until"
_FORGET = f"DELETE FROM cool_down WHERE until <= {OLDEST_CLOCK}"


class CoolDownRow(NamedTuple):
    """A cool-down, as CoolDown has it."""

    key: int
    directive: int
    until: int
    seconds: int


def load_cool_downs(connection: sqlite3.Connection) -> list[CoolDownRow]:
    """All cool-downs, the first to end first."""
    return [CoolDownRow(*row) for row in connection.execute(_LOAD)]


def forget_cool_downs(connection: sqlite3.Connection) -> None:
    """Delete those that have ended by the clocks of all shards."""
    connection.execute(_FORGET)
