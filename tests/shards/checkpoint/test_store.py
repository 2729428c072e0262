"""Saving and loading the rows of the checkpoint."""

import sqlite3
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.tables import BacklogRow, BlockRow, StaleSet
from tests.support.checkpoint_files import NOW, load_rows, open_store, rows_of, states


def test_a_new_file_holds_nothing(path: Path) -> None:
    with open_store(path) as store:
        assert states(store) == ()
        assert store.last_saved_ns() == {}
        assert store.handed_over_directives() == frozenset()


def test_rows_come_back_by_directive_and_age(path: Path) -> None:
    with open_store(path) as store:
        store.save([BacklogRow(7, "z", 1, b"7-1"), BacklogRow(3, "a", 12, b"3-12")], [], NOW)
        store.save([BacklogRow(3, "b", 9, b"3-9"), BacklogRow(7, "a", 0, b"7-0")], [], NOW)
    assert load_rows(path) == ((3, b"3-9"), (3, b"3-12"), (7, b"7-0"), (7, b"7-1"))


def test_a_later_row_of_the_same_backlog_replaces_the_earlier(path: Path) -> None:
    with open_store(path) as store:
        store.save([BacklogRow(1, "a", 1, b"old"), BacklogRow(1, "b", 2, b"b")], [], NOW)
        store.save([BacklogRow(1, "a", 1, b"older"), BacklogRow(1, "a", 3, b"new")], [], NOW)
    assert load_rows(path) == ((1, b"b"), (1, b"new"))


def test_only_rows_of_closed_backlogs_are_deleted(path: Path) -> None:
    with open_store(path) as store:
        store.save([BacklogRow(d, o, 1, o.encode()) for d in (1, 2) for o in "ab"], [], NOW)
        store.save([], [(1, "a"), (2, "b"), (3, "a"), (1, "no such")], NOW)
    assert load_rows(path) == ((1, b"b"), (2, b"a"))


def test_a_backlog_that_closed_and_was_reopened_by_the_same_event_has_its_new_row(
    path: Path,
) -> None:
    with open_store(path) as store:
        store.save([BacklogRow(1, "a", 1, b"old")], [], NOW)
        store.save([BacklogRow(1, "a", 2, b"new")], [(1, "a")], NOW)
    assert load_rows(path) == ((1, b"new"),)


@pytest.mark.parametrize("opened_by", ["", "a\0b", "a\0c", "é", "e\u0301", "'; --", "x" * 100_000])
def test_any_event_id_is_a_key_of_its_own(path: Path, opened_by: str) -> None:
    other = BacklogRow(1, "a", 1, b"other")
    with open_store(path) as store:
        store.save([other, BacklogRow(1, opened_by, 2, b"old")], [], NOW)
        store.save([BacklogRow(1, opened_by, 2, b"new")], [], NOW)
        assert states(store) == ((1, b"other"), (1, b"new"))
        store.save([], [(1, opened_by)], NOW)
        assert states(store) == ((1, b"other"),)


def blocks_of(path: Path) -> dict[str, dict[str, list[bytes]]]:
    """The blocks of each backlog, by `opened_by` and set."""
    with open_store(path) as store:
        return {row.opened_by: row.blocks for row in store.load()}


def test_blocks_come_back_in_order_with_their_backlog(path: Path) -> None:
    blocks = [BlockRow(1, "a", "ids.2", number, b"%d" % number) for number in (11, 2, 0, 1)]
    more = BlockRow(1, "a", "src_ips", 0, b"s")
    with open_store(path) as store:
        store.save([*blocks, BacklogRow(1, "a", 1, b"a"), BacklogRow(1, "b", 1, b"b")], [], NOW)
        store.save([more, BlockRow(1, "a", "ids.2", 11, b"new")], [], NOW)
    ids = [b"0", b"1", b"2", b"new"]
    assert blocks_of(path) == {"a": {"ids.2": ids, "src_ips": [b"s"]}, "b": {}}


def test_the_blocks_of_a_stale_set_are_deleted_before_others_follow(path: Path) -> None:
    backlogs = [BacklogRow(1, opened_by, 1, b"") for opened_by in "ab"]
    blocks = [BlockRow(1, o, name, n, b"old") for o in "ab" for name in "xy" for n in range(3)]
    with open_store(path) as store:
        store.save([*backlogs, *blocks], [], NOW)
        store.save([StaleSet(1, "a", "x"), BlockRow(1, "a", "x", 0, b"new")], [], NOW)
    old = [b"old"] * 3
    assert blocks_of(path) == {"a": {"x": [b"new"], "y": old}, "b": {"x": old, "y": old}}


def test_a_reset_deletes_all_rows_of_its_directives_first(path: Path) -> None:
    with open_store(path) as store:
        rows = [BacklogRow(d, o, 1, o.encode()) for d in (1, 2) for o in "ab"]
        store.save([*rows, BlockRow(1, "a", "x", 0, b"")], [], NOW)
        store.save([BacklogRow(1, "a", 1, b"new")], [], NOW, reset=[1, 3])
    assert load_rows(path) == ((1, b"new"), (2, b"a"), (2, b"b"))
    assert blocks_of(path)["a"] == {}


