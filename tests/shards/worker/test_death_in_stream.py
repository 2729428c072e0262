"""A worker that reads a stream dies at any step: its lines are those of a worker that does not.

As test_death.py, but positions are those of a stream: most events concern other workers, and what
time alone causes comes with the position up to which the stream has been read.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from shards.ipc import messages
from shards.settings.settings import Settings
from tests.shards.worker.test_death import (
    Action,
    Batch,
    Files,
    World,
    check,
    random_actions,
    slow_encoding,
)
from tests.shards.worker.test_death_of_all import Service, files_of
from tests.support.examples import some_of

pytestmark = pytest.mark.integration  # databases and files for each of a thousand deaths

__all__ = ["slow_encoding"]  # a fixture of all tests

STREAM = "EV@1"


class StreamWorld(World):
    """A router that reads a stream, of which a few events concern the worker."""

    settings = Settings(stream="EV")

    def _deliver(self, batch: Batch) -> None:
        number, last = len(batch.events), batch.last
        first = last - number + 1
        made = messages.Batch(first, last, batch.now, False, batch.events, b"", STREAM)
        for part in self._shard.deliveries.new_parts(made):
            self._advance(part.now)
            self._shard.process_batch(part.last, part.events, part.now)

    async def _do(self, action: Action) -> None:
        kind, what = action
        self._position += 3  # events of other workers
        if kind == "tick":
            self._now = max(self._now, what)
            self._deliver(Batch(self._position, [], self._now))
            self._step()
        elif kind == "batch":
            events, now = what
            await super()._do((kind, (events, max(self._now, now))))
        else:
            await super()._do(action)


def with_quiet_times(actions: Sequence[Action], random: Random) -> list[Action]:
    """The same with seconds in which only time causes lines, and reports say so."""
    made: list[Action] = []
    now = 0
    for action in actions:
        made.append(action)
        if action[0] == "batch":
            now = max(now, action[1][1])
            later = now
            for _ in range(random.choice((0, 0, 1, 3))):
                later += 1
                made += [("tick", later), ("report", None)]
    return made


def run(folder: Path, actions: Sequence[Action], *dies_at: int) -> tuple[World, Files]:
    world = StreamWorld(folder, dies_at)
    world.run(actions)
    alarms = {alarm: Counter(lines) for alarm, lines in world.alarms.items()}
    return world, (sorted(world.alarm_events), alarms)


def quiet_history(seed: int) -> list[Action]:
    random = Random(seed)
    return with_quiet_times(random_actions(random, int(time.time())), random)


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_death_at_any_step_changes_no_line(tmp_path: Path, seed: int) -> None:
    actions = quiet_history(seed)
    without, expected = run(tmp_path / "without", actions)
    assert len(expected[0]) > 10
    for step in some_of(range(1, without.steps - 1), seed):
        check(run(tmp_path / str(step), actions, step)[1], expected)


@pytest.mark.parametrize("seed", range(5, 15))
def test_several_deaths_change_no_line(tmp_path: Path, seed: int) -> None:
    actions = quiet_history(seed)
    without, expected = run(tmp_path / "without", actions)
    deaths = sorted(Random(seed).sample(range(1, without.steps - 1), 4))
    check(run(tmp_path / "with", actions, *deaths)[1], expected)


class StreamService(StreamWorld, Service):
    """The same with a supervisor, which may die as well."""


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power failure"])
def test_a_death_of_all_at_any_step_changes_no_line(tmp_path: Path, power: bool) -> None:
    actions = quiet_history(15)

    def files(name: str, *dies_at: int) -> tuple[int, Files]:
        service = StreamService(tmp_path / name, dies_at, power=power)
        service.run(actions)
        return service.steps, files_of(service)

    steps, expected = files("without")
    for step in some_of(range(1, steps - 5), power):
        check(files(str(step), step)[1], expected)
