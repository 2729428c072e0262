"""All processes die at any step after reloads: the next run goes on as if none had died.

It begins with the configuration that was there last. So that is said of steps at which a checkpoint
holds the last reload; before, deliveries that are read again are processed by the new
configuration, as nobody knows any more which one they had.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.shards.worker.test_death import Action, check, slow_encoding
from tests.shards.worker.test_death_and_reload import history
from tests.shards.worker.test_death_of_all import Service, files_of
from tests.support.examples import some_of

pytestmark = pytest.mark.integration  # databases and files for each of hundreds of deaths

__all__ = ["slow_encoding"]  # a fixture of all tests


class Reloading(Service):
    """A service that notes at which steps a checkpoint holds its last reload."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        self.held: list[int] = []
        super().__init__(*arguments, **how)

    def _step(self) -> None:
        saved = self._checkpointer.stats.generation
        if saved == self._generations.current.number:
            self.held.append(self.steps + 1)
        super()._step()


def history_with_checkpoints(random: Random, share: float) -> list[Action]:
    """A history in which a checkpoint follows a reload, as a worker asks for one."""
    actions: list[Action] = []
    for action in history(random, share):
        actions.append(action)
        if action[0] == "reload":
            actions.append(("checkpoint", []))
    return actions


def run(folder: Path, actions: Sequence[Action], *dies_at: int, **how: Any) -> Reloading:
    service = Reloading(folder, dies_at, **how)
    service.run(actions)
    return service


def steps_after_reloads(service: Reloading) -> list[int]:
    """The steps of deaths that change nothing; the last ones are those of the end."""
    return [step for step in service.held if step < service.steps - 5]


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power failure"])
@pytest.mark.parametrize("seed", range(2))
def test_a_death_of_all_after_a_reload_changes_no_line(
    tmp_path: Path, seed: int, power: bool
) -> None:
    actions = history_with_checkpoints(Random(seed), 0.1)
    without = run(tmp_path / "without", actions)
    expected = files_of(without)
    assert without._generations.current.number > 2
    steps = steps_after_reloads(without)
    assert len(steps) > 20
    for step in some_of(steps, (seed, power)):
        check(files_of(run(tmp_path / str(step), actions, step, power=power)), expected)


@pytest.mark.parametrize("seed", range(20, 32))
def test_a_death_of_all_with_other_reloads_later_changes_no_line(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    actions = history_with_checkpoints(random, 0.3)
    without = run(tmp_path / "without", actions)
    for step in random.sample(steps_after_reloads(without), 2):
        found = run(tmp_path / str(step), actions, step)
        check(files_of(found), files_of(without))
