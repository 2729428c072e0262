"""The tables of the checkpoint, and their earlier forms."""

import sqlite3
from contextlib import closing

SCHEMA_VERSION = 7
"""Version of the tables; files of earlier versions lack some, which are added."""
ADDED_TABLES = {
    1: ("block", "memory", "shard", "definition", "cool_down"),
    2: ("memory", "shard", "definition", "cool_down"),
    3: ("shard", "definition", "cool_down"),
    4: ("shard", "definition", "cool_down"),
    5: ("shard", "definition", "cool_down"),
    6: ("shard", "cool_down"),
}
"""The tables that files of earlier versions lack, or have in another form."""
_GENERATION = "generation INTEGER NOT NULL,"
"""A column that files of version 5 lack."""
_CLOCK = "clock INTEGER NOT NULL,"
"""A column that files of version 6 lack."""
_SHARD = f"""CREATE TABLE IF NOT EXISTS shard (
    worker INTEGER NOT NULL,
    run TEXT NOT NULL,
    position INTEGER NOT NULL,
    counts BLOB NOT NULL,
    workers INTEGER NOT NULL,
    nodes INTEGER NOT NULL,
    stream TEXT NOT NULL,
    files BLOB NOT NULL,
    ended INTEGER NOT NULL,
    {_GENERATION}
    {_CLOCK}
    at INTEGER NOT NULL,
    PRIMARY KEY (workers, nodes, worker)
) STRICT"""
_EARLIER_SHARD = {
    4: """CREATE TABLE shard (
    worker INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    position INTEGER NOT NULL,
    counts BLOB NOT NULL
) STRICT""",
    5: _SHARD.replace(f"    {_GENERATION}\n    {_CLOCK}\n", ""),
    6: _SHARD.replace(f"    {_CLOCK}\n", ""),
}
"""Earlier forms of a table, by version.

That of version 4 held counts of one run, which the next one does not need: it is dropped.
"""
_UPGRADE_SHARD = """
INSERT INTO shard SELECT worker, run, position, counts, workers, nodes, stream, files, ended,
    {}, 0, at FROM former_shard;
DROP TABLE former_shard
"""
_FORMER_GENERATION = {5: "0", 6: "generation"}
"""The generation of a row in files of earlier versions; their clock is not known."""
APPLICATION_ID = 0x44534843  # "DSHC"

_FILE_PRAGMAS = """
PRAGMA page_size = 16384;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
"""
_CREATE_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS backlog (
    directive INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    age INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (directive, opened_by)
) STRICT;
CREATE TABLE IF NOT EXISTS block (
    directive INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    items BLOB NOT NULL,
    UNIQUE (directive, opened_by, name, number)
) STRICT;
CREATE TABLE IF NOT EXISTS handed_over (
    directive INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS memory (
    kind TEXT NOT NULL,
    until INTEGER NOT NULL,
    entries BLOB NOT NULL
) STRICT;
{_SHARD};
CREATE TABLE IF NOT EXISTS definition (
    directive INTEGER PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS cool_down (
    key INTEGER PRIMARY KEY,
    directive INTEGER NOT NULL,
    until INTEGER NOT NULL,
    seconds INTEGER NOT NULL
) STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION}
"""


def create_tables(connection: sqlite3.Connection) -> None:
    """Create missing tables, unless another process has done that meanwhile."""
    connection.executescript(_FILE_PRAGMAS)
    connection.execute("BEGIN IMMEDIATE")
    version = query_int(connection, "PRAGMA user_version")
    if version in (0, *ADDED_TABLES):
        if version == 4:
            connection.execute("DROP TABLE shard")
        statements = _CREATE_SCHEMA
        if version in _FORMER_GENERATION:
            connection.execute("ALTER TABLE shard RENAME TO former_shard")
            statements += ";" + _UPGRADE_SHARD.format(_FORMER_GENERATION[version])
        for statement in statements.split(";"):
            connection.execute(statement)
    connection.execute("COMMIT")


def read_schema(connection: sqlite3.Connection) -> list[tuple[str, str | None]]:
    """Names and statements of all tables and indexes."""
    return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def expected_schema(version: int) -> list[tuple[str, str | None]]:
    """As read_schema, of a file of this version."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_tables(connection)
        for table in ADDED_TABLES.get(version, ()):
            connection.execute(f"DROP TABLE {table}")
        if version in _EARLIER_SHARD:
            connection.execute(_EARLIER_SHARD[version])
        return read_schema(connection)


def query_int(connection: sqlite3.Connection, statement: str) -> int:
    """The single number that a statement returns."""
    [number] = connection.execute(statement).fetchone()
    return int(number)
