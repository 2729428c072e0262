"""What is read at the start about the run before: rows, lines, and how long nothing is known."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loguru import logger

from shards.alarm_files import ALARMS, AlarmFiles
from shards.checkpoint.database_file import CheckpointError, prepare_database
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import BacklogRow
from shards.settings.settings import Settings
from shards.supervisor import former_run, written_lines
from shards.supervisor.former_run import FormerRun, read_former_run, superseded_rows

SECOND = 10**9


class World:
    """A log folder with a checkpoint and the alarm files."""

    def __init__(self, folder: Path, checkpoint: str = "checkpoint.sqlite") -> None:
        self.folder = folder
        self.files = AlarmFiles(folder)
        self.checkpoint = folder / "backlogs" / checkpoint
        prepare_database(self.checkpoint)

    def write(self, *lines: bytes) -> bytes:
        """Write lines to both files; returns their ends after that."""
        block = b"".join(line + b"\n" for line in lines)
        self.files.add(block, block)
        self.files.flush()
        return msgspec.msgpack.encode(self.files.ends())

    def save(self, *rows: ShardRow | BacklogRow, age: float = 0.0) -> None:
        with closing(CheckpointStore(self.checkpoint)) as store:
            store.save(rows, [], time.time_ns() - int(age * SECOND))

    def rows(self) -> list[ShardRow]:
        with closing(CheckpointStore(self.checkpoint)) as store:
            return store.load_shards()

    def read(self) -> FormerRun:
        return read_former_run(Settings(log_dir=self.folder), self.files)

    def known(self, *lines: bytes) -> list[bytes]:
        """Those of the lines that are not written again."""
        written = self.read().written
        return [line for line in lines if not written.new_alarm_events(line + b"\n")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.files.close()


@pytest.fixture
def warnings() -> Iterator[list[Any]]:
    records: list[Any] = []
    handler = logger.add(lambda message: records.append(message.record), level="WARNING")
    yield records
    logger.remove(handler)


def row(worker: int, files: bytes = b"", run: str = "run", **fields: Any) -> ShardRow:
    return ShardRow(worker, run, 5, b"", **({"workers": 2} | fields), files=files)


def test_the_lines_since_the_oldest_checkpoint_are_known(world: World, warnings: list[Any]) -> None:
    first = world.write(b"before")
    second = world.write(b"a")
    world.write(b"b")
    for positions in permutations((first, second)):
        world.save(*(row(n, files) for n, files in enumerate(positions)))
        assert world.known(b"before", b"a", b"b", b"c") == [b"a", b"b"]
        assert msgspec.msgpack.encode(world.read().written.positions) == first
    assert warnings == []


def test_at_a_first_start_there_is_nothing(world: World) -> None:
    assert world.read().written.positions is None
    assert world.read().died_after is None


@pytest.mark.parametrize(
    "rows",
    [[], [row(0), row(1, b"garbage")], [row(1)], [row(2, workers=3)]],
    ids=["none", "garbage", "one is missing", "of another layout"],
)
def test_without_positions_the_ends_of_the_files_are_read(
    rows: list[ShardRow], world: World, monkeypatch: pytest.MonkeyPatch, warnings: list[Any]
) -> None:
    """After an upgrade the backlogs may be a checkpoint old."""
    monkeypatch.setattr(former_run, "_UNKNOWN_BYTES", 10)
    world.save(BacklogRow(1, "a", 0, b"a"), *rows)
    world.write(b"long before", b"cut", b"1", b"2", b"3")
    assert world.known(b"long before", b"cut", b"1", b"2", b"3") == [b"1", b"2", b"3"]
    assert warnings == []


def test_lines_that_are_gone_are_logged_once_for_each_file(
    world: World, warnings: list[Any]
) -> None:
    world.save(row(0, world.write(b"before")), row(1, world.write(b"a")))
    (world.folder / ALARMS).rename(world.folder / f"{ALARMS}.1.gz")
    world.files.reopen_if_renamed()
    world.read()
    [record] = warnings
    assert record["extra"]["file"].endswith(ALARMS)
    assert "compressed" in record["extra"]["why"]


def test_after_an_orderly_stop_they_are_not_missed(world: World, warnings: list[Any]) -> None:
    files = world.write(b"before")
    world.save(row(0, files, ended=True), row(1, files, ended=True))
    (world.folder / ALARMS).rename(world.folder / f"{ALARMS}.1.gz")
    world.files.reopen_if_renamed()
    assert world.read().died_after is None
    assert warnings == []


def test_of_too_many_lines_the_last_ones_are_known(
    world: World, warnings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_lines, "MAX_LINES", 60)
    lines = [b"%d" % number for number in range(100)]
    world.save(row(0, world.write()), row(1, world.write()))
    world.write(*lines)
    assert world.known(*lines) == lines[40:]
    [record] = warnings
    assert record["extra"]["why"] == "there are too many, more than 60"
    world.save(row(0, ended=True), row(1, ended=True))
    assert world.known(*lines) == lines[40:]
    assert len(warnings) == 1, "after an orderly end nothing comes again"


def test_a_death_leaves_the_time_since_the_oldest_of_the_last_checkpoints(world: World) -> None:
    world.save(row(2, run="one before", workers=3), age=99.0)
    world.save(row(0), age=7.0)
    world.save(row(1), age=3.0)
    assert 6.9 < world.read().seconds_unreported() < 8.0
    world.save(row(0, ended=True), age=0.0)
    assert 2.9 < world.read().seconds_unreported() < 4.0
    world.save(row(1, ended=True), age=0.0)
    assert world.read().seconds_unreported() == 0.0


def test_what_a_stream_gives_again_is_not_unreported(world: World) -> None:
    world.save(row(0, stream="s"), row(1, stream="s"), age=7.0)
    assert world.read().seconds_unreported() == 0.0


def test_a_clock_set_back_gives_no_negative_time(world: World) -> None:
    world.save(row(0), row(1), age=-1000.0)
    assert world.read().seconds_unreported() == 0.0


def test_superseded_rows_are_deleted(world: World) -> None:
    world.save(*(row(n, workers=3) for n in range(3)), age=9.0)
    world.save(row(0), age=5.0)
    world.read()
    assert len(world.rows()) == 4, "the rows of the present layout are not complete"
    world.save(row(1), age=4.0)
    world.read()
    assert [(found.layout, found.worker) for found in world.rows()] == [((2, 1), 0), ((2, 1), 1)]
    world.save(*(row(n, workers=3) for n in range(3)))
    world.read()
    assert [found.layout for found in world.rows()] == [(3, 1)] * 3, "that of the last run"


def test_rows_of_another_number_of_services_stay_for_services_that_begin_with_them(
    world: World,
) -> None:
    world.save(*(row(n, nodes=3) for n in range(2)), age=9.0)
    world.save(*(row(n) for n in range(2)), age=5.0)
    world.save(row(0, workers=1), age=1.0)
    world.read()
    found = [(saved.layout, saved.worker) for saved in world.rows()]
    assert found == [((2, 3), 0), ((2, 3), 1), ((1, 1), 0)]


def test_lines_since_the_checkpoint_of_another_service_are_known_too(world: World) -> None:
    """Its directives may go on here, and it wrote into the same files."""
    other = World(world.folder, "checkpoint.1.sqlite")
    before = world.write(b"before")
    other.save(*(row(n, before, nodes=2) for n in range(2)), age=9.0)
    world.write(b"a")
    positions = world.write(b"b")
    assert world.known(b"before", b"a", b"b") == [b"a", b"b"], "it is all that there is"
    world.save(*(row(n, positions, nodes=3) for n in range(2)), age=7.0)
    world.write(b"c")
    assert world.known(b"before", b"a", b"c") == [b"c"], "services of another number are gone"
    world.save(row(0, positions, nodes=3), age=10.0)
    assert world.known(b"before", b"a", b"c") == [b"a", b"c"], "a directive may have been there"
    other.files.close()


def test_positions_of_one_stream_decide_what_is_superseded() -> None:
    def shard(worker: int, position: int, at: int, stream: str = "s", workers: int = 1) -> ShardRow:
        return ShardRow(worker, "r", position, b"", workers, stream=stream, at=at)

    present = [shard(0, 50, 9, workers=2), shard(1, 30, 9, workers=2)]
    old, ahead = shard(0, 30, 1), shard(0, 31, 1)
    assert superseded_rows([*present, old]) == [old]
    assert ahead not in superseded_rows([*present, ahead]), "its directives are further"
    same = [shard(0, 50, 9), shard(0, 50, 9, workers=2), shard(1, 50, 9, workers=2)]
    assert superseded_rows(same) == []
    assert superseded_rows([present[0], old]) == []
    other = shard(0, 999, 8, stream="other"), shard(0, 0, 9, stream="other")
    assert superseded_rows([*present, other[0]]) == [other[0]]
    assert superseded_rows([*present, other[1]]) == []
    mixed = [present[0], shard(1, 30, 9, stream="", workers=2)]
    assert superseded_rows([*mixed, old]) == []


def test_superseded_rows_that_cannot_be_deleted_do_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch, warnings: list[Any]
) -> None:
    def fail(*_: object) -> None:
        raise CheckpointError("disk full")

    world.save(*(row(n, world.write(b"long before"), workers=3) for n in range(3)), age=9.0)
    files = world.write(b"before")
    world.save(*(row(n, files) for n in range(2)))
    world.write(b"a")
    monkeypatch.setattr(CheckpointStore, "delete_shards", fail)
    assert world.known(b"before", b"a") == [b"a"]
    assert len(world.rows()) == 5
    assert warnings == []


def test_hostile_rows_stop_nothing(world: World) -> None:
    world.save(row(0, b"\xff", workers=1 << 62), row(-1, b"", nodes=0, workers=0), age=1.0)
    world.write(b"a")
    assert world.known(b"a") == [b"a"]


def test_an_unreadable_checkpoint_is_logged(world: World, warnings: list[Any]) -> None:
    os.truncate(world.checkpoint, 0)
    world.checkpoint.write_bytes(b"garbage" * 10_000)
    assert world.known(b"a") == []
    assert "the crash checkpoint cannot be read" in warnings[0]["message"]
