"""The choice between checkpoint and saved file for each directive, with files of both."""

import math
import os
from collections import Counter
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.options import Options
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.recovery import recover_backlogs
from shards.checkpoint.saved_folder import SavedFolder
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import BacklogRow
from tests.support.pair_backlogs import PAIR_DIRECTIVES, pair_correlator
from tests.support.saved_backlogs import save_backlogs

BEFORE, SAVED, AFTER = (1_700_000_000_000_000_000 + seconds * 10**9 for seconds in (0, 10, 20))
IN_ROWS, IN_FILE = 5, 2
"""Numbers of backlogs of a directive in the checkpoint and in the saved file."""


class Disk:
    """A folder with a checkpoint and saved files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "checkpoint.sqlite"
        prepare_database(self.path)

    def save(self, id_: int, at: int, handed_over: Collection[int] = ()) -> None:
        """Write the backlogs of a directive into the checkpoint, as its worker does."""
        states = [state for state in pair_correlator(IN_ROWS).snapshots() if state.directive == id_]
        rows = [BacklogRow(*s.key, s.order, msgspec.json.encode(s)) for s in states]
        store = CheckpointStore(self.path)
        store.save(rows, [], at, handed_over=handed_over)
        store.close()

    def write_saved_file(self, id_: int, at: int) -> None:
        """Write the saved file of a directive, with this time in ns."""
        saved = save_backlogs(pair_correlator(IN_FILE))[id_]
        SavedFolder(self.folder).write({id_: saved}, math.inf)
        os.utime(self.folder / f"{id_}.json", ns=(at, at))

    def recovered(self, id_: int, *, files: bool = True) -> int:
        """Number of backlogs that a worker with this directive alone recovers."""
        store = CheckpointStore(self.path)
        folder = SavedFolder(self.folder) if files else None
        states = recover_backlogs(store, folder, {id_: PAIR_DIRECTIVES[id_]}, Options()).states
        store.close()
        assert {state.directive for state in states} <= {id_}
        return len(states)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_an_empty_folder_has_no_backlogs(disk: Disk) -> None:
    assert disk.recovered(1) == 0


@pytest.mark.parametrize(("file_time", "expected"), [(BEFORE, IN_ROWS), (AFTER, IN_FILE)])
def test_the_newer_form_counts(disk: Disk, file_time: int, expected: int) -> None:
    disk.save(1, SAVED)
    disk.write_saved_file(1, file_time)
    assert disk.recovered(1) == expected
    assert disk.recovered(1, files=False) == IN_ROWS


def test_a_saved_file_counts_if_the_checkpoint_has_no_backlog_of_its_directive(disk: Disk) -> None:
    disk.save(2, AFTER)
    disk.write_saved_file(1, BEFORE)
    assert disk.recovered(1) == IN_FILE


def test_a_checkpoint_of_another_directive_does_not_make_a_saved_file_older(disk: Disk) -> None:
    """Workers start at the same time, and each writes a checkpoint once it has restored its own."""
    disk.save(1, SAVED, handed_over=[1, 2])
    disk.write_saved_file(1, AFTER)
    disk.save(2, AFTER + 1)
    assert disk.recovered(1) == IN_FILE


def test_a_handover_makes_unchanged_rows_as_new_as_the_saved_file(disk: Disk) -> None:
    disk.save(1, BEFORE)
    disk.write_saved_file(1, SAVED)
    disk.save(2, SAVED + 1, handed_over=[1])
    assert disk.recovered(1) == IN_ROWS


def test_backlogs_that_were_handed_over_are_not_recovered_once_their_file_is_gone(
    disk: Disk,
) -> None:
    disk.save(1, SAVED, handed_over=[1])
    assert disk.recovered(1) == 0
    assert disk.recovered(1, files=False) == IN_ROWS


def test_rows_and_files_of_both_forms_are_listed(disk: Disk) -> None:
    disk.save(1, AFTER)
    disk.write_saved_file(1, BEFORE)
    disk.write_saved_file(2, BEFORE)
    with closing(CheckpointStore(disk.path)) as store:
        recovered = recover_backlogs(store, SavedFolder(disk.folder), PAIR_DIRECTIVES, Options())
    assert Counter(state.directive for state in recovered.states) == {1: IN_ROWS, 2: IN_FILE}
    assert {directive for directive, _ in recovered.rows} == {1}
    assert len(recovered.rows) == IN_ROWS
    assert recovered.files == [1, 2]


def test_backlogs_of_a_saved_file_keep_their_order(disk: Disk) -> None:
    disk.write_saved_file(1, BEFORE)
    with closing(CheckpointStore(disk.path)) as store:
        recovered = recover_backlogs(store, SavedFolder(disk.folder), PAIR_DIRECTIVES, Options())
    assert [state.order for state in recovered.states] == list(range(IN_FILE))


def test_a_row_that_cannot_be_read_is_logged_and_left_out(
    disk: Disk, logged: list[dict[str, Any]]
) -> None:
    disk.save(1, SAVED)
    with closing(CheckpointStore(disk.path)) as store:
        store.save([BacklogRow(1, "text", 9, b"{}"), BacklogRow(1, "bytes", 9, b"\xff")], [], SAVED)
    assert disk.recovered(1) == IN_ROWS
    assert [record["directive"] for record in logged] == [1, 1]
    assert {record["message"] for record in logged} == {
        "a backlog in the crash checkpoint cannot be read"
    }


def test_saved_files_count_if_the_checkpoint_cannot_be_read(
    disk: Disk, logged: list[dict[str, Any]]
) -> None:
    disk.save(1, AFTER)
    disk.write_saved_file(1, BEFORE)
    disk.path.write_bytes(b"not a database" * 100)
    assert disk.recovered(1) == IN_FILE
    [record] = logged
    assert record["message"].startswith("the crash checkpoint cannot be read: ")


def test_an_alarm_that_does_not_fit_its_directive_is_dropped(
    disk: Disk, logged: list[dict[str, Any]]
) -> None:
    disk.write_saved_file(1, BEFORE)
    path = disk.folder / "1.json"
    alarms = msgspec.json.decode(path.read_bytes())
    alarms[0]["rules"] = alarms[0]["rules"][:1]
    path.write_bytes(msgspec.json.encode(alarms))
    assert disk.recovered(1) == IN_FILE - 1
    [record] = logged
    assert record["message"] == "a saved backlog is dropped"
    assert (record["level"], record["directive"]) == ("WARNING", 1)
