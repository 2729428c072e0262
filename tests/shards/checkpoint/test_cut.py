"""A checkpoint is one cut: lines first, then backlogs, position and counts in one transaction."""

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.correlation.correlator import Correlator
from engine.options import Options
from shards.checkpoint import cut as cut_module
from shards.checkpoint.checkpointer import Checkpointer
from shards.checkpoint.cut import SyncLines, nothing_to_sync
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.stats import ShardProgress
from shards.checkpoint.store import CheckpointStore
from shards.ipc.messages import Synced
from shards.ledger import Ledger, LookupCounts, decode_ledger
from shards.settings.settings import Settings
from tests.support.cluster import ENDS, GOES_ON, OPENS
from tests.support.disk import no_file_longer_than
from tests.support.pair_backlogs import PAIR_DIRECTIVES, pair_correlator, take

RUN = "this run"


class Worker:
    """A life of a worker, in a run of the service."""

    def __init__(
        self,
        folder: Path,
        backlogs: int = 0,
        *,
        run: str = RUN,
        number: int = 0,
        sync_lines: SyncLines = nothing_to_sync,
    ) -> None:
        self.progress = ShardProgress(number, run)
        self.correlator: Correlator = pair_correlator(backlogs, track_changes=True)
        settings = Settings(log_dir=folder)
        prepare_database(checkpoint_path(settings))
        self.checkpointer = Checkpointer(
            self.correlator,
            PAIR_DIRECTIVES,
            self.progress,
            settings,
            Options(),
            first_start=False,
            sync_lines=sync_lines,
        )

    def did(self, position: int, **backlogs: int) -> None:
        """Set its position and counts."""
        self.progress.position = position
        self.progress.ledger.deliveries.consumed = position
        self.progress.ledger.backlogs.update(backlogs)

    def write(self) -> None:
        asyncio.run(self.checkpointer.write_checkpoint())


def saved(folder: Path, number: int = 0, run: str = RUN) -> tuple[int, Ledger] | None:
    """Position and counts in the checkpoint."""
    with closing(CheckpointStore(checkpoint_path(Settings(log_dir=folder)))) as store:
        row = store.load_shard(number, run)
    return None if row is None else (row.position, decode_ledger(row.counts))


def backlog_rows(folder: Path) -> int:
    with closing(CheckpointStore(checkpoint_path(Settings(log_dir=folder)))) as store:
        return len(list(store.load()))


def test_nothing_is_committed_before_the_lines_are_synced(tmp_path: Path) -> None:
    async def story() -> None:
        synced: asyncio.Future[Synced] = asyncio.get_running_loop().create_future()
        asked: list[int] = []

        def sync_lines() -> asyncio.Future[Synced]:
            asked.append(worker.progress.position)
            return synced

        worker = Worker(tmp_path, 2, sync_lines=sync_lines)
        worker.did(5)
        writing = asyncio.create_task(worker.checkpointer.write_checkpoint())
        for _ in range(50):
            await asyncio.sleep(0)
        worker.did(6)
        take(worker.correlator, 1, ENDS, 0)
        assert (asked, writing.done()) == ([5], False)
        assert (saved(tmp_path), backlog_rows(tmp_path)) == (None, 0)
        assert worker.checkpointer.stats.position == 0
        synced.set_result(Synced(8, b"files"))
        await writing
        position, ledger = saved(tmp_path) or (0, Ledger())
        assert (position, ledger.deliveries.consumed) == (5, 5)
        assert backlog_rows(tmp_path) == 4  # that of the moment, and of no later one
        stats = worker.checkpointer.stats
        assert (stats.position, stats.synced) == (5, 8)

    asyncio.run(story())


def test_what_changes_while_a_cut_is_encoded_is_in_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut_module, "_SLICE_SECONDS", -1.0)  # a turn of the loop for each row

    async def story() -> None:
        worker = Worker(tmp_path, 20)
        worker.did(40)
        expected = worker.correlator.snapshots()
        writing = asyncio.create_task(worker.checkpointer.write_checkpoint())
        for number in range(20):
            await asyncio.sleep(0)
            take(worker.correlator, 1, GOES_ON, number)
            take(worker.correlator, 2, ENDS, number)
            take(worker.correlator, 2, OPENS, 20 + number)
            worker.did(worker.progress.position + 3)
        await writing
        restored = Worker(tmp_path)
        restored.checkpointer.restore()
        assert restored.correlator.snapshots() == expected
        assert restored.progress.position == 40
        await worker.checkpointer.write_checkpoint()
        restored = Worker(tmp_path)
        restored.checkpointer.restore()
        assert restored.correlator.snapshots() == worker.correlator.snapshots()
        assert restored.progress.position == 100

    asyncio.run(story())


