"""Restoring, checkpointing and saving the backlogs of one correlator."""

import asyncio
import math
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from engine.alarm import BacklogKey
from engine.correlation.correlator import Correlator
from engine.correlation.directive_set import DirectiveSet
from engine.correlation.outputs import Outputs
from engine.options import Options
from shards.checkpoint.checkpointer import Checkpointer
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.paths import FOLDER, checkpoint_path
from shards.checkpoint.saved_folder import SavedFolder, WrittenFiles
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.stats import ShardProgress
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import BacklogRow
from shards.settings.settings import Settings
from tests.support.cluster import ENDS, GOES_ON, OPENS
from tests.support.disk import no_file_longer_than
from tests.support.pair_backlogs import PAIR_DIRECTIVES, pair_correlator, take

T = TypeVar("T")
LATER = math.inf
"""A deadline that never comes."""
FILES = ["1.json", "2.json"]
"""Names of the saved files of both directives."""


class Disk:
    """The log folder of a service, and workers that use it one after the other."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(log_dir=folder, **settings)
        self.progress = ShardProgress()
        prepare_database(checkpoint_path(self.settings))

    def checkpointer(self, correlator: Correlator, *, first_start: bool = True) -> Checkpointer:
        return Checkpointer(
            correlator,
            PAIR_DIRECTIVES,
            self.progress,
            self.settings,
            Options(),
            first_start=first_start,
        )

    def restored(self, *, first_start: bool) -> int:
        """Number of backlogs that a new worker restores."""
        correlator = pair_correlator(0)
        self.checkpointer(correlator, first_start=first_start).restore()
        return len(correlator)

    @property
    def saved_files(self) -> list[str]:
        return sorted(path.name for path in (self.settings.log_dir / FOLDER).glob("*.json"))

    def store(self) -> closing[CheckpointStore]:
        return closing(CheckpointStore(checkpoint_path(self.settings)))

    def rows(self) -> Counter[int]:
        """Number of rows in the checkpoint by directive."""
        with self.store() as store:
            return Counter(row.directive for row in store.load())


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def write(checkpointer: Checkpointer) -> None:
    asyncio.run(checkpointer.write_checkpoint())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "checkpoint.sqlite"),
        ({"node": "a/b"}, "checkpoint-a%2Fb.sqlite"),
        ({"node": "n1", "cluster_size": 3, "cluster_index": 0}, "checkpoint-n1.sqlite"),
        ({"node": "n1", "cluster_size": 3, "cluster_index": 2}, "checkpoint-n1.2.sqlite"),
    ],
)
def test_the_name_of_the_checkpoint_has_node_and_part(
    tmp_path: Path, settings: dict[str, Any], name: str
) -> None:
    path = checkpoint_path(Settings(log_dir=tmp_path, **settings))
    assert path == tmp_path / FOLDER / name


def test_a_worker_that_is_started_again_restores_the_last_checkpoint(disk: Disk) -> None:
    correlator = pair_correlator(3, track_changes=True)
    disk.progress.ledger.backlogs["open"] = 6
    write(disk.checkpointer(correlator))
    disk.progress = ShardProgress()
    restored = pair_correlator(0)
    disk.checkpointer(restored, first_start=False).restore()
    assert restored.snapshots() == correlator.snapshots()
    assert +disk.progress.ledger.backlogs == {"open": 6}


def test_each_checkpoint_writes_only_the_changes_since_the_last_one(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[tuple[list[BacklogKey], list[BacklogKey]]] = []
    save = CheckpointStore.save

    def recorded_save(
        store: CheckpointStore, rows: Any, closed: Any, *args: Any, **kw: Any
    ) -> None:
        rows = list(rows)
        saves.append(([row[:2] for row in rows if isinstance(row, BacklogRow)], list(closed)))
        save(store, rows, closed, *args, **kw)

    monkeypatch.setattr(CheckpointStore, "save", recorded_save)
    correlator = pair_correlator(2, track_changes=True)
    checkpointer = disk.checkpointer(correlator)
    keys = sorted(correlator.open_keys(), key=lambda key: key[0])
    write(checkpointer)
    take(correlator, 1, GOES_ON, 1)
    for action in (GOES_ON, GOES_ON, ENDS):
        take(correlator, 2, action, 0)
    write(checkpointer)
    write(checkpointer)
    first, second, third = saves
    assert (len(first[0]), first[1]) == (4, [])
    assert second == ([keys[1]], [keys[2]])
    assert third == ([], [])
    assert disk.rows() == {1: 2, 2: 1}


def test_stats_are_those_of_checkpoints_that_were_written(disk: Disk) -> None:
    checkpointer = disk.checkpointer(pair_correlator(1, track_changes=True))
    disk.progress.position = 2
    with no_file_longer_than(0):
        write(checkpointer)
    assert (checkpointer.stats.position, checkpointer.stats.written_at) == (0, 0.0)
    assert checkpointer.stats.take_durations().count == 0
    write(checkpointer)
    assert checkpointer.stats.position == 2
    assert checkpointer.stats.written_at > 0
    assert checkpointer.stats.take_durations().count == 1
    assert checkpointer.stats.take_durations().count == 0


def test_changes_of_a_checkpoint_that_failed_are_written_by_the_next_one(
    disk: Disk, logged: list[dict[str, Any]]
) -> None:
    correlator = pair_correlator(2, track_changes=True)
    checkpointer = disk.checkpointer(correlator)
    with no_file_longer_than(0):
        write(checkpointer)
        take(correlator, 1, OPENS, 2)
        write(checkpointer)
    write(checkpointer)
    write(checkpointer)
    assert disk.rows() == {1: 3, 2: 2}
    failed, written = [record["message"] for record in logged]  # each is logged once
    assert failed.startswith("no crash checkpoint, backlogs are kept in memory only: ")
    assert written == "crash checkpoints are written again"


def test_a_stop_saves_all_backlogs_in_both_forms(disk: Disk) -> None:
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)
    assert disk.saved_files == FILES
    assert disk.rows() == {1: 3, 2: 3}
    with disk.store() as store:
        assert store.handed_over_directives() == {1, 2}
    assert disk.restored(first_start=True) == 6


def test_a_directive_that_other_backends_read_otherwise_is_in_the_checkpoint_alone(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, logged: list[dict[str, Any]]
) -> None:
    monkeypatch.setitem(PAIR_DIRECTIVES, 2, replace(PAIR_DIRECTIVES[2], wildcards=True))
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)
    assert disk.saved_files == FILES[:1]
    assert disk.rows() == {1: 3, 2: 3}
    with disk.store() as store:
        assert store.handed_over_directives() == {1}
    assert disk.restored(first_start=True) == 6
    assert not [one for one in logged if one["level"] != "INFO"]


def test_backlogs_under_a_former_definition_that_is_not_portable_are_in_the_checkpoint_alone(
    disk: Disk,
) -> None:
    correlator = pair_correlator(1, track_changes=True)
    own = replace(PAIR_DIRECTIVES[2], wildcards=True)
    for directive in (own, PAIR_DIRECTIVES[2]):
        assets = correlator.backlogs_of(1)
        assert assets is not None
        both = DirectiveSet([PAIR_DIRECTIVES[1], directive], assets.compiled.assets)
        correlator.reload(both, 0, Outputs(), lookups=False)
        take(correlator, 2, OPENS, 5 + len(correlator))
    disk.checkpointer(correlator).finish(LATER)
    assert disk.saved_files == FILES[:1]


def test_backlogs_that_another_program_continues_are_not_restored(disk: Disk) -> None:
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)
    (disk.settings.log_dir / FOLDER / "1.json").unlink()
    assert disk.restored(first_start=True) == 3


def test_a_checkpoint_of_restored_backlogs_removes_their_files_and_reclaims_them(
    disk: Disk,
) -> None:
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)
    checkpointer = disk.checkpointer(pair_correlator(0, track_changes=True))
    checkpointer.restore()
    assert disk.saved_files == FILES
    write(checkpointer)
    assert disk.saved_files == []
    with disk.store() as store:
        assert store.handed_over_directives() == frozenset()
    assert disk.restored(first_start=False) == 6


def test_files_of_restored_backlogs_stay_while_no_checkpoint_can_be_written(disk: Disk) -> None:
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)
    checkpointer = disk.checkpointer(pair_correlator(0, track_changes=True))
    checkpointer.restore()
    with no_file_longer_than(0):
        write(checkpointer)
    assert disk.saved_files == FILES


def test_a_directive_is_not_handed_over_if_its_file_cannot_be_written(
    disk: Disk, logged: list[dict[str, Any]]
) -> None:
    (disk.settings.log_dir / FOLDER / "2.json").mkdir()
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)
    assert disk.rows() == {1: 3, 2: 3}
    with disk.store() as store:
        assert store.handed_over_directives() == {1}
    assert "2.json" in logged[0]["message"]
    assert logged[0]["message"].startswith("backlogs are not saved: ")


@pytest.mark.parametrize("interval", [0, 5])
def test_rows_of_backlogs_that_closed_since_the_start_are_deleted_at_the_stop(
    tmp_path: Path, interval: int
) -> None:
    disk = Disk(tmp_path, checkpoint_interval=interval)
    disk.checkpointer(pair_correlator(2, track_changes=interval > 0)).finish(LATER)
    correlator = pair_correlator(0, track_changes=interval > 0)
    checkpointer = disk.checkpointer(correlator)
    checkpointer.restore()
    write(checkpointer)  # of what was restored
    for action in (GOES_ON, GOES_ON, ENDS):
        take(correlator, 2, action, 0)
    checkpointer.finish(LATER)
    assert disk.rows() == {1: 2, 2: 1}


def test_without_checkpoints_a_stop_still_saves_all_backlogs(tmp_path: Path) -> None:
    disk = Disk(tmp_path, checkpoint_interval=0)
    disk.checkpointer(pair_correlator(3)).finish(LATER)
    assert disk.rows() == {1: 3, 2: 3}
    assert disk.restored(first_start=False) == 0
    assert disk.restored(first_start=True) == 6


def test_without_reload_a_stop_saves_nothing_and_only_a_restart_restores(tmp_path: Path) -> None:
    disk = Disk(tmp_path, reload_backlogs=False)
    checkpointer = disk.checkpointer(pair_correlator(3, track_changes=True))
    write(checkpointer)
    checkpointer.finish(LATER)
    assert disk.saved_files == []
    assert disk.restored(first_start=True) == 0
    assert disk.restored(first_start=False) == 6


def test_restored_backlogs_are_written_as_soon_as_it_runs(disk: Disk) -> None:
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)

    async def restore_and_run() -> None:
        checkpointer = disk.checkpointer(pair_correlator(0, track_changes=True))
        checkpointer.restore()
        async with checkpointer.running():
            while not checkpointer.stats.written_at:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(restore_and_run(), 4))  # the interval is 5 s
    assert disk.saved_files == []


def test_checkpoints_are_written_at_the_interval(tmp_path: Path) -> None:
    disk = Disk(tmp_path, checkpoint_interval=1)

    async def run() -> None:
        checkpointer = disk.checkpointer(pair_correlator(3, track_changes=True))
        async with checkpointer.running():
            while not checkpointer.stats.written_at:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert disk.rows() == {1: 3, 2: 3}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each save, without those of the shard's progress."""
    numbers: list[int] = []
    save = CheckpointStore.save

    def counted_save(store: CheckpointStore, rows: Any, *args: Any, **kw: Any) -> None:
        rows = list(rows)
        numbers.append(sum(not isinstance(row, ShardRow) for row in rows))
        save(store, rows, *args, **kw)

    monkeypatch.setattr(CheckpointStore, "save", counted_save)
    return numbers


