"""Backlogs as rows of the checkpoint: changes are written, and nothing is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.alarm import Hit, LookupKind
from engine.correlation.correlator import Correlator
from engine.correlation.snapshot import BacklogSnapshot
from engine.options import Options
from shards.checkpoint.backlog_rows import BLOCK_ITEMS, BacklogEncoder, decode_backlog
from shards.checkpoint.cool_down_table import CoolDownRow
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import BacklogRow, BlockRow, Row
from tests.support.checkpoint_files import NOW, open_store
from tests.support.directives import ASSETS, directive, event, rule
from tests.support.events import backlog_key

KEY = backlog_key(7, event(1, "open", src_port=0))
TIME = 1000
MANY = 5 * BLOCK_ITEMS + 7


def correlator(**more: bool) -> Correlator:
    """One directive with three stages, of which the second and third take many events."""
    rules = (
        rule(1),
        rule(2, occurrence=MANY, sticky_different="SRC_PORT"),
        rule(3, occurrence=MANY),
    )
    lookups = more.pop("lookups", False)
    made = directive(*rules, **more)
    return Correlator([made], ASSETS, Options(track_changes=True, lookups=lookups))


class Checkpoint:
    """A checkpoint file that follows a correlator."""

    def __init__(self, store: CheckpointStore, followed: Correlator) -> None:
        self.store = store
        self.correlator = followed
        self.encoder = BacklogEncoder(followed)

    def save(self) -> list[Row]:
        """Save what has changed; returns the rows."""
        keys = list(self.correlator.take_changed())
        closed = [key for key in keys if not self.correlator.is_open(key)]
        rows = [row for key in keys for row in self.encoder.encode(key)]
        self.store.save(rows, closed, NOW)
        self.encoder.commit(closed)
        return rows

    def load(self) -> list[BacklogSnapshot]:
        return [decode_backlog(row.state, row.blocks) for row in self.store.load()]

    @property
    def blocks(self) -> int:
        """Number of blocks in the file."""
        return sum(len(blocks) for row in self.store.load() for blocks in row.blocks.values())


@pytest.fixture
def store(path: Path) -> Iterator[CheckpointStore]:
    with open_store(path) as made:
        yield made


def take(followed: Correlator, stage: int, first: int, number: int, **fields: Any) -> None:
    """Take events with consecutive ids at a stage."""
    for n in range(first, first + number):
        more = {"src_port": n, **fields}
        followed.process_event(event(stage, "open" if stage == 1 else f"{stage}-{n}", **more), TIME)


def size_of(rows: list[Row]) -> int:
    return sum(len(row[-1]) for row in rows if not isinstance(row, ShardRow | CoolDownRow))


def test_a_large_backlog_comes_back_whole_at_any_size(store: CheckpointStore) -> None:
    followed = correlator()
    checkpoint = Checkpoint(store, followed)
    take(followed, 1, 0, 1)
    at = 0
    for number in (1, BLOCK_ITEMS - 2, 1, 1, 3 * BLOCK_ITEMS, BLOCK_ITEMS, 1):
        take(followed, 2, at, number)
        at += number
        checkpoint.save()
        assert checkpoint.load() == followed.snapshots()
    assert checkpoint.blocks == 2 * (at // BLOCK_ITEMS)  # of event ids, and of sticky values


def test_a_checkpoint_costs_what_has_changed_not_what_there_is(store: CheckpointStore) -> None:
    """Growth: with 50,000 event ids as with 500."""
    rules = (rule(1), rule(2, occurrence=10**9))
    followed = Correlator([directive(*rules)], ASSETS, Options(track_changes=True))
    checkpoint = Checkpoint(store, followed)
    take(followed, 1, 0, 1)
    sizes = []
    at = 0
    for number in (500, 50_000):
        take(followed, 2, at, number - at)
        at = number
        checkpoint.save()
        costs = []
        for _ in range(BLOCK_ITEMS):  # somewhere among them a block becomes full
            take(followed, 2, at, 1)
            at += 1
            costs.append(size_of(checkpoint.save()))
        sizes.append(max(costs))
    assert sizes[1] < 1.5 * sizes[0]
    assert checkpoint.load() == followed.snapshots()


def test_the_sets_of_several_open_stages_are_kept_by_stage(store: CheckpointStore) -> None:
    followed = correlator(any_order=True)
    checkpoint = Checkpoint(store, followed)
    take(followed, 1, 0, 1)
    take(followed, 3, 0, BLOCK_ITEMS + 1)
    checkpoint.save()
    assert checkpoint.blocks == 1
    take(followed, 2, 0, 2 * BLOCK_ITEMS)
    checkpoint.save()
    assert checkpoint.blocks == 5  # ids and sticky values of stage 2, ids of stage 3
    take(followed, 3, MANY, MANY - BLOCK_ITEMS - 1)  # finishes it
    take(followed, 2, MANY, 1)
    rows = checkpoint.save()
    assert checkpoint.load() == followed.snapshots()
    assert (checkpoint.blocks, size_of(rows) < 10_000) == (4, True)


@pytest.mark.parametrize("always_active", [False, True])
def test_the_sets_of_a_finished_stage_go_unless_they_are_needed(
    always_active: bool, store: CheckpointStore
) -> None:
    followed = correlator(always_active=always_active)
    checkpoint = Checkpoint(store, followed)
    take(followed, 1, 0, 1)
    take(followed, 2, 0, MANY - 1)
    checkpoint.save()
    assert checkpoint.blocks == 10
    take(followed, 2, MANY, 1)  # finishes the stage
    rows = checkpoint.save()
    assert checkpoint.load() == followed.snapshots()
    assert checkpoint.blocks == (5 if always_active else 0)
    assert size_of(rows) < 10_000  # the ids keep their blocks
    take(followed, 3, 0, 2 * BLOCK_ITEMS)
    checkpoint.save()
    assert checkpoint.load() == followed.snapshots()


def test_a_backlog_that_was_closed_and_opened_again_has_only_its_own_items(
    store: CheckpointStore,
) -> None:
    followed = correlator()
    checkpoint = Checkpoint(store, followed)
    take(followed, 1, 0, 1)
    take(followed, 2, 0, 2 * BLOCK_ITEMS)
    checkpoint.save()
    followed.advance_time(1_000_000)
    take(followed, 1, 0, 1)
    take(followed, 2, 1000, BLOCK_ITEMS)
    checkpoint.save()
    assert checkpoint.load() == followed.snapshots()
    assert checkpoint.blocks == 2
    followed.advance_time(1_000_000)
    checkpoint.save()
    assert checkpoint.load() == []
    take(followed, 1, 0, 1)  # whatever was left would be of this one again
    checkpoint.save()
    assert checkpoint.blocks == 0


def test_every_large_set_is_cut_into_blocks(store: CheckpointStore) -> None:
    followed = correlator(always_active=True, lookups=True)
    checkpoint = Checkpoint(store, followed)
    take(followed, 1, 0, 1)
    for n in range(2 * BLOCK_ITEMS):
        ips = {"src_ip": f"10.1.{n // 250}.{n % 250}", "dst_ip": f"10.2.{n // 250}.{n % 250}"}
        custom = {"custom_data1": f"c{n}", "custom_label1": "l"}
        followed.process_event(event(2, f"b{n}", src_port=n + 1, **ips, **custom), TIME)
    kinds: tuple[LookupKind, ...] = ("intel", "vuln")
    for kind in kinds:
        hits = [Hit("p", f"{kind} {n}", "r") for n in range(2 * BLOCK_ITEMS)]
        followed.enrich(KEY, kind, hits)
    rows = checkpoint.save()
    names = {row.name for row in rows if isinstance(row, BlockRow)}
    named = {"src_ips", "dst_ips", "custom_data", "pairs", "intel_hits", "vulnerabilities"}
    assert names == named | {"ids.2", "sticky.2"}
    assert checkpoint.load() == followed.snapshots()
    [state] = [row for row in rows if isinstance(row, BacklogRow)]
    assert len(state.state) < 3000
    assert checkpoint.save() == []


def test_rows_that_were_not_written_are_encoded_again(store: CheckpointStore) -> None:
    followed = correlator()
    checkpoint = Checkpoint(store, followed)
    take(followed, 1, 0, 1)
    take(followed, 2, 0, BLOCK_ITEMS)
    lost = list(checkpoint.encoder.encode(KEY))
    assert list(checkpoint.encoder.encode(KEY)) == lost
    checkpoint.save()
    assert checkpoint.load() == followed.snapshots()


def test_events_between_two_rows_of_a_backlog_change_none_of_them(store: CheckpointStore) -> None:
    """Encoding pauses between rows, so that correlation can go on."""
    followed = correlator()
    take(followed, 1, 0, 1)
    take(followed, 2, 0, 3 * BLOCK_ITEMS)
    before = followed.snapshots()
    encoder = BacklogEncoder(followed)
    rows = []
    for at, row in enumerate(encoder.encode(KEY)):
        rows.append(row)
        take(followed, 2, 1000 + 200 * at, 200)
    store.save(rows, [], NOW)
    [loaded] = store.load()
    assert [decode_backlog(loaded.state, loaded.blocks)] == before


@contextmanager
def unreadable(text: str) -> Iterator[None]:
    with pytest.raises(ValueError, match=text):
        yield


def test_a_backlog_whose_blocks_are_missing_cannot_be_read(store: CheckpointStore) -> None:
    followed = correlator()
    checkpoint = Checkpoint(store, followed)
    take(followed, 1, 0, 1)
    take(followed, 2, 0, 2 * BLOCK_ITEMS)
    checkpoint.save()
    [row] = store.load()
    with unreadable("128 of 256 items of ids.2 are there"):
        decode_backlog(row.state, {**row.blocks, "ids.2": row.blocks["ids.2"][:1]})
    with unreadable("malformed"):
        decode_backlog(row.state, {**row.blocks, "ids.2": [b"x"] * 2})
    state = msgspec.json.decode(row.state) | {"left_out": {"ids.9": 128}}
    with unreadable("it has no set ids.9"):
        decode_backlog(msgspec.json.encode(state), row.blocks)