def test_position_counts_and_backlogs_are_written_by_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, all of them are those of the checkpoint before."""
    worker = Worker(tmp_path, 1)
    worker.did(2)
    worker.write()
    execute = cut_module.Cut.encode
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    async def without_an_end(cut: cut_module.Cut) -> Any:
        rows = await execute(cut)

        def failing() -> Iterable[Any]:
            yield from rows
            raise full

        return failing()

    monkeypatch.setattr(cut_module.Cut, "encode", without_an_end)
    take(worker.correlator, 1, OPENS, 7)
    worker.did(3)
    worker.write()
    assert "disk is full" in worker.checkpointer.stats.trouble
    assert (saved(tmp_path) or (0,))[0] == 2
    assert backlog_rows(tmp_path) == 2


def test_a_failed_save_leaves_the_position_and_the_next_one_has_all(tmp_path: Path) -> None:
    worker = Worker(tmp_path, 1)
    worker.did(2)
    worker.write()
    take(worker.correlator, 1, OPENS, 7)
    worker.did(3)
    with no_file_longer_than(0):
        worker.write()
    assert worker.checkpointer.stats.position == 2
    assert (saved(tmp_path) or (0,))[0] == 2
    worker.write()
    assert worker.checkpointer.stats.position == 3
    assert ((saved(tmp_path) or (0,))[0], backlog_rows(tmp_path)) == (3, 3)


# The next life.


def test_the_next_life_goes_on_with_position_and_counts(tmp_path: Path) -> None:
    before = Worker(tmp_path, 3)
    before.did(9, opened=7, restored=2, finished=3, open=6)
    before.progress.ledger.deliveries.invalid["bad_json"] = 1
    before.progress.ledger.lookups["intel_a"] = LookupCounts(asked=4)
    before.write()
    before.did(12, opened=8, open=7)
    after = Worker(tmp_path)
    ledger = after.progress.ledger
    ledger.capped["src_ips"] = 0
    capped = ledger.capped
    after.checkpointer.restore()
    assert (after.progress.position, after.checkpointer.stats.position) == (9, 9)
    assert after.progress.ledger is ledger  # that of the shard
    assert ledger.capped is capped  # that of the correlator
    assert ledger.deliveries.consumed == 9
    assert ledger.deliveries.invalid == {"bad_json": 1}
    assert ledger.lookups == {}  # of a process
    backlogs = ledger.backlogs
    assert (backlogs["opened"], backlogs["restored"], backlogs["interrupted"]) == (7, 2, 0)
    ledger.deliveries.invalid["never seen"] += 1  # a Counter


def test_backlogs_that_cannot_be_restored_are_interrupted(tmp_path: Path) -> None:
    before = Worker(tmp_path, 3)
    before.did(9, opened=6, open=6)
    before.write()
    with closing(sqlite3.connect(checkpoint_path(Settings(log_dir=tmp_path)))) as connection:
        connection.execute("UPDATE backlog SET state = x'00' WHERE directive = 1")
        connection.commit()
    after = Worker(tmp_path)
    after.checkpointer.restore()
    assert after.progress.ledger.backlogs["interrupted"] == 3


@pytest.mark.parametrize(("run", "number"), [("an earlier run", 0), (RUN, 1)])
def test_the_progress_of_another_run_or_worker_is_ignored(
    tmp_path: Path, run: str, number: int
) -> None:
    before = Worker(tmp_path, 3, run=run, number=number)
    before.did(9, opened=6, open=6)
    before.write()
    after = Worker(tmp_path)
    after.checkpointer.restore()
    assert (after.progress.position, after.checkpointer.stats.position) == (0, 0)
    assert after.progress.ledger.backlogs["restored"] == 6
    assert after.progress.ledger.deliveries.consumed == 0


@pytest.mark.parametrize("counts", [b"", b"\xc1", b"\x91\x01"])
def test_damaged_counts_begin_at_zero_as_does_the_position(tmp_path: Path, counts: bytes) -> None:
    """A position without its counts would leave deliveries without an outcome."""
    before = Worker(tmp_path, 3)
    before.did(9, opened=6, open=6)
    before.write()
    with closing(sqlite3.connect(checkpoint_path(Settings(log_dir=tmp_path)))) as connection:
        connection.execute("UPDATE shard SET counts = ?", (counts,))
        connection.commit()
    after = Worker(tmp_path)
    after.checkpointer.restore()
    assert (after.progress.position, after.progress.ledger.backlogs["restored"]) == (0, 6)


def test_a_request_is_answered_at_once_and_not_at_the_interval(tmp_path: Path) -> None:
    async def story() -> None:
        worker = Worker(tmp_path, 1)
        worker.did(4)
        async with asyncio.timeout(4), worker.checkpointer.running():  # the interval is 5 s
            worker.checkpointer.request()
            while worker.checkpointer.stats.position < 4:
                await asyncio.sleep(0)

    asyncio.run(story())
