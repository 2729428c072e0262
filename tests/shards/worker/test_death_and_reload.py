"""A worker dies at any step while configurations are reloaded: no line is lost, twice or another.

As test_death.py, which has the world of these tests; its histories get reloads in between: rules
are changed, also back, directives go and come again, assets have other values.
"""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from engine.correlation.directive_set import DirectiveSet
from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from shards.ledger import ENDED
from tests.shards.worker.test_death import (
    DIRECTIVES,
    Action,
    Files,
    World,
    check,
    event,
    random_actions,
    rules,
    slow_encoding,
)
from tests.shards.worker.test_death import run as run_world
from tests.support.examples import some_of
from tests.support.generations import directive_set

pytestmark = pytest.mark.integration  # databases for each of hundreds of deaths

__all__ = ["slow_encoding"]  # a fixture of all tests

Json = dict[str, Any]


def rules_with(reliability: int, timeout: int) -> list[Json]:
    """Other rules: with them the second stage takes one event less."""
    changed = [rule | {"reliability": reliability} for rule in rules(timeout)]
    changed[1]["occurrence"] = 2
    return changed


VARIANTS: list[list[Json]] = [
    [
        directive,
        directive | {"rules": rules_with(3, 7)},
        directive | {"name": "other DST_IP", "priority": 4},
        directive
        | {"rules": rules_with(9, 2), "all_rules_always_active": True, "any_order": False},
    ]
    for directive in DIRECTIVES
]
"""Each directive as it may be."""

Config = tuple[tuple[int | None, ...], int]
"""The variant of each directive, None without it, and the value of the asset."""
FIRST: Config = (0,) * len(DIRECTIVES), 5


@cache
def configured(config: Config) -> DirectiveSet:
    """What the shard gets of a configuration."""
    chosen, value = config
    items = [
        variants[number]
        for variants, number in zip(VARIANTS, chosen, strict=True)
        if number is not None
    ]
    document = msgspec.json.encode({"directives": items})
    directives = [item.directive for item in parse_directives(document) if item.directive]
    assert len(directives) == len(items)
    lan = {"name": "lan", "cidr": "10.0.0.0/8", "value": value}
    assets, _ = parse_assets(msgspec.json.encode({"assets": [lan]}))
    return directive_set(directives, assets)


def reloads(random: Random) -> Iterator[Action]:
    """Reloads without end, each of which changes something; rarely all is gone."""
    chosen, value = FIRST

    def change(number: int | None) -> int | None:
        return random.choice((number, 0, 1, 2, 3, None))

    while True:
        before = chosen, value
        while before == (chosen, value):
            chosen, value = tuple(map(change, chosen)), random.choice((value, 5, 3))
        yield "reload", configured((chosen, value))


def history(random: Random, share: float = 0.2) -> list[Action]:
    """Random actions with reloads between them, and while checkpoints are written.

    `share`: of the actions, the ones that a reload comes before.
    """
    coming = reloads(random)

    def with_reloads(actions: Sequence[Action]) -> Iterator[Action]:
        for kind, what in actions:
            if random.random() < share:
                yield next(coming)
            yield kind, list(with_reloads(what)) if kind == "checkpoint" else what

    return list(with_reloads(random_actions(random, int(time.time()))))


Outcome = tuple[Files, dict[str, int]]
"""The files, and the counts of backlogs."""


def run(folder: Path, actions: Sequence[Action], *dies_at: int) -> tuple[World, Outcome]:
    world, files = run_world(folder, actions, *dies_at)
    counts = world._shard.ledger.backlogs
    return world, (files, {name: counts[name] for name in ("opened", "open", *ENDED)})


def check_all(found: Outcome, expected: Outcome) -> None:
    check(found[0], expected[0])
    assert found[1] == expected[1]


@pytest.mark.parametrize("seed", range(2))
def test_a_death_at_any_step_changes_nothing(tmp_path: Path, seed: int) -> None:
    actions = history(Random(seed))
    without, expected = run(tmp_path / "without", actions)
    assert without._generations.current.number > 2
    steps = range(1, without.steps - 1)  # the last two are those of the end
    for step in some_of(steps, seed):
        check_all(run(tmp_path / str(step), actions, step)[1], expected)


@pytest.mark.parametrize("seed", range(20, 45))
def test_several_deaths_change_nothing(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    actions = history(random, share=random.choice((0.1, 0.3, 0.6)))
    without, expected = run(tmp_path / "without", actions)
    deaths = sorted(random.sample(range(1, without.steps - 1), 4))
    check_all(run(tmp_path / "with", actions, *deaths)[1], expected)


def test_a_generation_that_began_after_a_checkpoint_begins_again_before_time_goes_on(
    tmp_path: Path,
) -> None:
    """The checkpoint is at the position where it began; what is removed does not expire."""
    now, random = int(time.time()), Random(1)
    without_first = configured(((None, 0, None, None, None), 5))
    actions: list[Action] = [
        ("batch", ([event(number, 1, random, now) for number in range(3)], now)),
        ("checkpoint", [("reload", without_first), ("report", None)]),
        ("tick", now + 10),
    ]
    without, expected = run(tmp_path / "without", actions)
    assert expected[1]["removed"] >= 3
    assert expected[1]["expired"] == 0
    for step in range(1, without.steps - 1):
        check_all(run(tmp_path / str(step), actions, step)[1], expected)


def test_a_directive_that_goes_while_it_is_encoded_is_saved_with_its_definition(
    tmp_path: Path,
) -> None:
    """The next life begins with the generation that has it, and with its backlogs."""
    now, random = int(time.time()), Random(1)

    def opening(number: int) -> Action:
        return "batch", ([event(number, 1, random, now)], now)

    actions: list[Action] = [
        opening(0),
        ("checkpoint", []),
        ("reload", configured(((2, 0, 0, 0, 0), 5))),
        *map(opening, range(1, 9)),
        ("checkpoint", [("reload", configured(((None, 0, 0, 0, 0), 5)))]),
        ("report", None),
    ]
    without, expected = run(tmp_path / "without", actions)
    assert expected[1]["removed"] > 1
    for step in range(1, without.steps - 1):
        check_all(run(tmp_path / str(step), actions, step)[1], expected)


def test_the_histories_have_all_that_a_reload_does(tmp_path: Path) -> None:
    totals: dict[str, int] = {}
    formers = 0
    for seed in range(10):
        world, (_, counts) = run(tmp_path / str(seed), history(Random(seed)))
        totals = {name: totals.get(name, 0) + counts[name] for name in counts}
        formers += len(world._shard.correlator.former_directives)
    assert min(totals["removed"], totals["expired"], totals["finished"], formers) > 3, totals
