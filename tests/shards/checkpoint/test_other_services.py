"""Directives that another service of the node had, when it had another number of services."""

import asyncio
import math
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.correlation.cool_downs import CoolDown
from engine.correlation.correlator import Correlator
from engine.options import Options
from shards.checkpoint.checkpointer import Checkpointer
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.stats import ShardProgress
from shards.checkpoint.store import CheckpointStore
from shards.placement import shard_of_directive
from shards.positions import base_of
from shards.settings.settings import Settings
from tests.support.cluster import ENDS, GOES_ON
from tests.support.pair_backlogs import PAIR_DIRECTIVES, pair_correlator, take

SIZE = 3
PART = 2
"""The number of the service that has both directives if there are three; alone it is 0."""
assert {shard_of_directive(id_, SIZE, 1) for id_ in PAIR_DIRECTIVES} == {(PART, 0)}


class Node:
    """A node in one log folder, whose services come one after the other."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._settings: dict[str, Any] = {"log_dir": folder, "node": "n"} | settings
        self._runs = 0

    def settings(self, size: int, part: int) -> Settings:
        made = Settings(**self._settings, cluster_size=size, cluster_index=str(part))
        if not checkpoint_path(made).exists():
            prepare_database(checkpoint_path(made))
        return made

    def run(self, size: int, *, position: int = 0, stream: str = "") -> "Run":
        """The service that has the directives, among so many."""
        self._runs += 1
        settings = self.settings(size, PART if size == SIZE else 0)
        return Run(settings, str(self._runs), position, stream)


class Run:
    """A worker of a service, after its restore; `ahead` are positions of directives."""

    def __init__(self, settings: Settings, run: str, position: int, stream: str) -> None:
        self.correlator = pair_correlator(0, track_changes=True)
        self.progress = ShardProgress(run=run, nodes=settings.cluster_size)
        self._checkpointer = Checkpointer(
            self.correlator,
            PAIR_DIRECTIVES,
            self.progress,
            settings,
            Options(),
            first_start=True,
        )
        self._checkpointer.restore()
        self.ahead = self._checkpointer.ahead
        self.restored_at = self.progress.position, self.progress.stream
        self.progress.position = max(position, self.progress.position)
        self.progress.stream = stream or self.progress.stream

    @property
    def backlogs(self) -> list[tuple[int, str]]:
        return sorted(self.correlator.open_keys())

    def save(self) -> None:
        """Write a checkpoint, and die."""
        asyncio.run(self._checkpointer.write_checkpoint())

    def stop(self) -> None:
        self._checkpointer.finish(math.inf)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def open_backlogs(correlator: Correlator, directive: int, *numbers: int) -> None:
    opened = pair_correlator(0)
    for number in numbers:
        take(opened, directive, 1, number)
    assert correlator.restore(opened.snapshots()) == []


def test_backlogs_go_to_the_service_that_has_the_directive_now_and_back(node: Node) -> None:
    alone = node.run(1)
    open_backlogs(alone.correlator, 1, 0, 1)
    open_backlogs(alone.correlator, 2, 0)
    expected = alone.correlator.snapshots()
    alone.save()
    among_others = node.run(SIZE)
    assert among_others.correlator.snapshots() == expected
    assert among_others.progress.ledger.backlogs["restored"] == 3
    for action in (GOES_ON, GOES_ON, ENDS):
        take(among_others.correlator, 1, action, 0)
    take(among_others.correlator, 2, GOES_ON, 0)
    expected = among_others.correlator.snapshots()
    assert len(expected) == 2
    among_others.save()
    assert node.run(SIZE).correlator.snapshots() == expected, "its own checkpoint is newer"
    again = node.run(1)
    assert again.correlator.snapshots() == expected
    again.save()
    with closing(CheckpointStore(checkpoint_path(node.settings(1, 0)))) as store:
        assert sorted((row.directive, row.opened_by) for row in store.load()) == again.backlogs
    assert node.run(1).correlator.snapshots() == expected


def test_a_service_that_dies_before_its_first_checkpoint_takes_over_again(node: Node) -> None:
    alone = node.run(1)
    open_backlogs(alone.correlator, 1, 0)
    alone.save()
    for _ in range(2):
        assert len(node.run(SIZE).backlogs) == 1


def test_what_is_remembered_goes_along(node: Node) -> None:
    alone = node.run(1)
    alone.correlator.memory.taken.put(7, (2**40, 1))
    alone.correlator.memory.written.put("alarm", (2**40, 3))
    alone.correlator.memory.cool_downs.begin(CoolDown(5, 2, 2**40, 60))
    alone.save()
    for _ in range(2):  # from the checkpoint of the other service, then from its own
        run = node.run(SIZE)
        memory = run.correlator.memory
        assert list(memory.taken.stamps) == [7]
        assert list(memory.written.stamps) == ["alarm"]
        assert [one.key for one in memory.cool_downs.last_begun(9)] == [5]
        run.save()
        checkpoint_path(node.settings(1, 0)).unlink()


def test_without_reload_backlogs_nothing_is_taken_over(tmp_path: Path) -> None:
    node = Node(tmp_path, reload_backlogs=False)
    alone = node.run(1)
    open_backlogs(alone.correlator, 1, 0)
    alone.save()
    assert node.run(SIZE).backlogs == []


@pytest.mark.parametrize(("node", "other"), [("n", "n-other"), ("10.0.0.5", "10.0.0")])
def test_a_service_of_another_node_has_nothing_to_do_with_it(
    tmp_path: Path, node: str, other: str
) -> None:
    run = Node(tmp_path, node=other).run(1)
    open_backlogs(run.correlator, 1, 0)
    run.save()
    assert Node(tmp_path, node=node).run(SIZE).backlogs == []
    assert Node(tmp_path, node=other).run(SIZE).backlogs != []


@pytest.mark.parametrize("damage", [b"garbage" * 10_000, b""])
def test_an_unusable_checkpoint_of_another_service_is_said_and_left(
    node: Node, logged: list[dict[str, Any]], damage: bytes
) -> None:
    path = checkpoint_path(node.settings(1, 0))
    path.write_bytes(damage)
    own = node.run(SIZE)
    assert own.backlogs == []
    open_backlogs(own.correlator, 1, 0)
    own.save()
    assert len(node.run(SIZE).backlogs) == 1
    errors = [record["message"] for record in logged if record["level"] == "ERROR"]
    start = f"the crash checkpoint of another service cannot be read: {path}"
    assert [error.startswith(start) for error in errors] == [True] * len(errors)
    assert bool(errors) == bool(damage), "an empty file is one that has just been made"
    assert not path.with_name(f"{path.name}.bad").exists()


def rows(path: Path, *rows: ShardRow) -> None:
    """Save rows of shards, one after the other."""
    with closing(CheckpointStore(path)) as store:
        for at, row in enumerate(rows, 1):
            store.save([row], [], at)


def shard(worker: int, position: int, stream: str = "EV@1", **fields: Any) -> ShardRow:
    return ShardRow(worker, "run", position, b"", stream=stream, **fields)


def test_each_directive_goes_on_in_the_stream_where_the_service_that_had_it_was(
    tmp_path: Path,
) -> None:
    """With four workers the directives were in two of them."""
    node = Node(tmp_path, stream="EV")
    workers = [shard_of_directive(id_, 1, 4)[1] for id_ in PAIR_DIRECTIVES]
    assert len(set(workers)) == 2
    positions = [base_of(1) + 40, base_of(1) + 70]
    saved = [shard(w, at, workers=4) for w, at in zip(workers, positions, strict=True)]
    rows(checkpoint_path(node.settings(1, 0)), *saved)
    run = node.run(SIZE)
    assert run.restored_at == (positions[0], "EV@1")
    assert run.ahead == {2: positions[1]}


def test_lives_of_a_stream_are_those_that_this_service_counts(tmp_path: Path) -> None:
    node = Node(tmp_path, stream="EV")
    mine = checkpoint_path(node.settings(SIZE, PART))
    rows(mine, shard(0, base_of(3) + 5, nodes=SIZE))
    rows(checkpoint_path(node.settings(1, 0)), shard(0, base_of(1) + 40))
    assert node.run(SIZE).restored_at == (base_of(3) + 40, "EV@1")
    rows(checkpoint_path(node.settings(1, 0)), shard(0, base_of(1) + 4))
    assert node.run(SIZE).restored_at == (base_of(3) + 5, "EV@1")


@pytest.mark.parametrize("settings", [{"stream": "EV"}, {"spool": True}])
def test_a_position_in_another_stream_or_spool_says_nothing(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    node = Node(tmp_path, **settings)
    rows(checkpoint_path(node.settings(SIZE, PART)), shard(0, base_of(1) + 5, "spool", nodes=SIZE))
    rows(checkpoint_path(node.settings(1, 0)), shard(0, base_of(1) + 1), shard(0, 9, "spool"))
    assert node.run(SIZE).restored_at == (0, "")
