"""The one runner of the correlation cases: every case, on every engine, each step compared exactly.

The cases are in tests/correlation/*.json; correlation_cases.py describes their format. A test of a
single behaviour is a case there, not a test here.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import pytest

from tests.support.correlation_cases import Case, Expected, Json, load_cases
from tests.support.engine_adapter import EngineUnderTest
from tests.support.oracle import Options, Oracle, Output


class Engine(Protocol):
    """What the oracle and the adapter of the real engine have in common."""

    @property
    def open_backlogs(self) -> int: ...
    def event(self, event: Json, now: int) -> Output: ...
    def tick(self, now: int) -> Output: ...


class EngineFactory(Protocol):
    """Their common constructor."""

    def __call__(self, assets: list[Json], directives: list[Json], options: Options) -> Engine: ...


ENGINES: dict[str, EngineFactory] = {
    "oracle": Oracle,
    "engine": EngineUnderTest,
}
RESTORABLE = {name: ENGINES[name] for name in ("engine",)}
CASES = load_cases()


def on_each(engines: dict[str, EngineFactory]) -> pytest.MarkDecorator:
    """Every case on every one of the engines."""
    runs = [
        pytest.param(factory, case, id=f"{name}: {case.name}")
        for name, factory in engines.items()
        for case in CASES
    ]
    return pytest.mark.parametrize(("factory", "case"), runs)


def run_case(case: Case, factory: EngineFactory, *, restore_first: bool = False) -> None:
    """Feed the steps and compare each; with restore_first the engine is saved and restored too."""
    engine: Any = factory(case.assets, case.directives, Options(**case.options))
    for number, step in enumerate(case.steps, 1):
        if restore_first:
            engine.save_and_restore()
        output = engine.event(step.event, step.now) if step.event else engine.tick(step.now)
        compare(output, step.expected, f"step {number}")
    assert engine.open_backlogs == case.open_backlogs


def compare(output: Output, expected: Expected, where: str) -> None:
    assert output.counts == expected.counts, where
    assert by_alarm(output.alarm_events) == by_alarm(expected.alarm_events), where
    assert by_alarm(output.alarms) == by_alarm(expected.alarms), where
    assert by_alarm(output.due) == by_alarm(expected.due), where
    compare_key_order(output, expected, where)
    compare_lines(output, expected, where)


def by_alarm(records: list[Json]) -> list[Json]:
    """Only the records of one alarm are ordered among themselves."""
    return sorted(records, key=lambda record: str(record["alarm_id"]))


def compare_key_order(output: Output, expected: Expected, where: str) -> None:
    assert lines(output.alarm_events) == lines(expected.alarm_events), where
    assert lines(output.alarms) == lines(expected.alarms), where


def compare_lines(output: Output, expected: Expected, where: str) -> None:
    if expected.lines is not None:
        assert lines(output.alarms) == expected.lines, where
    if expected.event_lines is not None:
        assert lines(output.alarm_events) == expected.event_lines, where


def lines(records: list[Json]) -> list[str]:
    return [json.dumps(record, separators=(",", ":")) for record in by_alarm(records)]


def test_every_case_has_its_own_name() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


@on_each(ENGINES)
def test_case(factory: EngineFactory, case: Case) -> None:
    run_case(case, factory)


@on_each(RESTORABLE)
def test_case_with_a_snapshot_and_restore_before_each_step(
    factory: EngineFactory, case: Case
) -> None:
    run_case(case, factory, restore_first=True)
