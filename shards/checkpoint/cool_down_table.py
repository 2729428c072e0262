"""The table of cool-downs: values for which a directive opens no backlog for a time.

They have a table of their own, since they can last for days, and must not go when there is too much
of the memory.
"""

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from engine.correlation.cool_downs import MAX_COOL_DOWNS
from shards.checkpoint.definition_table import json_array
from shards.checkpoint.shard_table import OLDEST_CLOCK

MAX_ROWS = 16 * MAX_COOL_DOWNS
"""Cool-downs of all shards, some 40 bytes each. A shard forgets those that are too many, and does
not say which: their rows stay until they end, or until there are too many rows."""
UPSERT_COOL_DOWNS = """
INSERT INTO cool_down (key, directive, until, seconds) VALUES {}
ON CONFLICT (key) DO UPDATE SET until = excluded.until, seconds = excluded.seconds
"""
_DIRECTIVES = "SELECT DISTINCT directive FROM cool_down"
_LOAD = """
SELECT key, directive, until, seconds FROM cool_down
WHERE directive IN (SELECT value FROM json_each(?)) ORDER BY until DESC LIMIT ?
"""
_FORGET = f"""
DELETE FROM cool_down WHERE until <= {OLDEST_CLOCK} OR key IN (
    SELECT key FROM cool_down ORDER BY until LIMIT max(0, (SELECT count(*) FROM cool_down) - ?)
)
"""


class CoolDownRow(NamedTuple):
    """A cool-down, as CoolDown has it."""

    key: int
    directive: int
    until: int
    seconds: int


def load_cool_downs(
    connection: sqlite3.Connection, is_here: Callable[[int], bool]
) -> list[CoolDownRow]:
    """The cool-downs of a shard, as many as it keeps; the last to end first.

    `is_here`: whether a directive is of this shard.
    """
    directives = [id_ for (id_,) in connection.execute(_DIRECTIVES) if is_here(id_)]
    found = connection.execute(_LOAD, (json_array(directives), MAX_COOL_DOWNS))
    return [CoolDownRow(*row) for row in found]


def forget_cool_downs(connection: sqlite3.Connection) -> None:
    """Delete those that have ended by the clocks of all shards; of too many, the first to end."""
    connection.execute(_FORGET, (MAX_ROWS,))
