"""A worker dies at any step of the protocol: its files are those of a run without a death.

The router keeps batches, the supervisor filters lines and keeps configurations, and the shard and
its checkpoints are the real ones, all in this process: so a death can be placed before and after
each step. Histories without reloads; see test_death_and_reload.py for those with some.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.correlation.directive_set import DirectiveSet
from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.options import Options
from shards.checkpoint import cut
from shards.checkpoint.checkpointer import Checkpointer
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.stats import ShardProgress
from shards.ipc.messages import Synced
from shards.positions import base_of
from shards.router.kept_batches import KeptBatch
from shards.settings.settings import Settings
from shards.supervisor.generations import Generations
from shards.supervisor.line_filter import LineFilter
from shards.worker.setup import first_generation
from shards.worker.shard import Shard
from shards.worker.start import NOTHING_WRITTEN, WorkerStart, Written
from tests.support.examples import some_of
from tests.support.generations import directive_set, generation

OPTIONS = Options(track_changes=True, expiry_grace=2)
SOURCES = 5
Action = tuple[str, Any]
"""What happens: its kind, and its events, its time, or what happens meanwhile."""


def rules(timeout: int) -> list[dict[str, Any]]:
    return [
        {"name": "r", "type": "PluginRule", "stage": stage, "plugin_id": 1, "plugin_sid": [stage]}
        | {"occurrence": (1, 3, 2)[stage - 1], "from": "ANY" if stage == 1 else ":1", "to": "ANY"}
        | {"reliability": (2, 5, 10)[stage - 1], "timeout": timeout if stage > 1 else 0}
        for stage in (1, 2, 3)
    ]


def absent_rules(timeout: int) -> list[dict[str, Any]]:
    """With a second stage that is absent."""
    first, second, third = rules(timeout)
    return [first, second | {"absent": True, "timeout": timeout - 1}, third]


DIRECTIVES = [
    {"id": 1, "name": "n", "kingdom": "k", "category": "c", "priority": 5, "rules": rules(3)},
    {"id": 2, "name": "n SRC_IP", "kingdom": "k", "category": "c", "priority": 5}
    | {"all_rules_always_active": True, "rules": rules(60)},
    {"id": 3, "name": "absent", "kingdom": "k", "category": "c", "priority": 5}
    | {"rules": absent_rules(3)},
    {"id": 4, "name": "any order", "kingdom": "k", "category": "c", "priority": 5}
    | {"any_order": True, "rules": absent_rules(5)},
    {"id": 5, "name": "suppressed", "kingdom": "k", "category": "c", "priority": 5}
    | {"suppress": {"seconds": 3, "by": ["src_ip"]}, "rules": absent_rules(3)[:2]},
]


def all_directives() -> DirectiveSet:
    document = msgspec.json.encode({"directives": DIRECTIVES})
    directives = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
    return directive_set(directives, assets)


class DeathError(Exception):
    """The worker dies here."""


@dataclass
class Batch:
    """A batch that the router keeps; one without events begins its generation."""

    last: int
    events: list[bytes]
    now: int
    generation: int = 1

    def is_held(self, position: int, generation: int) -> bool:
        """Whether a checkpoint at this position, and of this generation, holds its effect."""
        kept = KeptBatch(0, self.last, len(self.events), b"", self.generation)
        return kept.is_held(position, generation)


class World:
    """A router, a worker over all its lives, and a supervisor; `dies_at`: numbers of steps."""

    settings = Settings()

    def __init__(self, folder: Path, dies_at: Sequence[int] = ()) -> None:
        self._settings = replace(self.settings, log_dir=folder)
        self._configs = {1: all_directives()}
        """By generation."""
        self._generations = Generations(
            generation([1, 2, 3, 4, 5]), 1, has_checkpoints=True, has_stream=False
        )
        self._dies_at = set(dies_at)
        self.steps = self._now = 0
        self._position = base_of(1)
        self._kept: list[Batch] = []
        self._filter = LineFilter()
        self.alarm_events: list[bytes] = []
        self.alarms: dict[str, list[bytes]] = defaultdict(list)
        """The lines of each alarm, in order."""
        prepare_database(checkpoint_path(self._settings))
        self._waiting: list[Action] = []
        self._syncs = 0
        self._start(is_first=True)

    def _start(self, *, is_first: bool) -> None:
        written = NOTHING_WRITTEN if is_first else self._filter.written
        self._start_shard("run", written, is_first=is_first)
        progress = self._shard.progress
        saved = progress.position, progress.generation
        for batch in self._kept:
            if not batch.is_held(*saved):
                self._deliver(batch)

    def _start_shard(self, run: str, written: Written, *, is_first: bool) -> None:
        """Start a shard from its checkpoint, with the generation that it had there."""
        start = WorkerStart(0, run, self._generations.of_worker(0), is_first, written)
        first = first_generation(self._settings, start).generation
        directives, progress = self._configs[first], ShardProgress(0, run, generation=first)
        self._shard = Shard(self._settings, OPTIONS, directives, progress, written)
        self._checkpointer = Checkpointer(
            self._shard.correlator,
            directives.directives,
            progress,
            self._settings,
            OPTIONS,
            first_start=is_first,
            sync_lines=self._sync_lines,
        )
        self._checkpointer.restore()
        self._shard.begin_life(1)

    def _step(self) -> None:
        self.steps += 1
        if self.steps in self._dies_at:
            raise DeathError

    def run(self, actions: Sequence[Action]) -> None:
        """Do all of it; whatever a death interrupts is left to the next worker."""
        waiting = list(actions)
        while waiting:
            try:
                with asyncio.Runner() as runner:  # of one life
                    while waiting:
                        action = waiting.pop(0)
                        self._waiting = []
                        runner.run(self._do(action))
            except DeathError:
                waiting = [*self._begin_again(), *self._waiting, *waiting]
        self._dies_at = set()
        self._advance(self._now)
        self._shard.close()
        self._report()
        self._close()

    def _begin_again(self) -> list[Action]:
        """After a death; returns what is to be done first."""
        self._close()
        self._filter.worker_died()
        self._start(is_first=False)
        return []

    def _close(self) -> None:
        """Close the files, as the end of the process does."""
        self._checkpointer._store.close()

    async def _do(self, action: Action) -> None:
        kind, what = action
        if kind == "batch":
            events, now = what
            self._position += len(events)
            batch = Batch(self._position, events, now, self._generations.current.number)
            self._keep(batch)
        elif kind == "reload":
            self._reload(what)
        elif kind == "tick":
            self._advance(what)
        elif kind == "report":
            self._report()
        else:
            self._waiting = list(what)
            await self._checkpointer.write_checkpoint()
            self._step()
            self._report()
        self._step()

    def _reload(self, directives: DirectiveSet) -> None:
        """The router begins a generation; all workers have prepared it."""
        number = self._generations.current.number + 1
        self._configs[number] = directives
        self._generations.coming = generation(list(directives.directives), number=number)
        self._generations.switched(0)
        self._keep(Batch(self._position, [], self._now, number))

    def _keep(self, batch: Batch) -> None:
        self._kept.append(batch)
        self._step()
        self._deliver(batch)

    def _deliver(self, batch: Batch) -> None:
        self._advance(batch.now)
        if batch.generation > self._shard.progress.generation:
            directives = self._configs[batch.generation]
            self._shard.reload(batch.generation, directives, lookups=False)
            self._checkpointer.reload(directives.directives.keys())
        self._shard.process_batch(batch.last, batch.events, batch.now)

    def _advance(self, now: int) -> None:
        self._now = max(self._now, now)
        while not self._shard.advance_time(now):
            pass

    def _report(self, sync: int = 0) -> None:
        """The worker reports; the supervisor writes the lines, the router forgets."""
        report = self._shard.make_report(self._checkpointer.stats, sync=sync)
        self._step()
        self.alarm_events += self._filter.new_lines(report.alarm_events).splitlines()
        for line in self._filter.new_lines(report.alarms).splitlines():
            self.alarms[json.loads(line)["alarm_id"]].append(line)
        self._filter.note(report)
        self._filter.note_saved(report.saved_sync)
        self._generations.take(0, report)
        saved = report.saved, report.saved_generation
        self._kept = [batch for batch in self._kept if not batch.is_held(*saved)]
        self._step()

    def _sync_lines(self) -> Awaitable[Synced]:
        """As a worker does; the rest happens while the backlogs are encoded."""
        self._syncs += 1
        self._report(self._syncs)
        return asyncio.create_task(self._meanwhile(self._syncs))

    async def _meanwhile(self, sync: int) -> Synced:
        while self._waiting:
            await asyncio.sleep(0)
            await self._do(self._waiting.pop(0))
        return Synced(sync)


def random_actions(random: Random, start: int) -> list[Action]:
    """A history of some seconds: events of a few sources, reports, checkpoints, time."""
    now, numbers = start, count(1)

    def batch() -> Action:
        stages = random.choices((1, 2, 2, 2, 3, 3), k=random.randint(1, 6))
        return "batch", ([event(next(numbers), stage, random, now) for stage in stages], now)

    def later() -> Iterator[Action]:
        nonlocal now
        if random.random() < 0.4:
            now += random.choice((1, 1, 2, 5))
        if random.random() < 0.3:
            yield "tick", now
            yield "report", None
        yield batch()
        if random.random() < 0.4:
            yield "report", None

    actions: list[Action] = []
    for _ in range(random.randint(8, 12)):
        actions += later()
        if random.random() < 0.5:
            actions.append(("checkpoint", [*later(), *later()]))
    return [*actions, ("tick", now + 2)]


def event(number: int, sid: int, random: Random, now: int) -> bytes:
    moment = datetime.fromtimestamp(now, UTC).isoformat()
    record = {"event_id": f"e{number}", "timestamp": moment, "sensor": "s", "plugin_id": 1}
    record |= {"plugin_sid": sid, "src_ip": f"192.0.2.{random.randrange(SOURCES)}"}
    return json.dumps(record | {"dst_ip": "10.0.0.1"}).encode()


@pytest.fixture(autouse=True)
def slow_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other things happen after each backlog that is encoded."""
    monkeypatch.setattr(cut, "_SLICE_SECONDS", -1.0)