def test_the_highest_directive_id_and_any_bytes_are_stored(path: Path) -> None:
    state = bytes(range(256))
    with open_store(path) as store:
        store.save([BacklogRow(2**63 - 1, "a", 1, state), BacklogRow(1, "a", 1, b"")], [], NOW)
        assert states(store, [2**63 - 1]) == ((2**63 - 1, state),)
        assert states(store) == ((1, b""), (2**63 - 1, state))


def test_only_rows_of_the_given_directives_are_loaded(path: Path) -> None:
    with open_store(path) as store:
        store.save([BacklogRow(d, "a", 1, b"%d" % d) for d in range(1, 6)], [], NOW)
        assert states(store, {4, 2, 9}) == ((2, b"2"), (4, b"4"))
        assert states(store, []) == ()


def test_each_directive_has_the_time_of_its_own_last_save(path: Path) -> None:
    with open_store(path) as one, open_store(path) as other:
        one.save([BacklogRow(1, "a", 1, b"a"), BacklogRow(2, "a", 1, b"a")], [], NOW)
        other.save([BacklogRow(2, "b", 1, b"b"), BacklogRow(3, "a", 1, b"a")], [], NOW + 5)
        assert one.last_saved_ns() == {1: NOW, 2: NOW + 5, 3: NOW + 5}
        # The time counts even if the clock was set back.
        one.save([BacklogRow(3, "a", 1, b"c")], [], NOW - 5)
        one.save([], [(2, "a"), (2, "b")], NOW + 9)
        assert other.last_saved_ns() == {1: NOW, 3: NOW - 5}


def test_a_handover_counts_as_a_save_until_it_is_reclaimed(path: Path) -> None:
    with open_store(path) as store:
        store.save([BacklogRow(1, "a", 1, b"a")], [], NOW)
        store.save([], [], NOW + 5, handed_over=[1, 2])
        assert store.last_saved_ns() == {1: NOW + 5, 2: NOW + 5}
        store.save([], [], NOW + 7, handed_over=[2], reclaimed=[1])
        assert store.last_saved_ns() == {1: NOW, 2: NOW + 7}


def test_directives_stay_handed_over_until_they_are_reclaimed(path: Path) -> None:
    with open_store(path) as store:
        store.save([], [], NOW, handed_over=[1, 2, 3])
        store.save([], [], NOW, handed_over=[3, 4], reclaimed=[9])
        store.save([], [], NOW)
    prepare_database(path)
    with open_store(path) as store:
        assert store.handed_over_directives() == {1, 2, 3, 4}
        store.save([], [], NOW, reclaimed=[1, 4])
        assert store.handed_over_directives() == {2, 3}


def test_a_save_that_fails_is_rolled_back_and_leaves_no_lock(path: Path) -> None:
    with open_store(path) as store, open_store(path) as other:
        with pytest.raises(OverflowError):
            store.save([BacklogRow(1, "a", 1, b"a"), BacklogRow(2**63, "b", 1, b"b")], [], NOW)
        other.save([BacklogRow(2, "a", 1, b"a")], [], NOW)
        store.save([BacklogRow(3, "a", 1, b"a")], [], NOW)
    assert load_rows(path) == ((2, b"a"), (3, b"a"))


def test_a_closed_store_opens_its_file_again(path: Path) -> None:
    with open_store(path) as store:
        store.save([BacklogRow(1, "a", 1, b"a")], [], NOW)
        store.close()
        store.close()
        assert states(store) == ((1, b"a"),)


class CountingConnection(sqlite3.Connection):
    """Counts statements, and the bytes of the largest arguments of one."""

    statements = 0
    largest = 0

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        given = sum(len(value) for value in parameters if isinstance(value, (str, bytes)))
        CountingConnection.statements += 1
        CountingConnection.largest = max(CountingConnection.largest, given)
        return super().execute(sql, parameters)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[CountingConnection]:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=CountingConnection))
    CountingConnection.statements = CountingConnection.largest = 0
    return CountingConnection


def test_a_save_takes_few_statements(path: Path, counting: type[CountingConnection]) -> None:
    rows = rows_of(5000, 300)
    with open_store(path) as store:
        store.save(rows, [], NOW)
        store.save([], [row[:2] for row in rows], NOW)
        assert states(store) == ()
    assert counting.statements <= 26


@pytest.mark.parametrize(("size", "most"), [(15_000, 8 << 20), (9_000_000, 9_000_100)])
def test_the_data_of_one_statement_is_bounded(
    size: int, most: int, path: Path, counting: type[CountingConnection]
) -> None:
    rows = rows_of(27_000_000 // size, size)
    with open_store(path) as store:
        store.save(rows, [], NOW)
        assert len(states(store)) == len(rows)
    assert 0 < counting.largest <= most


def test_a_save_in_a_thread_ends_while_the_main_thread_is_busy(path: Path) -> None:
    """With one statement for each row it would take 20 s: each waits 5 ms for the GIL."""
    with open_store(path) as store:
        thread = threading.Thread(target=store.save, args=(rows_of(5000, 300), [], NOW))
        start = time.monotonic()
        thread.start()
        while thread.is_alive():
            sum(range(10_000))
        assert time.monotonic() - start < 5
        assert len(states(store)) == 5000
