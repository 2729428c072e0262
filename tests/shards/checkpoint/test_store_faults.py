"""The checkpoint on a full disk, and with a locked, damaged or deleted file."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.alarm import BacklogKey
from shards.checkpoint.database_file import CheckpointError, prepare_database
from shards.checkpoint.store import BacklogRow, CheckpointStore
from tests.support.checkpoint_files import NOW, load_rows, open_store, rows_of
from tests.support.disk import no_file_longer_than

pytestmark = pytest.mark.integration  # large files, and locks with time limits


def total_length(path: Path) -> int:
    """Bytes of the file and its write-ahead log."""
    files = [path.with_name(path.name + end) for end in ("", "-wal")]
    return sum(file.stat().st_size for file in files if file.exists())


def test_the_write_ahead_log_stays_short(path: Path) -> None:
    with open_store(path) as store:
        for n in range(30):
            store.save(rows_of(400, 10_000, bytes([n])), [], NOW)
            assert total_length(path) < 20_000_000


def test_a_log_that_grew_because_of_a_reader_is_truncated(path: Path) -> None:
    """SQLite cannot reuse the log while a reader still sees an old state."""
    with open_store(path) as store, closing(sqlite3.connect(path)) as reader:
        store.save(rows_of(1, 1), [], NOW)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM backlog").fetchall()
        for n in range(3):
            store.save(rows_of(800, 25_000, bytes([n])), [], NOW)
        log = path.with_name(path.name + "-wal")
        assert log.stat().st_size > 55_000_000
        reader.execute("COMMIT")
        store.save(rows_of(800, 25_000), [], NOW)
        assert log.stat().st_size == 0


def test_the_file_shrinks_after_most_backlogs_have_closed(path: Path) -> None:
    rows = rows_of(4000, 10_000)
    with open_store(path) as store:
        store.save(rows, [], NOW)
        assert total_length(path) > 40_000_000
        store.save([], [row[:2] for row in rows[:-10]], NOW)
        for _ in range(10):
            store.save([], [], NOW)
        assert len(store.load()) == 10
    assert total_length(path) < 10_000_000


def failed_save(
    store: CheckpointStore, rows: Sequence[BacklogRow], closed: Sequence[BacklogKey] = ()
) -> str:
    """The text of the CheckpointError that a save raises."""
    with pytest.raises(CheckpointError) as caught:
        store.save(rows, closed, NOW + 1, handed_over=[1])
    return str(caught.value)


@pytest.mark.parametrize("kib", [0, 1, 4, 33, 100, 1000, 4000, 8000])
def test_a_full_disk_keeps_the_last_save_and_a_later_save_succeeds(kib: int, path: Path) -> None:
    old, new = rows_of(100, 10_000, b"a"), rows_of(1000, 10_000, b"b")
    with open_store(path) as store:
        store.save(old, [], NOW)
        before = store.load()
        for _ in range(3):
            with no_file_longer_than(kib << 10):
                error = failed_save(store, new, [(1, "event-5")])
            assert error.startswith(f"{path}: ")
            assert store.load() == before
            assert store.last_saved_ns() == {1: NOW}
            assert store.handed_over_directives() == frozenset()
        store.save(new, [], NOW + 2)
        assert store.load() == tuple((1, row.state) for row in new)
    prepare_database(path)
    assert len(load_rows(path)) == 1000


def test_a_file_that_has_reached_the_limit_of_sqlite_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(path) as store:
        store.save(rows_of(5, 10_000), [], NOW)
        store.close()
        monkeypatch.setattr(
            "shards.checkpoint.database_file._CONNECTION_PRAGMAS", "PRAGMA max_page_count = 50"
        )
        error = failed_save(store, rows_of(100, 10_000))
        assert error == f"{path}: database or disk is full (SQLITE_FULL)"
        assert len(store.load()) == 5


def test_a_locked_file_is_an_error_and_is_not_set_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    monkeypatch.setattr("shards.checkpoint.database_file.BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with open_store(path) as store:
            error = failed_save(store, rows_of(1, 1))
            assert error == f"{path}: database is locked (SQLITE_BUSY)"
            other.execute("ROLLBACK")
            store.save(rows_of(1, 1), [], NOW)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CheckpointError, match="locked"):
            prepare_database(path)  # no reason to set it aside
    assert logged == []
    assert len(load_rows(path)) == 1


def test_a_missing_file_is_created_by_the_first_save_that_can(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    path = folder / "backlogs.db"
    with open_store(path) as store:
        for use in (
            CheckpointStore.load,
            CheckpointStore.last_saved_ns,
            CheckpointStore.handed_over_directives,
        ):
            with pytest.raises(CheckpointError, match=f"{path}: unable to open"):
                use(store)
        folder.mkdir()
        store.save(rows_of(3, 10), [], NOW)
        assert len(store.load()) == 3
    prepare_database(path)
    assert len(load_rows(path)) == 3


def test_a_disk_that_is_full_at_the_start_is_used_once_it_has_room(tmp_path: Path) -> None:
    path = tmp_path / "backlogs.db"
    with no_file_longer_than(5000), pytest.raises(CheckpointError):
        prepare_database(path)
    with open_store(path) as store:
        with no_file_longer_than(5000):
            failed_save(store, rows_of(3, 10))
        store.save(rows_of(3, 10), [], NOW)
        assert len(store.load()) == 3


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_is_removed_or_replaced_while_in_use_is_an_error(
    replaced: bool, path: Path
) -> None:
    """Saves into the open file would succeed, and nobody could read them."""
    with open_store(path) as store:
        store.save(rows_of(1, 1), [], NOW)
        path.rename(path.with_name("elsewhere.db"))
        if replaced:
            prepare_database(path)
        for _ in range(2):
            error = failed_save(store, rows_of(1, 1))
            assert error.startswith(f"{path}: ")
    assert path.exists() == replaced


def test_a_file_that_is_overwritten_while_in_use_is_an_error(path: Path) -> None:
    with open_store(path) as store:
        store.save(rows_of(100, 3000), [], NOW)
        store.close()
        with path.open("r+b") as file:
            file.write(bytes(50_000))
        with pytest.raises(CheckpointError, match=f"{path}: .*not a database"):
            store.load()
        failed_save(store, rows_of(1, 1))
    prepare_database(path)
    assert load_rows(path) == ()