def test_rows_of_restored_backlogs_are_not_written_again(disk: Disk, written: list[int]) -> None:
    """A stop soon after a start with many backlogs would have to wait for them."""
    disk.checkpointer(pair_correlator(50, track_changes=True)).finish(LATER)
    correlator = pair_correlator(0, track_changes=True)
    checkpointer = disk.checkpointer(correlator)
    checkpointer.restore()
    written.clear()
    write(checkpointer)
    take(correlator, 1, GOES_ON, 7)
    write(checkpointer)
    checkpointer.finish(LATER)
    assert written == [0, 3, 0, 0]  # the backlog, its directive, and that the event was taken
    again = pair_correlator(0)
    disk.checkpointer(again).restore()
    assert again.snapshots() == correlator.snapshots()


def test_restored_rows_are_newer_than_their_files_if_these_could_not_be_removed(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash between the first checkpoint and the removal of the files."""
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)
    monkeypatch.setattr(SavedFolder, "remove", lambda *_: None)
    checkpointer = disk.checkpointer(pair_correlator(0, track_changes=True))
    checkpointer.restore()
    write(checkpointer)
    with disk.store() as store:
        saved = store.last_saved_ns()
    for id_ in (1, 2):
        file = disk.settings.log_dir / FOLDER / f"{id_}.json"
        assert saved[id_] > file.stat().st_mtime_ns


def test_backlogs_restored_from_files_are_written(disk: Disk, written: list[int]) -> None:
    disk.checkpointer(pair_correlator(3, track_changes=True)).finish(LATER)
    checkpoint_path(disk.settings).unlink()
    checkpointer = disk.checkpointer(pair_correlator(0, track_changes=True))
    checkpointer.restore()
    written.clear()
    write(checkpointer)
    assert written == [8]  # the backlogs, and their two directives
    assert disk.rows() == {1: 3, 2: 3}
    assert disk.saved_files == []


def test_a_restoration_tells_of_its_progress(disk: Disk) -> None:
    """A worker that is silent for too long would be killed, and begin anew."""
    disk.checkpointer(pair_correlator(50, track_changes=True)).finish(LATER)
    taken = 0

    def counted(items: Iterable[T], /) -> Iterator[T]:
        nonlocal taken
        for item in items:
            taken += 1
            yield item

    correlator = pair_correlator(0)
    disk.checkpointer(correlator).restore(counted)
    assert len(correlator) == 100
    assert taken == 200  # each backlog when it is read, and when it is restored


# A file that is lost while in use.


def test_all_open_backlogs_are_written_again_after_the_file_was_lost(
    disk: Disk, logged: list[dict[str, Any]]
) -> None:
    correlator = pair_correlator(3, track_changes=True)
    checkpointer = disk.checkpointer(correlator)
    write(checkpointer)
    for action in (GOES_ON, GOES_ON, ENDS):
        take(correlator, 2, action, 0)
    checkpoint_path(disk.settings).unlink()
    write(checkpointer)  # notices it, and makes it good
    assert disk.rows() == {1: 3, 2: 2}
    assert checkpointer.stats.trouble == ""
    lost, again = [record["message"] for record in logged]
    assert lost.endswith("checkpoint.sqlite was removed while it was in use")
    assert again == "crash checkpoints are written again"
    restored = pair_correlator(0)
    disk.checkpointer(restored, first_start=False).restore()
    assert restored.snapshots() == correlator.snapshots()


def test_rows_of_closed_backlogs_in_a_file_that_came_back_are_deleted(disk: Disk) -> None:
    path = checkpoint_path(disk.settings)
    correlator = pair_correlator(3, track_changes=True)
    checkpointer = disk.checkpointer(correlator)
    write(checkpointer)
    with disk.store() as store:
        store.save([BacklogRow(9, "of another worker", 0, b"{}")], [], 1)
    checkpointer.finish(LATER)  # closes it
    backup = path.read_bytes()
    for action in (GOES_ON, GOES_ON, ENDS):
        take(correlator, 2, action, 0)
    write(checkpointer)
    path.unlink()
    path.write_bytes(backup)
    write(checkpointer)
    assert disk.rows() == {1: 3, 2: 2, 9: 1}


def test_trouble_is_noted_while_it_lasts_and_changes_do_not_pile_up(
    disk: Disk, logged: list[dict[str, Any]]
) -> None:
    folder = checkpoint_path(disk.settings).parent
    correlator = pair_correlator(1, track_changes=True)
    checkpointer = disk.checkpointer(correlator)
    write(checkpointer)
    shutil.rmtree(folder)
    folder.touch()
    for number in range(1, 4):
        take(correlator, 1, OPENS, number)
        write(checkpointer)
        assert checkpointer.stats.trouble == f"{folder}: File exists"
    assert list(correlator.take_changed()) == []
    assert len(logged) == 2  # that it was lost, and why there is no new one
    folder.unlink()
    write(checkpointer)
    assert checkpointer.stats.trouble == ""
    assert disk.rows() == {1: 4, 2: 1}


def test_rows_to_delete_do_not_pile_up_while_the_disk_is_full(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shards.checkpoint.checkpointer._MAX_UNSAVED_CLOSED", 5)
    correlator = pair_correlator(1, track_changes=True)
    checkpointer = disk.checkpointer(correlator)
    write(checkpointer)
    with no_file_longer_than(0):
        for number in range(1, 30):
            for action in (OPENS, GOES_ON, GOES_ON, ENDS):
                take(correlator, 1, action, number)
            write(checkpointer)
            assert len(checkpointer._unsaved) <= 5 + 2
    write(checkpointer)
    assert disk.rows() == {1: 1, 2: 1}


@pytest.mark.parametrize("interval", [30, 0], ids=["full disk", "no interval"])
def test_large_backlogs_are_whole_where_all_rows_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: int
) -> None:
    """Also the blocks of their sets that were in the file before."""
    for module in ("backlog_rows", "recovery"):
        monkeypatch.setattr(f"shards.checkpoint.{module}.BLOCK_ITEMS", 1)
    disk = Disk(tmp_path, checkpoint_interval=interval)
    correlator = pair_correlator(2, track_changes=True)
    take(correlator, 1, GOES_ON, 0)
    disk.checkpointer(correlator).finish(LATER)
    continued = pair_correlator(0, track_changes=True)
    checkpointer = disk.checkpointer(continued)
    checkpointer.restore()
    take(continued, 2, GOES_ON, 0)
    if interval:
        with no_file_longer_than(0):
            write(checkpointer)
            write(checkpointer)
        write(checkpointer)
    else:
        checkpointer.finish(time.monotonic())
    restored = pair_correlator(0)
    disk.checkpointer(restored).restore()
    assert restored.snapshots() == continued.snapshots()
    assert len(restored) == 4


def test_the_last_checkpoint_makes_a_lost_file_good_too(disk: Disk) -> None:
    checkpointer = disk.checkpointer(pair_correlator(3, track_changes=True))
    write(checkpointer)
    shutil.rmtree(checkpoint_path(disk.settings).parent)
    checkpointer.finish(LATER)
    assert disk.rows() == {1: 3, 2: 3}
    assert disk.saved_files == FILES


# A stop without time.


def test_without_time_the_saved_files_are_left_out_and_the_checkpoint_has_all(
    disk: Disk, logged: list[dict[str, Any]]
) -> None:
    correlator = pair_correlator(3, track_changes=True)
    disk.checkpointer(correlator).finish(time.monotonic())
    assert disk.saved_files == []
    assert list((disk.settings.log_dir / FOLDER).glob("*.tmp")) == []
    with disk.store() as store:
        assert store.handed_over_directives() == frozenset()
    [record] = logged
    assert record == {
        "level": "WARNING",
        "message": "no time was left to save all backlogs: the others are in the checkpoint",
        "directives": 2,
        "backlogs": 6,
    }
    restored = pair_correlator(0)
    disk.checkpointer(restored).restore()
    assert restored.snapshots() == correlator.snapshots()


def test_the_directives_with_few_backlogs_are_saved_first(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[int] = []

    def write(_: SavedFolder, saved: Mapping[int, object], __: float) -> WrittenFiles:
        order.extend(saved)
        return WrittenFiles(list(saved))

    monkeypatch.setattr(SavedFolder, "write", write)
    correlator = pair_correlator(3, track_changes=True)
    take(correlator, 1, OPENS, 3)
    disk.checkpointer(correlator).finish(LATER)
    assert order == [2, 1]
