"""Reads and writes the checkpoint: every open backlog as rows of one SQLite file.

All workers share the file. It is written in a thread while the main thread correlates. The clock
stays outside: times are arguments.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from engine.alarm import BacklogKey
from shards.checkpoint import shard_table, tables
from shards.checkpoint.cool_down_table import CoolDownRow, forget_cool_downs, load_cool_downs
from shards.checkpoint.database_file import (
    BUSY_SECONDS,
    MAX_WAL_BYTES,
    CheckpointLostError,
    append_suffix,
    as_checkpoint_error,
    open_database,
    prepare_database,
)
from shards.checkpoint.definition_table import forget_definitions, load_definitions
from shards.checkpoint.file_identity import FileIdentity
from shards.checkpoint.schema import query_int
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.tables import Blocks, Row

_VACUUM_PAGES = 500
"""Unused pages, of 16 KiB, that are returned to the file system after a save; fewer are kept."""

_IS_MOSTLY_UNUSED = f"""
SELECT freelist_count > page_count / 2 AND freelist_count > {_VACUUM_PAGES}
FROM pragma_freelist_count, pragma_page_count
"""
_VACUUM = f"PRAGMA incremental_vacuum({_VACUUM_PAGES})"
_TRUNCATE_WAL = f"""
PRAGMA busy_timeout = 1000;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA busy_timeout = {1000 * BUSY_SECONDS};
"""


class SavedBacklog(NamedTuple):
    """An open backlog in the checkpoint: its state, and the blocks of its large sets."""

    directive: int
    opened_by: str
    state: bytes
    blocks: Blocks


class CheckpointStore:
    """Rows of the checkpoint file. All methods raise CheckpointError; one thread at a time calls.

    The file is created when it is missing. If it was removed, replaced or damaged while in use,
    that is a CheckpointLostError, once: the next call makes a new one, and all has to be saved.
    """

    def __init__(self, path: Path, memory_seconds: int = 0) -> None:
        """Does not open the file yet. `memory_seconds`: for which rows of the memory are kept."""
        self._path = path
        self._memory_seconds = memory_seconds
        self._connection: sqlite3.Connection | None = None
        self._identity: FileIdentity | None = None
        self._is_lost = False
        self._lost: FileIdentity | None = None
        """The file that was lost; it stays open, so that no other one gets its inode."""

    def load(self, directives: Collection[int] | None = None) -> list[SavedBacklog]:
        """Read all backlogs, or those of some directives.

        Sorted by directive, the oldest backlog first. Never returns a part of a save.
        """
        with self._connected() as connection, _transaction(connection, "BEGIN"):
            rows = tables.load_backlogs(connection, directives)
            blocks = tables.load_blocks(connection, directives)
        return [
            SavedBacklog(directive, opened_by, state, blocks.get((directive, opened_by), {}))
            for directive, opened_by, state in rows
        ]

    def count_backlogs(self, directives: Collection[int]) -> dict[int, int]:
        """The numbers of backlogs of these directives, of those that have some."""
        with self._connected() as connection:
            return tables.count_backlogs(connection, directives)

    def load_definitions(self, directives: Collection[int]) -> dict[int, bytes]:
        """The definitions of these directives that their backlogs are under, in MessagePack."""
        with self._connected() as connection:
            return load_definitions(connection, directives)

    def load_memory(self) -> list[tuple[str, bytes]]:
        """The kinds and entries of the memory, the oldest first."""
        with self._connected() as connection:
            return tables.load_memory(connection)

    def load_cool_downs(self, is_here: Callable[[int], bool]) -> list[CoolDownRow]:
        """As `cool_down_table.load_cool_downs`."""
        with self._connected() as connection:
            return load_cool_downs(connection, is_here)

    def load_shard(self, worker: int, run: str) -> ShardRow | None:
        """What a shard has saved in this run of the service, if it has."""
        with self._connected() as connection:
            return shard_table.load_shard(connection, worker, run)

    def load_shards(self) -> list[ShardRow]:
        """What all shards have saved, in whatever run, the one that was written last at the end."""
        with self._connected() as connection:
            return shard_table.load_shards(connection)

    def delete_shards(self, rows: Collection[ShardRow]) -> None:
        """Delete what these shards have saved."""
        with self._connected() as connection, _transaction(connection, "BEGIN IMMEDIATE"):
            shard_table.delete_shards(connection, rows)

    def last_saved_ns(self) -> dict[int, int]:
        """By directive: time at which it was last saved or handed over, in ns since the epoch.

        A time for each directive, because the workers save theirs at different times.
        """
        with self._connected() as connection:
            return tables.load_last_saved(connection)

    def handed_over_directives(self) -> frozenset[int]:
        """The directives that are marked as handed over."""
        with self._connected() as connection:
            return tables.load_handed_over(connection)

    def save(
        self,
        rows: Iterable[Row],
        closed: Sequence[BacklogKey],
        now_ns: int,
        *,
        reset: Collection[int] = (),
        confirmed: Collection[int] = (),
        handed_over: Collection[int] = (),
        reclaimed: Collection[int] = (),
    ) -> None:
        """Delete the rows of `closed`, then insert or replace `rows`, in one transaction.

        `reset`: directives of which all rows are deleted before. `confirmed`: directives whose
        other rows count as saved now, too. `handed_over`: directives whose backlogs are also in
        saved files now, where another program can continue them; the mark stays until the
        directives are `reclaimed`. After a CheckpointError the same save can be tried again, after
        a CheckpointLostError only with all backlogs.
        """
        with self._connected() as connection:
            with _transaction(connection, "BEGIN IMMEDIATE"):
                tables.delete_directives(connection, reset)
                tables.delete_backlogs(connection, closed)
                tables.write_rows(connection, rows, now_ns)
                forget_definitions(connection, {*reset, *(directive for directive, _ in closed)})
                tables.confirm_directives(connection, confirmed, now_ns)
                tables.mark_directives(connection, handed_over, reclaimed, now_ns)
                tables.forget_memory(connection, self._memory_seconds)
                forget_cool_downs(connection)
            self._check_identity()  # what was saved into a removed file is lost, too
            self._shrink_files(connection)

    def open(self) -> None:
        """Open the file, or create it, if it is not open; CheckpointError if that fails."""
        with self._connected():
            pass

    def close(self) -> None:
        """Close the file; the next call of another method opens it again."""
        self._close_connection()
        self._forget_lost()

    def _close_connection(self, *, is_lost: bool = False) -> None:
        connection, self._connection = self._connection, None
        identity, self._identity = self._identity, None
        if connection:
            connection.close()
        if connection and identity and is_lost:
            self._forget_lost()
            self._lost = identity
        elif identity:
            identity.close()  # after the connection, whose locks it would release

    def _forget_lost(self) -> None:
        lost, self._lost = self._lost, None
        if lost:
            lost.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """The connection; an error closes it, which rolls back what was not committed."""
        try:
            with as_checkpoint_error(self._path):
                yield self._open_connection()
        except BaseException as error:
            is_lost = isinstance(error, CheckpointLostError)
            self._is_lost |= is_lost
            self._close_connection(is_lost=is_lost)
            raise

    def _open_connection(self) -> sqlite3.Connection:
        """Open the file on first use, and check that it is still the same one after that.

        Saves into a file that was removed would succeed, and nobody could read them.
        """
        if self._connection is not None:
            self._check_identity()
            return self._connection
        if self._is_lost or not self._path.exists():
            prepare_database(self._path, lost=self._lost.key if self._lost else None)
            self._is_lost = False
            self._forget_lost()
        self._identity = FileIdentity(self._path)
        self._connection = open_database(self._path)
        self._identity.note_logs()
        return self._connection

    def _check_identity(self) -> None:
        if self._identity and (reason := self._identity.reason_lost()):
            raise CheckpointLostError(f"{self._path}: {reason}")

    def _shrink_files(self, connection: sqlite3.Connection) -> None:
        """Shrink the database and its log if they are too long; ignore errors, the save is done.

        `executescript` runs the vacuum in one call, where `execute` would return after every page.
        """
        with suppress(sqlite3.OperationalError, FileNotFoundError):
            if query_int(connection, _IS_MOSTLY_UNUSED):
                connection.executescript(_VACUUM)
            if append_suffix(self._path, "-wal").stat().st_size > MAX_WAL_BYTES:
                connection.executescript(_TRUNCATE_WAL)


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    """A transaction; after an error, closing the connection rolls it back.

    `begin`: "BEGIN IMMEDIATE" to lock the database for other writers, "BEGIN" to read.
    """
    connection.execute(begin)
    yield
    connection.execute("COMMIT")