Files = tuple[list[bytes], dict[str, Counter[bytes]]]
"""The alarm event lines, and how often each line of each alarm is there, in order."""


def run(folder: Path, actions: Sequence[Action], *dies_at: int) -> tuple[World, Files]:
    world = World(folder, dies_at)
    world.run(actions)
    alarms = {alarm: Counter(lines) for alarm, lines in world.alarms.items()}
    return world, (sorted(world.alarm_events), alarms)


def check(found: Files, expected: Files) -> None:
    """The same lines in the same order, none more often.

    An alarm that changes only in what its line does not show is written again as it was; after a
    death that line may be taken for the one before.
    """
    assert found[0] == expected[0]
    assert {alarm: list(lines) for alarm, lines in found[1].items()} == {
        alarm: list(lines) for alarm, lines in expected[1].items()
    }
    assert all(lines <= expected[1][alarm] for alarm, lines in found[1].items())


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_death_at_any_step_changes_no_line(tmp_path: Path, seed: int) -> None:
    actions = random_actions(Random(seed), int(time.time()))
    without, expected = run(tmp_path / "without", actions)
    assert len(expected[0]) > 10
    steps = range(1, without.steps - 1)  # the last two are those of the end
    for step in some_of(steps, seed):
        check(run(tmp_path / str(step), actions, step)[1], expected)


def test_a_death_does_not_delay_what_follows_from_an_absent_stage(tmp_path: Path) -> None:
    """Time alone finishes it; the next life may notice that with the next batch only."""
    now = int(time.time())
    opening, later = (event(n, 1, Random(1), now + n) for n in (0, 6))
    actions: list[Action] = [
        ("batch", ([opening], now)),
        ("checkpoint", []),
        ("tick", now + 3),
        ("report", None),
        ("batch", ([later], now + 6)),
    ]
    without, expected = run(tmp_path / "without", actions)
    opened = [line for line in expected[0] if b'"e6"' in line]
    assert len(opened) == len(DIRECTIVES), "the cool-down after the first alarm has ended"
    for step in range(1, without.steps - 1):
        check(run(tmp_path / str(step), actions, step)[1], expected)


@pytest.mark.parametrize("seed", range(20, 50))
def test_several_deaths_change_no_line(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    actions = random_actions(random, int(time.time()))
    without, expected = run(tmp_path / "without", actions)
    deaths = sorted(random.sample(range(1, without.steps - 1), 4))
    check(run(tmp_path / "with", actions, *deaths)[1], expected)
