"""The checkpoint on a full disk, and with a locked, damaged or deleted file."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.alarm import BacklogKey
from shards.checkpoint import tables
from shards.checkpoint.database_file import (
    CheckpointError,
    CheckpointLostError,
    prepare_database,
)
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import BacklogRow
from tests.support.checkpoint_files import NOW, load_rows, open_store, rows_of, states
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
        assert len(states(store)) == 10
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
        before = states(store)
        for _ in range(3):
            with no_file_longer_than(kib << 10):
                error = failed_save(store, new, [(1, "event-5")])
            assert error.startswith(f"{path}: ")
            assert states(store) == before
            assert store.last_saved_ns() == {1: NOW}
            assert store.handed_over_directives() == frozenset()
        store.save(new, [], NOW + 2)
        assert states(store) == tuple((1, row.state) for row in new)
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
        assert len(states(store)) == 5


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
    folder.touch()
    path = folder / "backlogs.db"
    with open_store(path) as store:
        for use in (
            CheckpointStore.open,
            CheckpointStore.load,
            CheckpointStore.last_saved_ns,
            CheckpointStore.handed_over_directives,
        ):
            with pytest.raises(CheckpointError, match=f"{folder}.*: (File exists|Not a directory)"):
                use(store)
        folder.unlink()
        store.save(rows_of(3, 10), [], NOW)
        assert len(states(store)) == 3
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
        assert len(states(store)) == 3


def remove(path: Path) -> None:
    path.unlink()


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def replace(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))
    prepare_database(path)


def put_a_folder_there(path: Path) -> None:
    path.unlink()
    path.mkdir()


def overwrite(path: Path) -> None:
    path.write_bytes(b"garbage" * 10_000)


def overwrite_the_start(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(50_000))


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def replace_by_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')")


def remove_the_logs(path: Path) -> None:
    """What is not in the database yet is lost with them."""
    for log in path.parent.glob("*.db-*"):
        log.unlink()


def remove_the_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


LOSSES: list[Callable[[Path], None]] = [
    remove,
    remove_folder,
    replace,
    put_a_folder_there,
    overwrite,
    overwrite_the_start,
    truncate,
    replace_by_another_program,
    remove_the_logs,
    remove_the_log,
]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_file_that_is_lost_while_in_use_is_an_error_once_and_then_a_new_one(
    lose: Callable[[Path], None], path: Path
) -> None:
    """Saves into a file that was removed would succeed, and nobody could read them."""
    path.parent.joinpath("folder").mkdir()
    path = path.parent / "folder" / path.name
    with open_store(path) as one, open_store(path) as other:
        one.save(rows_of(3, 10), [], NOW)
        other.save([BacklogRow(2, "a", 1, b"a")], [], NOW)
        lose(path)
        for store in (one, other):
            with pytest.raises(CheckpointLostError, match=f"{path}: "):
                store.save([], [], NOW)
        one.save(rows_of(2, 10), [], NOW)
        other.save([BacklogRow(2, "b", 1, b"b")], [], NOW)
        one.save(rows_of(1, 10, b"y"), [], NOW)
        expected = ((1, b"y" * 10), (1, b"x" * 10), (2, b"b"))
        assert states(one) == states(other) == expected
    prepare_database(path)
    assert load_rows(path) == expected


def test_a_file_that_is_removed_during_a_save_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(path) as store:
        store.save(rows_of(1, 1), [], NOW)
        monkeypatch.setattr(tables, "write_rows", lambda *_: path.unlink())
        with pytest.raises(CheckpointLostError, match="db was removed while it was in use"):
            store.save(rows_of(1, 1), [], NOW)


def test_a_lost_file_can_be_prepared_only_once_its_folder_can(path: Path) -> None:
    with open_store(path) as store:
        store.save(rows_of(1, 1), [], NOW)
        away = path.parent.rename(path.parent.with_name("away"))
        path.parent.touch()
        with pytest.raises(CheckpointLostError):
            store.save(rows_of(1, 1), [], NOW)
        for _ in range(2):
            with pytest.raises(CheckpointError, match=f"{path.parent}: File exists"):
                store.save(rows_of(1, 1), [], NOW)
        path.parent.unlink()
        away.rename(path.parent)
        store.save(rows_of(2, 1), [], NOW)
        assert len(states(store)) == 2


def test_failed_attempts_leave_no_open_descriptors(path: Path) -> None:
    with open_store(path) as store:
        store.save(rows_of(1, 1), [], NOW)
        store.close()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts
        path.parent.rename(path.parent.with_name("away"))
        path.parent.touch()
        for _ in range(2000):
            with pytest.raises(CheckpointError):
                store.save(rows_of(1, 1), [], NOW)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
