"""The memory of repeats in the checkpoint: it outlives workers and services, and has a bound."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.correlation.correlator import Correlator
from engine.correlation.memory import Memory
from engine.correlation.outputs import Outputs
from engine.directives.directive import Directive
from engine.directives.suppress import Suppress
from engine.options import Options
from shards.checkpoint import cool_down_table, tables
from shards.checkpoint.checkpointer import Checkpointer
from shards.checkpoint.cool_down_table import CoolDownRow
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.memory_rows import MemoryEncoder, restore_memory
from shards.checkpoint.paths import FOLDER, checkpoint_path
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.stats import ShardProgress
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import MemoryRow
from shards.placement import shard_of_directive
from shards.settings.settings import Settings
from tests.support.checkpoint_files import NOW, open_store
from tests.support.directives import ASSETS, directive, event, rule
from tests.support.generations import directive_set

WINDOW = 600
RULES = rule(1), rule(2, timeout=2**31)
OPTIONS = Options(track_changes=True, repeat_window=WINDOW)


class Worker:
    """A correlator of some directives of two stages, and its checkpoints."""

    def __init__(
        self,
        folder: Path,
        ids: Iterable[int] = (1,),
        *,
        first_start: bool = True,
        progress: ShardProgress | None = None,
        **more: Any,
    ) -> None:
        directives = {id_: directive(*RULES, id=id_, **more) for id_ in ids}
        settings = Settings(log_dir=folder)
        prepare_database(checkpoint_path(settings))
        self.correlator = Correlator(directives.values(), ASSETS, OPTIONS)
        self.checkpointer = Checkpointer(
            self.correlator,
            directives,
            progress or ShardProgress(),
            settings,
            OPTIONS,
            first_start=first_start,
        )
        self.checkpointer.restore()

    def save(self) -> None:
        asyncio.run(self.checkpointer.write_checkpoint())


def rows(folder: Path) -> list[tuple[str, bytes]]:
    with open_store(checkpoint_path(Settings(log_dir=folder))) as store:
        return store.load_memory()


def outcome(worker: Worker, stage: int, id_: str, now: int) -> dict[str, int]:
    """How the same event of a stage is consumed at `now`."""
    return dict(worker.correlator.process_event(event(stage, id_), now).counts)


def finish_an_alarm(worker: Worker, now: int) -> None:
    assert outcome(worker, 1, "opens", now) == {"opened": 1}
    assert outcome(worker, 2, "ends", now) == {"taken": 1, "finished": 1}


@pytest.mark.parametrize("first_start", [True, False])
def test_what_was_taken_before_a_death_is_a_repeat_after_it(
    tmp_path: Path, first_start: bool
) -> None:
    now = int(time.time())
    worker = Worker(tmp_path)
    finish_an_alarm(worker, now)
    worker.save()
    restarted = Worker(tmp_path, first_start=first_start)
    assert outcome(restarted, 1, "opens", now + 5) == {"repeated": 1}
    assert outcome(restarted, 2, "ends", now + 5) == {"repeated": 1}
    assert outcome(restarted, 1, "opens", now + WINDOW + 1) == {"opened": 1}


def test_an_orderly_stop_keeps_it_too(tmp_path: Path) -> None:
    now = int(time.time())
    worker = Worker(tmp_path)
    finish_an_alarm(worker, now)
    worker.checkpointer.finish(time.monotonic() + 10)
    assert outcome(Worker(tmp_path), 1, "opens", now) == {"repeated": 1}


def test_an_alarm_does_not_go_back_after_a_restart(tmp_path: Path) -> None:
    now = int(time.time()) - WINDOW
    worker = Worker(tmp_path)
    assert outcome(worker, 1, "opens", now) == {"opened": 1}
    assert outcome(worker, 2, "ends", now + 100) == {"taken": 1, "finished": 1}
    worker.save()
    restarted = Worker(tmp_path)
    again = restarted.correlator.process_event(event(1, "opens"), now + WINDOW + 1)
    assert again.counts == {"opened": 1, "outdated": 1}
    assert again.published == []


def save_as_peers_do(folder: Path, now: int) -> None:
    """A backlog opened by the event "opens", in a saved file that is newer than its row."""
    worker = Worker(folder)
    assert outcome(worker, 1, "opens", now) == {"opened": 1}
    worker.checkpointer.finish(time.monotonic() + 10)
    later = time.time() + 10
    os.utime(folder / FOLDER / "1.json", (later, later))


def reused(worker: Worker, now: int) -> dict[str, int]:
    """How another event with the id of the one in the file is consumed."""
    other = event(1, "opens", src_ip="192.0.2.9")
    return dict(worker.correlator.process_event(other, now).counts)


def test_with_a_memory_of_the_directive_identities_decide_what_repeats_a_saved_file(
    tmp_path: Path,
) -> None:
    now = int(time.time())
    save_as_peers_do(tmp_path, now)
    worker = Worker(tmp_path)
    assert len(worker.correlator) == 1
    assert len(worker.correlator.memory.saved_ids) == 0
    assert outcome(worker, 1, "opens", now + 1) == {"repeated": 1}
    assert reused(worker, now + 1) == {"opened": 1}


def test_without_one_the_ids_in_the_file_do(tmp_path: Path) -> None:
    now = int(time.time())
    save_as_peers_do(tmp_path, now)
    checkpoint_path(Settings(log_dir=tmp_path)).unlink()
    worker = Worker(tmp_path)
    assert len(worker.correlator) == 1
    assert outcome(worker, 1, "opens", now + 1) == {"repeated": 1}
    assert reused(worker, now + 1) == {"repeated": 1}
    assert reused(worker, now + WINDOW) == {"repeated": 1}
    assert reused(worker, now + WINDOW + 1) == {"opened": 1}


def test_the_memory_of_another_directive_does_not_count(tmp_path: Path) -> None:
    now = int(time.time())
    save_as_peers_do(tmp_path, now)
    checkpoint_path(Settings(log_dir=tmp_path)).unlink()
    other = Worker(tmp_path, (2,))
    assert outcome(other, 1, "something", now) == {"opened": 1}
    other.save()
    worker = Worker(tmp_path, (1, 2))
    assert len(worker.correlator) == 2
    assert reused(worker, now + 1) == {"repeated": 1, "opened": 1}


def test_directives_take_their_memory_to_another_worker(tmp_path: Path) -> None:
    now = int(time.time())
    by_worker = {shard_of_directive(id_, 1, 2)[1]: id_ for id_ in range(1, 9)}
    both = Worker(tmp_path, by_worker.values())
    assert outcome(both, 1, "opens", now) == {"opened": 2}
    both.save()
    for number, id_ in by_worker.items():
        worker = Worker(tmp_path, (id_,), progress=ShardProgress(number, workers=2))
        assert len(worker.correlator.memory.taken) == 1
        assert outcome(worker, 1, "opens", now) == {"repeated": 1}


def test_what_a_directive_has_taken_is_known_when_it_comes_back_after_a_death(
    tmp_path: Path,
) -> None:
    now, outputs = int(time.time()), Outputs()
    worker = cooling(tmp_path, (1, 2))
    assert outcome(worker, 1, "opens", now) == {"opened": 2}
    assert outcome(worker, 2, "ends", now) == {"taken": 2, "finished": 2}
    without, with_it = (directive_set(map(cooled, ids), ()) for ids in ((2,), (1, 2)))
    worker.correlator.reload(without, now, outputs, lookups=False)
    worker.save()
    for one in (worker, cooling(tmp_path, (2,), first_start=False)):
        one.correlator.reload(with_it, now, outputs, lookups=False)
        assert outcome(one, 1, "opens", now + 1) == {"repeated": 2}
        assert outcome(one, 1, "again", now + 1) == {"suppressed": 2}


def test_each_entry_is_written_once(tmp_path: Path) -> None:
    now = int(time.time())
    worker = Worker(tmp_path)
    finish_an_alarm(worker, now)
    for _ in range(3):
        worker.save()
    assert sorted(kind for kind, _ in rows(tmp_path)) == ["taken", "written"]
    outcome(worker, 1, "other", now)
    worker.save()
    assert len(rows(tmp_path)) == 3
    restarted = Worker(tmp_path)
    restarted.save()
    assert len(rows(tmp_path)) == 3


def test_a_memory_that_was_lost_is_written_anew(tmp_path: Path) -> None:
    now = int(time.time())
    worker = Worker(tmp_path)
    finish_an_alarm(worker, now)
    path = checkpoint_path(Settings(log_dir=tmp_path))
    for file in path.parent.iterdir():
        file.unlink()
    worker.save()  # finds that the file is gone, and writes all into a new one
    assert outcome(Worker(tmp_path), 1, "opens", now) == {"repeated": 1}


def test_a_large_memory_is_written_in_rows_of_bounded_size(tmp_path: Path) -> None:
    now = int(time.time())
    worker = Worker(tmp_path)
    for number in range(5000):
        worker.correlator.memory.taken.put(number, (now, 1))
    worker.save()
    assert len(Worker(tmp_path).correlator.memory.taken) == 5000
    encoded = list(MemoryEncoder(worker.correlator.memory).encode(whole=True))
    assert [row.kind for row in encoded] == ["taken"] * 3
    assert all(len(row.entries) < 50_000 for row in encoded)


def test_an_entry_is_encoded_until_its_row_is_written() -> None:
    memory = Memory(WINDOW, Counter())
    encoder = MemoryEncoder(memory)

    def encoded() -> list[Any]:
        return [msgspec.msgpack.decode(row.entries) for row in encoder.encode(whole=False)]

    memory.taken.put(1, (1000, 7))
    assert encoded() == encoded() == [[[1, 1000, 7]]]
    memory.taken.put(2, (1000, 7))
    rows = encoder.encode(whole=False)
    memory.taken.put(3, (1001, 7))  # not in these rows, which are made lazily
    assert [msgspec.msgpack.decode(row.entries) for row in rows] == [[[1, 1000, 7], [2, 1000, 7]]]
    encoder.commit()
    assert encoded() == [[[3, 1001, 7]]]


def test_old_rows_are_deleted_and_the_table_has_a_bound(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_MEMORY_ROWS", 10)
    with closing(CheckpointStore(path, WINDOW)) as store:
        store.save([clock_of(0, 5000), MemoryRow("taken", 4999 - WINDOW, b"old")], [], NOW)
        assert store.load_memory() == []
        store.save([MemoryRow("taken", 5000, bytes([n])) for n in range(30)], [], NOW)
        assert store.load_memory() == [("taken", bytes([n])) for n in range(20, 30)]
        store.save([clock_of(0, 5001 + WINDOW)], [], NOW)
        assert store.load_memory() == []


def clock_of(worker: int, clock: int) -> ShardRow:
    return ShardRow(worker, "run", 1, b"", workers=2, clock=clock)


def test_rows_are_kept_until_the_last_shard_is_past_them(path: Path) -> None:
    """After a long downtime, a stream goes on where it was: the wall clock does not count."""
    cool_down = CoolDownRow(key=2**62, directive=1, until=7000, seconds=3600)
    with closing(CheckpointStore(path, WINDOW)) as store:
        taken = MemoryRow("taken", 5000, b"x")
        store.save([taken, cool_down, clock_of(0, 0), clock_of(1, 9000)], [], NOW)
        store.save([clock_of(0, 5600), clock_of(1, 9000)], [], NOW)
        assert (store.load_memory(), store.load_cool_downs([1].__contains__)) == (
            [("taken", b"x")],
            [cool_down],
        )
        store.save([clock_of(0, 5601)], [], NOW)
        assert (store.load_memory(), store.load_cool_downs([1].__contains__)) == ([], [cool_down])
        store.save([clock_of(0, 7000)], [], NOW)
        assert store.load_cool_downs([1].__contains__) == []


def test_the_table_of_cool_downs_has_a_bound_and_a_shard_reads_no_more_than_it_keeps(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Growth: rows of those that a shard has forgotten since there were too many."""
    monkeypatch.setattr(cool_down_table, "MAX_ROWS", 10)
    monkeypatch.setattr(cool_down_table, "MAX_COOL_DOWNS", 4)
    rows = [CoolDownRow(n, 1 + n % 2, until=9000 + n, seconds=3600) for n in range(30)]
    with closing(CheckpointStore(path, WINDOW)) as store:
        store.save([clock_of(0, 5000), *rows], [], NOW)
        assert [row.key for row in store.load_cool_downs([2, 3].__contains__)] == [29, 27, 25, 23]
        monkeypatch.setattr(cool_down_table, "MAX_COOL_DOWNS", 100)
        assert [row.key for row in store.load_cool_downs([1, 2].__contains__)] == [
            *range(29, 19, -1)
        ]


