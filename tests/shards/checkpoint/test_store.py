"""The crash checkpoint: all of a save or nothing, whoever writes, is killed, or has no room."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from loguru import logger

from shards.checkpoint.database_file import CheckpointError, prepare_database
from shards.checkpoint.store import BacklogRow, CheckpointStore
from tests.support.disk import no_file_longer_than
from tests.support.paths import ROOT

NOW = 1741075200 * 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A prepared file."""
    path = tmp_path / "backlogs.db"
    prepare_database(path)
    return path


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """What is logged: level and message and all that is bound."""
    records: list[dict[str, Any]] = []

    def note(message: Any) -> None:
        record = message.record
        records.append(record["extra"] | {"level": record["level"].name})

    handler = logger.add(note)
    yield records
    logger.remove(handler)


@contextmanager
def opened(path: Path) -> Iterator[CheckpointStore]:
    with closing(CheckpointStore(path)) as checkpoint:
        yield checkpoint


def load(path: Path) -> tuple[tuple[int, bytes], ...]:
    with opened(path) as checkpoint:
        return checkpoint.load()


def rows_of(number: int, size: int, fill: bytes = b"x") -> list[BacklogRow]:
    return [BacklogRow(1, f"event-{n}", n, fill * size) for n in range(number)]


def length(path: Path) -> int:
    """Of the file and its log."""
    files = [path.with_name(path.name + end) for end in ("", "-wal")]
    return sum(file.stat().st_size for file in files if file.exists())


# What is saved is there.


def test_a_new_file_holds_nothing(path: Path) -> None:
    with opened(path) as checkpoint:
        assert checkpoint.load() == ()
        assert checkpoint.saved_at() == {}
        assert checkpoint.handed_over() == frozenset()


def test_rows_come_back_by_directive_and_age(path: Path) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(7, "z", 1, b"7-1"), BacklogRow(3, "a", 12, b"3-12")], [], NOW)
        checkpoint.save([BacklogRow(3, "b", 9, b"3-9"), BacklogRow(7, "a", 0, b"7-0")], [], NOW)
    assert load(path) == ((3, b"3-9"), (3, b"3-12"), (7, b"7-0"), (7, b"7-1"))


def test_a_later_row_of_the_same_backlog_replaces_the_earlier(path: Path) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(1, "a", 1, b"old"), BacklogRow(1, "b", 2, b"b")], [], NOW)
        checkpoint.save([BacklogRow(1, "a", 1, b"older"), BacklogRow(1, "a", 3, b"new")], [], NOW)
    assert load(path) == ((1, b"b"), (1, b"new"))


def test_what_closed_is_gone_and_nothing_else(path: Path) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(d, o, 1, o.encode()) for d in (1, 2) for o in "ab"], [], NOW)
        checkpoint.save([], [(1, "a"), (2, "b"), (3, "a"), (1, "no such")], NOW)
    assert load(path) == ((1, b"b"), (2, b"a"))


def test_a_backlog_that_closed_and_was_opened_again_by_the_same_event_stays(path: Path) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(1, "a", 1, b"old")], [], NOW)
        checkpoint.save([BacklogRow(1, "a", 2, b"new")], [(1, "a")], NOW)
    assert load(path) == ((1, b"new"),)


@pytest.mark.parametrize("opened_by", ["", "a\0b", "a\0c", "é", "e\u0301", "'; --", "x" * 100_000])
def test_any_event_id_is_a_key_of_its_own(path: Path, opened_by: str) -> None:
    other = BacklogRow(1, "a", 1, b"other")
    with opened(path) as checkpoint:
        checkpoint.save([other, BacklogRow(1, opened_by, 2, b"old")], [], NOW)
        checkpoint.save([BacklogRow(1, opened_by, 2, b"new")], [], NOW)
        assert checkpoint.load() == ((1, b"other"), (1, b"new"))
        checkpoint.save([], [(1, opened_by)], NOW)
        assert checkpoint.load() == ((1, b"other"),)


def test_the_highest_directive_id_and_any_bytes(path: Path) -> None:
    state = bytes(range(256))
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(2**63 - 1, "a", 1, state), BacklogRow(1, "a", 1, b"")], [], NOW)
        assert checkpoint.load([2**63 - 1]) == ((2**63 - 1, state),)
        assert checkpoint.load() == ((1, b""), (2**63 - 1, state))


