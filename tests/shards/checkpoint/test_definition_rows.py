"""Definitions in the checkpoint: restored backlogs go on under those that opened them."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.correlation.correlator import Correlator
from engine.correlation.directive_set import DirectiveSet
from engine.correlation.outputs import Outputs
from engine.directives.directive import Directive
from engine.options import Options
from shards.checkpoint import cut as cut_module
from shards.checkpoint.checkpointer import Checkpointer
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.restore import saved_generation
from shards.checkpoint.stats import ShardProgress
from shards.checkpoint.store import CheckpointStore
from shards.settings.settings import Settings
from tests.support.directives import ASSETS, directive, event, rule

NOW = 1000
OPTIONS = Options(track_changes=True)
OLD = directive(rule(1), rule(2, from_=":1"))
NEW = replace(OLD, name="renamed", rules=(rule(1), replace(rule(2, from_=":1"), plugin_id=9)))
OTHER = replace(OLD, id=8)


class Worker:
    """A life of a worker with some directives."""

    def __init__(
        self, folder: Path, *directives: Directive, run: str = "run", generation: int = 0
    ) -> None:
        self.path = checkpoint_path(Settings(log_dir=folder))
        prepare_database(self.path)
        self.correlator = Correlator(directives, ASSETS, OPTIONS)
        self.progress = ShardProgress(0, run, generation=generation)
        self.checkpointer = Checkpointer(
            self.correlator,
            {one.id: one for one in directives},
            self.progress,
            Settings(log_dir=folder),
            OPTIONS,
            first_start=True,
        )
        self.checkpointer.restore()

    def process(self, stage: int, id_: str, source: int, **more: Any) -> dict[str, int]:
        made = event(stage, id_, src_ip=f"10.0.0.{source}")
        return self.correlator.process_event(replace(made, **more), NOW).counts

    def reload(self, *directives: Directive, generation: int = 2) -> None:
        new = DirectiveSet(directives, ASSETS)
        self.correlator.reload(new, NOW, Outputs(), lookups=False)
        self.checkpointer.reload(new.directives.keys())
        self.progress.generation = generation

    def write(self) -> None:
        asyncio.run(self.checkpointer.write_checkpoint())

    @property
    def definitions(self) -> list[Directive | None]:
        """The former definition of each open backlog, None under the present one."""
        return [state.definition for state in self.correlator.snapshots()]

    def saved(self, table: str = "definition") -> list[int]:
        """The directives of the rows of a table."""
        with closing(sqlite3.connect(self.path)) as connection:
            return [id_ for (id_,) in connection.execute(f"SELECT directive FROM {table}")]


def with_backlogs(folder: Path, *directives: Directive) -> Worker:
    """A worker whose checkpoint has a backlog of each directive."""
    worker = Worker(folder, *directives)
    worker.process(1, "a", 1)
    worker.write()
    return worker


def test_a_definition_is_there_as_long_as_its_directive_has_rows(tmp_path: Path) -> None:
    worker = with_backlogs(tmp_path, OLD, OTHER)
    assert worker.saved() == [7, 8]
    worker.process(1, "b", 2)
    worker.reload(OTHER)
    worker.write()
    assert worker.saved() == worker.saved("backlog")[:1] == [8]
    worker.process(2, "c", 1)
    worker.process(2, "d", 2)
    worker.write()
    assert worker.saved() == worker.saved("backlog") == []
    worker.process(1, "e", 3)
    worker.write()
    assert worker.saved() == [8]


def test_after_a_restart_with_another_definition_backlogs_go_on_under_theirs(
    tmp_path: Path,
) -> None:
    with_backlogs(tmp_path, OLD)
    for _ in range(2):  # before and after their rows are written with it
        worker = Worker(tmp_path, NEW)
        assert worker.definitions == [OLD]
        worker.write()
        worker.write()
    worker.process(1, "b", 2)
    worker.write()
    last = Worker(tmp_path, NEW)
    assert last.definitions == [OLD, None]
    assert last.process(2, "c", 1) == {"taken": 1, "finished": 1}
    assert last.process(2, "d", 2, plugin_id=9) == {"taken": 1, "finished": 1}


def test_after_a_restart_with_the_former_definition_all_are_under_theirs(tmp_path: Path) -> None:
    with_backlogs(tmp_path, OLD)
    changed = Worker(tmp_path, NEW)
    changed.process(1, "b", 2)
    changed.write()
    assert Worker(tmp_path, OLD).definitions == [None, NEW]


def test_a_reload_is_in_the_next_checkpoint(tmp_path: Path) -> None:
    worker = with_backlogs(tmp_path, OLD, OTHER)
    worker.reload(NEW, OTHER)
    worker.process(1, "b", 2)
    worker.write()
    again = Worker(tmp_path, NEW, OTHER, generation=2)
    assert again.definitions == [OLD, None, None, None]
    assert saved_generation(CheckpointStore(worker.path), 0, "run") == 2
    assert worker.checkpointer.stats.generation == 2
    assert (again.progress.generation, again.checkpointer.stats.generation) == (2, 2)


def test_a_death_before_the_next_checkpoint_undoes_a_reload(tmp_path: Path) -> None:
    worker = with_backlogs(tmp_path, OLD)
    worker.reload(NEW)
    worker.process(1, "b", 2)
    assert saved_generation(CheckpointStore(worker.path), 0, "run") == 0
    assert Worker(tmp_path, OLD).definitions == [None]


def test_a_reload_while_a_checkpoint_is_encoded_is_in_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut_module, "_SLICE_SECONDS", -1.0)  # a turn of the loop for each row

    async def story(worker: Worker) -> None:
        writing = asyncio.create_task(worker.checkpointer.write_checkpoint())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not writing.done()
        worker.reload(NEW)
        await writing

    worker = Worker(tmp_path, OLD, OTHER)
    for number in range(10):
        worker.process(1, f"a{number}", number)
    asyncio.run(story(worker))
    assert worker.saved() == [7, 8]
    assert Worker(tmp_path, OLD, OTHER).definitions == [None] * 20
    assert saved_generation(CheckpointStore(worker.path), 0, "run") == 0
    worker.write()
    assert Worker(tmp_path, NEW, OTHER).definitions == [OLD] * 10
    assert worker.saved() == [7]


def test_directives_that_are_gone_at_a_restart_keep_what_they_have(tmp_path: Path) -> None:
    with_backlogs(tmp_path, OLD, OTHER)
    without = Worker(tmp_path, OTHER)
    without.process(1, "b", 2)
    without.write()
    assert without.saved() == [7, 8]
    assert Worker(tmp_path, NEW, OTHER).definitions == [OLD, None, None]


def test_rows_of_an_earlier_run_go_when_a_reload_brings_their_directive(
    tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    first = with_backlogs(tmp_path, OLD, OTHER)
    first.process(1, "b", 2)
    first.write()
    worker = Worker(tmp_path, OTHER)
    worker.write()
    assert worker.saved("backlog") == [7, 7, 8, 8]
    worker.reload(NEW, OTHER)
    logged.clear()
    worker.write()
    worker.write()
    assert worker.saved() == [8]
    [line] = logged
    assert (line["message"], line["directive"]) == ("a saved backlog is dropped", 7)
    assert line["more_like_it"] == 1
    worker.process(1, "c", 2)
    worker.write()
    assert Worker(tmp_path, NEW, OTHER).definitions == [None] * 4


@pytest.mark.parametrize("lost", [False, True])
def test_rows_of_directives_that_a_reload_removes_are_deleted(tmp_path: Path, lost: bool) -> None:
    """Also if it is written whole, since the changes were too many to keep."""
    worker = with_backlogs(tmp_path, OLD, OTHER)
    worker.reload(OTHER)
    worker.checkpointer._is_whole_due = lost
    worker.write()
    assert worker.saved() == worker.saved("backlog") == [8]


def test_after_the_file_was_lost_all_definitions_are_written(tmp_path: Path) -> None:
    worker = with_backlogs(tmp_path, OLD, OTHER)
    worker.reload(NEW, OTHER)
    worker.process(1, "b", 2)
    worker.write()
    worker.path.unlink()
    worker.write()
    assert worker.saved() == [7, 8]
    assert Worker(tmp_path, NEW, OTHER).definitions == [OLD, None, None, None]


def test_a_definition_that_cannot_be_read_is_logged(
    tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    worker = with_backlogs(tmp_path, OLD, OTHER)
    execute(worker, "UPDATE definition SET content = x'00' WHERE directive = 7")
    assert Worker(tmp_path, replace(NEW, name=OLD.name), OTHER).definitions == [None, None]
    [line] = [line for line in logged if line["level"] == "ERROR"]
    assert line["message"] == "a directive in the crash checkpoint cannot be read"
    assert line["directive"] == 7


def test_the_generation_of_another_run_or_worker_is_not_known(tmp_path: Path) -> None:
    worker = with_backlogs(tmp_path, OLD)
    store = CheckpointStore(worker.path)
    assert saved_generation(store, 0, "run") == 0
    assert saved_generation(store, 1, "run") is None
    assert saved_generation(store, 0, "another run") is None
    execute(worker, "UPDATE shard SET counts = x'00'")
    assert saved_generation(store, 0, "run") is None


def execute(worker: Worker, statement: str) -> None:
    with closing(sqlite3.connect(worker.path)) as connection:
        connection.execute(statement)
        connection.commit()