def test_a_cool_down_without_end_fits_into_the_checkpoint(tmp_path: Path) -> None:
    endless = Suppress(2**63 - 1, ("src_ip",))
    worker, now = Worker(tmp_path, suppress=endless), int(time.time())
    finish_an_alarm(worker, now)
    worker.save()
    restarted = Worker(tmp_path, suppress=endless)
    assert outcome(restarted, 1, "again", now + 2**40) == {"suppressed": 1}


SUPPRESS = Suppress(3600, ("src_ip",))


def cooled(id_: int) -> Directive:
    """A directive as those of `cooling`."""
    return directive(*RULES, id=id_, suppress=SUPPRESS)


def cooling(folder: Path, ids: Iterable[int] = (1,), *, first_start: bool = True) -> Worker:
    """A worker whose directives have a cool-down of an hour for each source."""
    return Worker(folder, ids, first_start=first_start, suppress=SUPPRESS)


def test_a_cool_down_outlives_a_death(tmp_path: Path) -> None:
    now = int(time.time())
    worker = cooling(tmp_path)
    finish_an_alarm(worker, now)
    assert outcome(worker, 1, "again", now + 10) == {"suppressed": 1}
    worker.save()
    worker.save()
    restarted = cooling(tmp_path)
    assert outcome(restarted, 1, "again", now + 3599) == {"suppressed": 1}
    assert outcome(restarted, 1, "again", now + 3600) == {"opened": 1}
    restarted.correlator.advance_time(now + 3600)
    assert len(restarted.correlator.memory.cool_downs) == 0


def test_a_cool_down_goes_where_its_directive_goes(tmp_path: Path) -> None:
    now = int(time.time())
    worker = cooling(tmp_path, (1, 2))
    assert outcome(worker, 1, "opens", now) == {"opened": 2}
    assert outcome(worker, 2, "ends", now) == {"taken": 2, "finished": 2}
    worker.save()
    other = cooling(tmp_path, (2, 3))
    assert outcome(other, 1, "again", now + 10) == {"suppressed": 1, "opened": 1}


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x91\x01", b"\x91\x93\xa1a\x01\x01"])
def test_damaged_rows_are_left_out_and_counted(
    tmp_path: Path, damaged: bytes, logged: list[Any]
) -> None:
    memory = Worker(tmp_path).correlator.memory
    restore_memory(
        memory, [("taken", damaged), ("taken", b"\x91\x93\x05\x01\x01")], {1}.__contains__
    )
    assert list(memory.taken.stamps) == [5]
    assert [line["rows"] for line in logged] == [1]