def test_only_what_is_asked_for_is_loaded(path: Path) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(d, "a", 1, b"%d" % d) for d in range(1, 6)], [], NOW)
        assert checkpoint.load({4, 2, 9}) == ((2, b"2"), (4, b"4"))
        assert checkpoint.load([]) == ()


def test_each_directive_has_its_own_time_whoever_saves_another(path: Path) -> None:
    with opened(path) as one, opened(path) as other:
        one.save([BacklogRow(1, "a", 1, b"a"), BacklogRow(2, "a", 1, b"a")], [], NOW)
        other.save([BacklogRow(2, "b", 1, b"b"), BacklogRow(3, "a", 1, b"a")], [], NOW + 5)
        assert one.saved_at() == {1: NOW, 2: NOW + 5, 3: NOW + 5}
        one.save(
            [BacklogRow(3, "a", 1, b"c")], [], NOW - 5
        )  # a clock that was put right is believed
        one.save([], [(2, "a"), (2, "b")], NOW + 9)
        assert other.saved_at() == {1: NOW, 3: NOW - 5}


def test_what_is_handed_over_is_as_new_as_that(path: Path) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(1, "a", 1, b"a")], [], NOW)
        checkpoint.save([], [], NOW + 5, handed_over=[1, 2])
        assert checkpoint.saved_at() == {1: NOW + 5, 2: NOW + 5}
        checkpoint.save([], [], NOW + 7, handed_over=[2], taken_back=[1])
        assert checkpoint.saved_at() == {1: NOW, 2: NOW + 7}


def test_a_mark_stays_until_it_is_taken_back(path: Path) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([], [], NOW, handed_over=[1, 2, 3])
        checkpoint.save([], [], NOW, handed_over=[3, 4], taken_back=[9])
        checkpoint.save([], [], NOW)
    prepare_database(path)
    with opened(path) as checkpoint:
        assert checkpoint.handed_over() == {1, 2, 3, 4}
        checkpoint.save([], [], NOW, taken_back=[1, 4])
        assert checkpoint.handed_over() == {2, 3}


def test_a_save_that_breaks_off_leaves_no_trace_and_no_lock(path: Path) -> None:
    with opened(path) as checkpoint, opened(path) as other:
        with pytest.raises(OverflowError):
            checkpoint.save([BacklogRow(1, "a", 1, b"a"), BacklogRow(2**63, "b", 1, b"b")], [], NOW)
        other.save([BacklogRow(2, "a", 1, b"a")], [], NOW)
        checkpoint.save([BacklogRow(3, "a", 1, b"a")], [], NOW)
    assert load(path) == ((2, b"a"), (3, b"a"))


def test_after_close_it_is_opened_again(path: Path) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(1, "a", 1, b"a")], [], NOW)
        checkpoint.close()
        checkpoint.close()
        assert checkpoint.load() == ((1, b"a"),)


def test_preparing_a_good_file_keeps_what_it_holds(path: Path, logged: list[Any]) -> None:
    with opened(path) as checkpoint:
        checkpoint.save([BacklogRow(1, "a", 1, b"a")], [], NOW)
        prepare_database(path)  # with its log, as after a crash
    prepare_database(path)
    assert load(path) == ((1, b"a"),)
    assert logged == []
    assert [file.name for file in path.parent.iterdir()] == ["backlogs.db"]


def test_the_folder_is_made_too(tmp_path: Path) -> None:
    path = tmp_path / "a b?#%" / "ü" / "c.db"
    prepare_database(path)
    assert load(path) == ()


# Beside a main thread that is busy.


class Counting(sqlite3.Connection):
    """Counts statements, and notes how much the largest one was given."""

    statements = 0
    largest = 0

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        given = sum(len(value) for value in parameters if isinstance(value, (str, bytes)))
        Counting.statements += 1
        Counting.largest = max(Counting.largest, given)
        return super().execute(sql, parameters)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Counting))
    Counting.statements = Counting.largest = 0
    return Counting


def test_a_save_is_few_statements(path: Path, counting: type[Counting]) -> None:
    rows = rows_of(5000, 300)
    with opened(path) as checkpoint:
        checkpoint.save(rows, [], NOW)
        checkpoint.save([], [row[:2] for row in rows], NOW)
        assert checkpoint.load() == ()
    assert counting.statements <= 20


