"""Preparing the file of the checkpoint: valid ones are kept, unusable ones are set aside."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shards.checkpoint.database_file import CheckpointError, prepare_database
from shards.checkpoint.schema import create_tables
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.tables import BacklogRow, BlockRow
from tests.support.checkpoint_files import NOW, load_rows, open_store, rows_of, states
from tests.support.disk import no_file_longer_than


def test_a_valid_file_keeps_its_rows(path: Path, logged: list[Any]) -> None:
    with open_store(path) as store:
        store.save([BacklogRow(1, "a", 1, b"a")], [], NOW)
        prepare_database(path)  # with its log, as after a crash
    prepare_database(path)
    assert load_rows(path) == ((1, b"a"),)
    assert logged == []
    assert [file.name for file in path.parent.iterdir()] == ["backlogs.db"]


def test_the_folder_is_created_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a b?#%" / "ü" / "c.db"
    prepare_database(path)
    assert load_rows(path) == ()


def test_a_full_disk_is_an_error_and_nothing_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "backlogs.db"
    for bytes_ in (0, 100, 4096, 5000, 10_000, 20_000, 30_000):
        with no_file_longer_than(bytes_), pytest.raises(CheckpointError, match=str(path)):
            prepare_database(path)
    prepare_database(path)
    assert load_rows(path) == ()
    assert [file.name for file in tmp_path.iterdir()] == ["backlogs.db"]  # nothing was set aside


def create_valid_file(path: Path) -> bytes:
    prepare_database(path)
    with open_store(path) as store:
        store.save(rows_of(100, 3000), [], NOW)
    return path.read_bytes()


def truncated(path: Path, share: float) -> None:
    content = create_valid_file(path)
    path.write_bytes(content[: int(len(content) * share)])


def with_random_bytes(path: Path) -> None:
    content = bytearray(create_valid_file(path))
    content[20_000:90_000] = Random(1).randbytes(70_000)
    path.write_bytes(content)


def after_statement(path: Path, statement: str) -> None:
    create_valid_file(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)


def with_future_write_version(path: Path) -> None:
    content = bytearray(create_valid_file(path))
    content[18] = 3  # SQLite reads a file with a future write version, but does not write it
    path.write_bytes(content)


def with_wrong_index(path: Path) -> None:
    content = create_valid_file(path)
    path.write_bytes(content.replace(b"event-42", b"event-xx", 1))


def with_undecodable_schema(path: Path) -> None:
    """SQLite quotes the schema in its error text, which is then not valid UTF-8."""
    content = create_valid_file(path)
    path.write_bytes(content.replace(b"age INTEGER NOT NULL", b"age INTEGER NOT NUL\xfe"))


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "random bytes": lambda path: path.write_bytes(Random(1).randbytes(50_000)),
    "a text": lambda path: path.write_text("not a database, but long enough to be one " * 100),
    "zeros": lambda path: path.write_bytes(bytes(100_000)),
    "a part of the header": partial(truncated, share=0.0002),
    "truncated in the first page": partial(truncated, share=0.005),
    "truncated in the middle": partial(truncated, share=0.5),
    "truncated at the end": partial(truncated, share=0.99),
    "random bytes in the middle": with_random_bytes,
    "a folder": lambda path: path.mkdir(),
    "of another program": partial(after_statement, statement="PRAGMA application_id = 7"),
    "of another program, without its id": partial(
        after_statement, statement="PRAGMA application_id = 0; PRAGMA user_version = 0"
    ),
    "of a future version": partial(after_statement, statement="PRAGMA user_version = 999"),
    "without a table": partial(after_statement, statement="DROP TABLE backlog"),
    "with another column": partial(
        after_statement, statement="ALTER TABLE backlog RENAME age TO old"
    ),
    "with a wrong index": with_wrong_index,
    "with a future write version": with_future_write_version,
    "with an undecodable schema": with_undecodable_schema,
}


@pytest.mark.parametrize("make_unusable", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_file_is_set_aside_and_replaced(
    make_unusable: Callable[[Path], object], tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    path, bad = tmp_path / "backlogs.db", tmp_path / "backlogs.db.bad"
    make_unusable(path)
    content = path.read_bytes() if path.is_file() else None
    prepare_database(path)
    assert (bad.read_bytes() if bad.is_file() else None) == content
    assert bad.exists()
    assert [record["level"] for record in logged] == ["ERROR"]
    assert logged[0]["file"] == str(path)
    assert logged[0]["reason"]
    with open_store(path) as store:
        assert states(store) == ()
        store.save(rows_of(3, 10), [], NOW)
    prepare_database(path)
    assert len(load_rows(path)) == 3
    assert len(logged) == 1


@pytest.mark.parametrize("content", [b"", b"S"])
def test_an_empty_file_is_used(content: bytes, tmp_path: Path, logged: list[Any]) -> None:
    path = tmp_path / "backlogs.db"
    path.write_bytes(content)  # SQLite treats a file shorter than a header as empty
    prepare_database(path)
    assert load_rows(path) == ()
    assert logged == []
    assert [file.name for file in tmp_path.iterdir()] == ["backlogs.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_file_without_permission_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "backlogs.db"
    create_valid_file(path)
    path.chmod(0)
    prepare_database(path)
    assert load_rows(path) == ()
    assert (tmp_path / "backlogs.db.bad").exists()


def test_log_files_are_set_aside_with_the_file_and_replace_earlier_ones(
    tmp_path: Path,
) -> None:
    path, bad = tmp_path / "backlogs.db", tmp_path / "backlogs.db.bad"
    for end in ("", "-wal", "-shm"):
        bad.with_name(bad.name + end).write_bytes(b"from before")
    path.mkdir()
    path.with_name("backlogs.db-wal").write_bytes(b"its log")
    prepare_database(path)
    assert load_rows(path) == ()
    assert {file.name for file in tmp_path.iterdir()} == {path.name, bad.name, f"{bad.name}-wal"}
    assert bad.is_dir()
    assert bad.with_name(f"{bad.name}-wal").read_bytes() == b"its log"


def test_a_folder_in_place_of_the_file_is_set_aside_and_replaced_only_if_empty(
    tmp_path: Path,
) -> None:
    path, bad = tmp_path / "backlogs.db", tmp_path / "backlogs.db.bad"
    bad.mkdir()
    path.mkdir()
    (path / "file").touch()
    prepare_database(path)
    assert (bad / "file").exists()
    path.unlink()
    path.mkdir()
    with pytest.raises(CheckpointError, match=r"\.bad"):
        prepare_database(path)
    assert (bad / "file").exists()


def test_a_log_of_random_bytes_is_ignored(tmp_path: Path, logged: list[Any]) -> None:
    path = tmp_path / "backlogs.db"
    create_valid_file(path)
    path.with_name("backlogs.db-wal").write_bytes(Random(1).randbytes(100_000))
    path.with_name("backlogs.db-shm").write_bytes(Random(2).randbytes(32_768))
    prepare_database(path)
    assert len(load_rows(path)) == 100
    assert logged == []


def test_a_log_without_its_file_is_not_applied_to_a_new_file(tmp_path: Path) -> None:
    path, kept = tmp_path / "backlogs.db", tmp_path / "kept"
    prepare_database(path)
    with open_store(path) as store:
        store.save(rows_of(10, 10), [], NOW)
        kept.write_bytes(path.with_name("backlogs.db-wal").read_bytes())
    path.unlink()
    kept.rename(path.with_name("backlogs.db-wal"))
    prepare_database(path)
    assert load_rows(path) == ()


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_a_few_wrong_bytes_can_be_prepared_and_used(seed: int, tmp_path: Path) -> None:
    path, random = tmp_path / "backlogs.db", Random(seed)
    content = bytearray(create_valid_file(path))
    for _ in range(random.choice([1, 3, 20])):
        content[random.randrange(random.choice([100, 4096, len(content)]))] = random.randrange(256)
    path.write_bytes(content)
    prepare_database(path)
    with open_store(path) as store:
        assert len(states(store)) in (0, 100)
        store.save(rows_of(200, 3000), [], NOW)
        assert len(states(store)) == 200


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=f"{tmp_path}/file.*: (File exists|Not a directory)"):
        prepare_database(tmp_path / "file" / "backlogs.db")


def test_without_reuse_an_existing_file_is_set_aside(path: Path, logged: list[Any]) -> None:
    with open_store(path) as store:
        store.save(rows_of(3, 10), [], NOW)
    path.with_name("backlogs.db.old").touch()  # an earlier one is replaced
    prepare_database(path, reuse=False)
    assert load_rows(path) == ()
    assert len(load_rows(path.with_name("backlogs.db.old"))) == 3
    assert logged == []


def test_without_reuse_a_missing_file_is_created(tmp_path: Path) -> None:
    prepare_database(tmp_path / "backlogs.db", reuse=False)
    assert [file.name for file in tmp_path.iterdir()] == ["backlogs.db"]


VERSION_1 = """
PRAGMA page_size = 16384;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS backlog (
    directive INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    age INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (directive, opened_by)
) STRICT;
CREATE TABLE IF NOT EXISTS handed_over (
    directive INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
PRAGMA application_id = 1146308675;
PRAGMA user_version = 1;
INSERT INTO backlog VALUES (1, 'a', 0, 1, x'61');
"""
"""The database as the first version made it; never to be changed."""
VERSION_2 = f"""
{VERSION_1}
CREATE TABLE IF NOT EXISTS block (
    directive INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    items BLOB NOT NULL,
    UNIQUE (directive, opened_by, name, number)
) STRICT;
PRAGMA user_version = 2;
"""
"""Likewise."""


VERSION_3 = f"""
{VERSION_2}
CREATE TABLE IF NOT EXISTS memory (
    kind TEXT NOT NULL,
    until INTEGER NOT NULL,
    entries BLOB NOT NULL
) STRICT;
PRAGMA user_version = 3;
"""
"""Likewise."""


VERSION_4 = f"""
{VERSION_3}
CREATE TABLE IF NOT EXISTS shard (
    worker INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    position INTEGER NOT NULL,
    counts BLOB NOT NULL
) STRICT;
PRAGMA user_version = 4;
INSERT INTO shard VALUES (0, 'run', 5, x'61');
"""
"""Likewise."""


VERSION_5 = f"""
{VERSION_3}
CREATE TABLE IF NOT EXISTS shard (
    worker INTEGER NOT NULL,
    run TEXT NOT NULL,
    position INTEGER NOT NULL,
    counts BLOB NOT NULL,
    workers INTEGER NOT NULL,
    nodes INTEGER NOT NULL,
    stream TEXT NOT NULL,
    files BLOB NOT NULL,
    ended INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (workers, nodes, worker)
) STRICT;
PRAGMA user_version = 5;
"""
"""Likewise."""


@pytest.mark.parametrize(
    "script",
    [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5],
    ids=["1", "2", "3", "4", "5"],
)
def test_a_file_of_an_earlier_version_is_upgraded_with_its_rows(
    tmp_path: Path, logged: list[Any], script: str
) -> None:
    path = tmp_path / "backlogs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    prepare_database(path)
    with open_store(path) as store:
        store.save([BacklogRow(2, "b", 0, b"b"), BlockRow(2, "b", "ids.2", 0, b"[]")], [], NOW)
        assert [(row.state, row.blocks) for row in store.load()] == [
            (b"a", {}),
            (b"b", {"ids.2": [b"[]"]}),
        ]
        assert store.load_memory() == []
        assert store.load_shards() == []
        store.save([ShardRow(0, "run", 5, b"{}")], [], NOW)
        assert [row.position for row in store.load_shards()] == [5]
        with closing(sqlite3.connect(path, isolation_level=None)) as late:
            create_tables(late)  # of a process that had found the earlier version
        assert [row.position for row in store.load_shards()] == [5]
    assert logged == []


def test_a_file_of_version_5_keeps_the_positions_of_its_shards(tmp_path: Path) -> None:
    path = tmp_path / "backlogs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_5)
        rows = [(n, "run", 7 + n, b"c", 2, 1, "stream", b"f", 1, n) for n in (0, 1)]
        connection.executemany(f"INSERT INTO shard VALUES ({'?,' * 9}?)", rows)
        connection.commit()
    prepare_database(path)
    with open_store(path) as store:
        assert store.load_shards() == [
            ShardRow(n, "run", 7 + n, b"c", 2, 1, "stream", b"f", ended=True, at=n) for n in (0, 1)
        ]
    prepare_database(path)
    assert [file.name for file in tmp_path.iterdir() if "bad" in file.name] == []