@pytest.mark.parametrize(("size", "most"), [(15_000, 8 << 20), (9_000_000, 9_000_100)])
def test_what_a_statement_is_given_is_bounded(
    size: int, most: int, path: Path, counting: type[Counting]
) -> None:
    rows = rows_of(27_000_000 // size, size)
    with opened(path) as checkpoint:
        checkpoint.save(rows, [], NOW)
        assert len(checkpoint.load()) == len(rows)
    assert 0 < counting.largest <= most


def test_a_save_in_a_thread_gets_done_while_the_main_thread_is_busy(path: Path) -> None:
    """One statement a row takes more than 20 s: for each it waits 5 ms until it may run again."""
    with opened(path) as checkpoint:
        thread = threading.Thread(target=checkpoint.save, args=(rows_of(5000, 300), [], NOW))
        start = time.monotonic()
        thread.start()
        while thread.is_alive():
            sum(range(10_000))
        assert time.monotonic() - start < 5
        assert len(checkpoint.load()) == 5000


# Room.


def test_the_log_stays_short(path: Path) -> None:
    with opened(path) as checkpoint:
        for n in range(30):
            checkpoint.save(rows_of(400, 10_000, bytes([n])), [], NOW)
            assert length(path) < 20_000_000


def test_a_log_that_a_reader_held_up_is_cut_down_again(path: Path) -> None:
    """As long as somebody reads an old state, nothing of the log can be used again."""
    with opened(path) as checkpoint, closing(sqlite3.connect(path)) as reader:
        checkpoint.save(rows_of(1, 1), [], NOW)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM backlog").fetchall()
        for n in range(3):
            checkpoint.save(rows_of(800, 25_000, bytes([n])), [], NOW)
        log = path.with_name(path.name + "-wal")
        assert log.stat().st_size > 55_000_000
        reader.execute("COMMIT")
        checkpoint.save(rows_of(800, 25_000), [], NOW)
        assert log.stat().st_size == 0


def test_after_a_burst_the_file_gets_short_again(path: Path) -> None:
    rows = rows_of(4000, 10_000)
    with opened(path) as checkpoint:
        checkpoint.save(rows, [], NOW)
        assert length(path) > 40_000_000
        checkpoint.save([], [row[:2] for row in rows[:-10]], NOW)
        for _ in range(10):
            checkpoint.save([], [], NOW)
        assert len(checkpoint.load()) == 10
    assert length(path) < 10_000_000


def save_until_full(
    checkpoint: CheckpointStore, rows: Sequence[BacklogRow], closed: Any = ()
) -> str:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.save(rows, closed, NOW + 1, handed_over=[1])
    return str(caught.value)


@pytest.mark.parametrize("kib", [0, 1, 4, 33, 100, 1000, 4000, 8000])
def test_a_disk_without_room_keeps_the_last_save_and_a_later_one_works(
    kib: int, path: Path
) -> None:
    old, new = rows_of(100, 10_000, b"a"), rows_of(1000, 10_000, b"b")
    with opened(path) as checkpoint:
        checkpoint.save(old, [], NOW)
        before = checkpoint.load()
        for _ in range(3):
            with no_file_longer_than(kib << 10):
                error = save_until_full(checkpoint, new, [(1, "event-5")])
            assert error.startswith(f"{path}: ")
            assert checkpoint.load() == before
            assert checkpoint.saved_at() == {1: NOW}
            assert checkpoint.handed_over() == frozenset()
        checkpoint.save(new, [], NOW + 2)
        assert checkpoint.load() == tuple((1, row.state) for row in new)
    prepare_database(path)
    assert len(load(path)) == 1000


def test_room_that_ends_before_a_new_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "backlogs.db"
    for bytes_ in (0, 100, 4096, 5000, 10_000, 20_000, 30_000):
        with no_file_longer_than(bytes_), pytest.raises(CheckpointError, match=str(path)):
            prepare_database(path)
    prepare_database(path)
    assert load(path) == ()
    assert [file.name for file in tmp_path.iterdir()] == ["backlogs.db"]  # nothing was set aside


def test_a_file_that_sqlite_calls_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as checkpoint:
        checkpoint.save(rows_of(5, 10_000), [], NOW)
        checkpoint.close()
        monkeypatch.setattr("shards.checkpoint.database_file._OPEN", "PRAGMA max_page_count = 50")
        error = save_until_full(checkpoint, rows_of(100, 10_000))
        assert error == f"{path}: database or disk is full (SQLITE_FULL)"
        assert len(checkpoint.load()) == 5


# Several processes, and the end of one at any moment.

CHILD = """
import sys
from pathlib import Path
from shards.checkpoint import Checkpoint, Row

path, directive, generations = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
checkpoint = Checkpoint(path)
checkpoint.load()
print("ready", flush=True)
sys.stdin.readline()
for generation in range(1, generations + 1):
    state = b"%d " % generation + b"x" * (generation % 7 * 1500)
    rows = [Row(directive, f"event-{n}", n, state) for n in range(300)]
    odd = [Row(directive, f"odd-{n}", 300 + n, state) for n in range(100)]
    closed = [] if generation % 2 else [row[:2] for row in odd]
    marks = {"handed_over" if generation % 2 else "taken_back": [directive]}
    checkpoint.save(rows + (odd if generation % 2 else []), closed, generation, **marks)
    print(generation, flush=True)
checkpoint.close()
"""


@contextmanager
def saving(path: Path, directive: int, generations: int) -> Iterator[subprocess.Popen[str]]:
    """A process that is ready to save one generation after the other, and says which it has."""
    command = [sys.executable, "-c", CHILD, str(path), str(directive), str(generations)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin
    child.stdin.write("\n")
    child.stdin.flush()


def generation_in(path: Path) -> int:
    """The only generation there is, after a look at all that belongs to it."""
    with opened(path) as checkpoint:
        states = [state for _, state in checkpoint.load()]
        marks, saved_at = checkpoint.handed_over(), checkpoint.saved_at()
    [generation] = {int(state.split()[0]) for state in states} or {0}
    odd = generation % 2 == 1
    assert (len(states), len(marks)) == ((400, 1) if odd else (300 if generation else 0, 0))
    assert set(saved_at.values()) == ({generation} if generation else set())
    return generation


@pytest.mark.parametrize("seed", range(10))
def test_a_kill_at_any_moment_leaves_one_whole_save(seed: int, path: Path) -> None:
    random = Random(seed)
    with saving(path, 1, 1_000_000) as child:
        assert child.stdout
        go(child)
        for _ in range(random.randrange(1, 40)):
            said = int(child.stdout.readline())
        time.sleep(random.uniform(0, 0.02))  # a moment within a save, not a wait for anything
        child.send_signal(signal.SIGKILL)
        said = int([str(said), *child.stdout.read().split()][-1])
    if seed % 2:
        prepare_database(path)
    assert generation_in(path) in (said, said + 1)


def test_processes_that_save_at_the_same_time_lose_nothing_of_each_other(path: Path) -> None:
    with saving(path, 1, 41) as one, saving(path, 2, 51) as other:
        for child in (one, other):
            go(child)
        for child, last in ((one, 41), (other, 51)):
            assert child.communicate()[0].split() == [str(n) for n in range(1, last + 1)]
            assert child.returncode == 0
    found = Counter((directive, state.split()[0]) for directive, state in load(path))
    assert found == {(1, b"41"): 400, (2, b"51"): 400}


def test_a_file_that_another_keeps_locked_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    monkeypatch.setattr("shards.checkpoint.database_file.BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with opened(path) as checkpoint:
            error = save_until_full(checkpoint, rows_of(1, 1))
            assert error == f"{path}: database is locked (SQLITE_BUSY)"
            other.execute("ROLLBACK")
            checkpoint.save(rows_of(1, 1), [], NOW)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CheckpointError, match="locked"):
            prepare_database(path)  # no reason to set it aside
    assert logged == []
    assert len(load(path)) == 1


# A file that is no good.


def good_file(path: Path) -> bytes:
    prepare_database(path)
    with opened(path) as checkpoint:
        checkpoint.save(rows_of(100, 3000), [], NOW)
    return path.read_bytes()


def cut(path: Path, share: float) -> None:
    content = good_file(path)
    path.write_bytes(content[: int(len(content) * share)])


def scribbled_on(path: Path) -> None:
    content = bytearray(good_file(path))
    content[20_000:90_000] = Random(1).randbytes(70_000)
    path.write_bytes(content)


def with_statement(path: Path, statement: str) -> None:
    good_file(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)


def read_only_format(path: Path) -> None:
    content = bytearray(good_file(path))
    content[18] = 3  # a future write version: SQLite reads such a file, and does not write it
    path.write_bytes(content)


def index_astray(path: Path) -> None:
    content = good_file(path)
    path.write_bytes(content.replace(b"event-42", b"event-xx", 1))


def quoting_garbage(path: Path) -> None:
    """Of this the error text cannot be decoded."""
    content = good_file(path)
    path.write_bytes(content.replace(b"age INTEGER NOT NULL", b"age INTEGER NOT NUL\xfe"))


NO_GOOD: dict[str, Callable[[Path], object]] = {
    "random bytes": lambda path: path.write_bytes(Random(1).randbytes(50_000)),
    "a text": lambda path: path.write_text("not a database, but long enough to be one " * 100),
    "zeros": lambda path: path.write_bytes(bytes(100_000)),
    "a header": partial(cut, share=0.0002),
    "cut in the first page": partial(cut, share=0.005),
    "cut in the middle": partial(cut, share=0.5),
    "cut at the end": partial(cut, share=0.99),
    "scribbled on": scribbled_on,
    "a folder": lambda path: path.mkdir(),
    "another program's": partial(with_statement, statement="PRAGMA application_id = 7"),
    "another program's, unmarked": partial(
        with_statement, statement="PRAGMA application_id = 0; PRAGMA user_version = 0"
    ),
    "of the future": partial(with_statement, statement="PRAGMA user_version = 999"),
    "without a table": partial(with_statement, statement="DROP TABLE backlog"),
    "with another column": partial(
        with_statement, statement="ALTER TABLE backlog RENAME age TO old"
    ),
    "with an index of something else": index_astray,
    "of a read-only format": read_only_format,
    "with garbage in its errors": quoting_garbage,
}


@pytest.mark.parametrize("spoil", NO_GOOD.values(), ids=NO_GOOD.keys())
def test_a_file_that_is_no_good_is_set_aside(
    spoil: Callable[[Path], object], tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    path, bad = tmp_path / "backlogs.db", tmp_path / "backlogs.db.bad"
    spoil(path)
    content = path.read_bytes() if path.is_file() else None
    prepare_database(path)
    assert (bad.read_bytes() if bad.is_file() else None) == content
    assert bad.exists()
    assert [record["level"] for record in logged] == ["ERROR"]
    assert logged[0]["file"] == str(path)
    assert logged[0]["reason"]
    with opened(path) as checkpoint:
        assert checkpoint.load() == ()
        checkpoint.save(rows_of(3, 10), [], NOW)
    prepare_database(path)
    assert len(load(path)) == 3
    assert len(logged) == 1


@pytest.mark.parametrize("content", [b"", b"S"])
def test_an_empty_file_is_a_beginning(content: bytes, tmp_path: Path, logged: list[Any]) -> None:
    path = tmp_path / "backlogs.db"
    path.write_bytes(content)  # SQLite takes less than a header for nothing
    prepare_database(path)
    assert load(path) == ()
    assert logged == []
    assert [file.name for file in tmp_path.iterdir()] == ["backlogs.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_file_without_permission_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "backlogs.db"
    good_file(path)
    path.chmod(0)
    prepare_database(path)
    assert load(path) == ()
    assert (tmp_path / "backlogs.db.bad").exists()


def test_what_is_beside_a_bad_file_goes_with_it_and_replaces_what_was_bad_before(
    tmp_path: Path,
) -> None:
    path, bad = tmp_path / "backlogs.db", tmp_path / "backlogs.db.bad"
    for end in ("", "-wal", "-shm"):
        bad.with_name(bad.name + end).write_bytes(b"from before")
    path.mkdir()
    path.with_name("backlogs.db-wal").write_bytes(b"its log")
    prepare_database(path)
    assert load(path) == ()
    assert {file.name for file in tmp_path.iterdir()} == {path.name, bad.name, f"{bad.name}-wal"}
    assert bad.is_dir()
    assert bad.with_name(f"{bad.name}-wal").read_bytes() == b"its log"


def test_folders_are_set_aside_and_only_empty_ones_replaced(tmp_path: Path) -> None:
    path, bad = tmp_path / "backlogs.db", tmp_path / "backlogs.db.bad"
    bad.mkdir()
    path.mkdir()
    (path / "somebody's").touch()
    prepare_database(path)
    assert (bad / "somebody's").exists()
    path.unlink()
    path.mkdir()
    with pytest.raises(CheckpointError, match=r"\.bad"):
        prepare_database(path)
    assert (bad / "somebody's").exists()


def test_a_log_of_garbage_is_as_good_as_none(tmp_path: Path, logged: list[Any]) -> None:
    path = tmp_path / "backlogs.db"
    good_file(path)
    path.with_name("backlogs.db-wal").write_bytes(Random(1).randbytes(100_000))
    path.with_name("backlogs.db-shm").write_bytes(Random(2).randbytes(32_768))
    prepare_database(path)
    assert len(load(path)) == 100
    assert logged == []


def test_a_log_that_has_lost_its_file_does_not_get_into_a_new_one(tmp_path: Path) -> None:
    path, kept = tmp_path / "backlogs.db", tmp_path / "kept"
    prepare_database(path)
    with opened(path) as checkpoint:
        checkpoint.save(rows_of(10, 10), [], NOW)
        kept.write_bytes(path.with_name("backlogs.db-wal").read_bytes())
    path.unlink()
    kept.rename(path.with_name("backlogs.db-wal"))
    prepare_database(path)
    assert load(path) == ()


@pytest.mark.parametrize("seed", range(40))
def test_a_few_wrong_bytes_anywhere_are_never_a_reason_not_to_start(
    seed: int, tmp_path: Path
) -> None:
    path, random = tmp_path / "backlogs.db", Random(seed)
    content = bytearray(good_file(path))
    for _ in range(random.choice([1, 3, 20])):
        content[random.randrange(random.choice([100, 4096, len(content)]))] = random.randrange(256)
    path.write_bytes(content)
    prepare_database(path)
    with opened(path) as checkpoint:
        assert len(checkpoint.load()) in (0, 100)
        checkpoint.save(rows_of(200, 3000), [], NOW)
        assert len(checkpoint.load()) == 200


# A file that is not there.


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=f"{tmp_path}/file.*: (File exists|Not a directory)"):
        prepare_database(tmp_path / "file" / "backlogs.db")


def test_a_file_that_could_not_be_prepared_is_made_once_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    path = folder / "backlogs.db"
    with opened(path) as checkpoint:
        for use in (CheckpointStore.load, CheckpointStore.saved_at, CheckpointStore.handed_over):
            with pytest.raises(CheckpointError, match=f"{path}: unable to open"):
                use(checkpoint)
        folder.mkdir()
        checkpoint.save(rows_of(3, 10), [], NOW)
        assert len(checkpoint.load()) == 3
    prepare_database(path)
    assert len(load(path)) == 3


def test_room_that_is_missing_at_the_start_and_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "backlogs.db"
    with no_file_longer_than(5000), pytest.raises(CheckpointError):
        prepare_database(path)
    with opened(path) as checkpoint:
        with no_file_longer_than(5000):
            save_until_full(checkpoint, rows_of(3, 10))
        checkpoint.save(rows_of(3, 10), [], NOW)
        assert len(checkpoint.load()) == 3


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_is_taken_away_is_told(replaced: bool, path: Path) -> None:
    """Into the open file all could be saved on, and nobody would ever find it."""
    with opened(path) as checkpoint:
        checkpoint.save(rows_of(1, 1), [], NOW)
        path.rename(path.with_name("elsewhere.db"))
        if replaced:
            prepare_database(path)
        for _ in range(2):
            error = save_until_full(checkpoint, rows_of(1, 1))
            assert error.startswith(f"{path}: ")
    assert path.exists() == replaced


def test_a_file_that_is_spoilt_while_in_use_is_told(path: Path) -> None:
    good_file(path)
    with opened(path) as checkpoint:
        with path.open("r+b") as file:
            file.write(bytes(50_000))
        with pytest.raises(CheckpointError, match=f"{path}: .*not a database"):
            checkpoint.load()
        save_until_full(checkpoint, rows_of(1, 1))
    prepare_database(path)
    assert load(path) == ()
