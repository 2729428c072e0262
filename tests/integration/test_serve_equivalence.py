"""Serve writes the same alarms as replay, for the example and the correlation cases.

Cases share one service; ids of plugins, categories and directives of their own keep them apart.
Cases that depend on the clock are left out: those with ticks, with a `now`, and with expiry.
"""

import gzip
import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shards.alarm_files import ALARM_EVENTS, ALARMS
from tests.support.correlation_cases import ASSETS, FOLDER, Case, Json, expand_case
from tests.support.paths import EXAMPLE
from tests.support.serving import (
    COMMAND,
    DEADLINE,
    NEVER_EXPIRE,
    own_environment,
    read_lines,
    serving,
    write_config,
)

TIMES = ("created_time", "update_time")
POSTED = 250
"""Events in one request."""
FLAGS = {"match_protocol": "--match-protocol", "med_risk_min": "--med-risk-min"} | {
    "med_risk_max": "--med-risk-max",
    "status": "--status",
    "tag": "--tags",
}
"""The settings by the names that cases have for them; a case with another option is left out."""

Lines = dict[str, list[Json]]


def timeless_cases() -> Iterator[Case]:
    """The cases that do not depend on the clock: no ticks, no `now`, no expiry."""
    for path in sorted(FOLDER.glob("*.json")):
        for case in json.loads(path.read_text("utf-8"))["cases"]:
            steps = case["steps"]
            ticks = any("tick" in step or "now" in step for step in steps)
            expires = any("expired" in step.get("counts", {}) for step in steps)
            if not (ticks or expires or case.get("options", {}).keys() - FLAGS.keys()):
                yield expand_case(path.stem, case)


CASES = list(timeless_cases())
USUAL = [case for case in CASES if not case.options and case.assets == ASSETS]
OWN_ASSETS = [case for case in CASES if not case.options and case.assets != ASSETS]
WITH_OPTIONS = [case for case in CASES if case.options and case.assets == ASSETS]


def test_nearly_all_correlation_cases_are_used() -> None:
    assert len(CASES) > 150
    assert len(USUAL) + len(OWN_ASSETS) + len(WITH_OPTIONS) == len(CASES)


# Cases that share one service.


def apart(case: Case, number: int) -> tuple[list[Json], list[Json]]:
    """The directives and the events of a case, with ids and categories that no other case has."""
    directives = [
        one | {"id": 100 * number + one["id"], "rules": [_shifted(r, number) for r in one["rules"]]}
        for one in case.directives
    ]
    events = [_shifted(step.event, number) for step in case.steps if step.event is not None]
    return directives, events


def _shifted(rule_or_event: Json, number: int) -> Json:
    changes: Json = {}
    if rule_or_event.get("plugin_id"):
        changes["plugin_id"] = int(rule_or_event["plugin_id"]) + 100_000 * number
    if rule_or_event.get("category"):
        changes["category"] = f"{rule_or_event['category']} {number}"
    return rule_or_event | changes


def side_by_side(cases: Iterable[Case]) -> tuple[list[Json], list[Json], list[Json]]:
    """The assets, directives and events of all cases."""
    assets: dict[str, Json] = {}
    directives: list[Json] = []
    events: list[Json] = []
    for number, case in enumerate(cases, 1):
        more_directives, more_events = apart(case, number)
        directives += more_directives
        events += more_events
        assets |= {json.dumps(asset): asset for asset in case.assets}
    return list(assets.values()), directives, events


# Replay and serve.


class Result:
    """The output of a run, without times, and its counts of events."""

    def __init__(self, logs: Path, outcomes: dict[str, int]) -> None:
        alarms = by_alarm(read_lines(logs / ALARMS))
        self.alarms = {alarm: of_stages(lines) for alarm, lines in alarms.items()}
        self.alarm_events = by_alarm(read_lines(logs / ALARM_EVENTS))
        self.outcomes = outcomes

    def check_same(self, other: "Result") -> None:
        assert self.outcomes == other.outcomes
        assert self.alarm_events == other.alarm_events
        assert self.alarms.keys() == other.alarms.keys()
        for alarm_id, lines in self.alarms.items():
            assert lines == other.alarms[alarm_id]
            for line, twin in zip(lines, other.alarms[alarm_id], strict=True):
                assert list(line) == list(twin)


def by_alarm(lines: list[Json]) -> Lines:
    """The lines of each alarm in their order, without the times of the clock."""
    alarms: Lines = {}
    for line in lines:
        timeless = {key: value for key, value in line.items() if key not in TIMES}
        alarms.setdefault(line["alarm_id"], []).append(timeless)
    return alarms


def of_stages(lines: list[Json]) -> list[Json]:
    """The lines that a stage causes, and the last one; the number of others is up to the clock."""
    firsts: list[Json] = []
    before = None
    for line in lines:
        statuses = [rule.get("status") for rule in line["rules"]]
        if statuses != before:
            firsts.append(line)
        before = statuses
    return firsts if firsts[-1] == lines[-1] else [*firsts, lines[-1]]


def replayed(folder: Path, events: list[Json], options: tuple[str, ...]) -> Result:
    """Run replay on the events with the config in `folder/conf`.

    The times of the cases have nothing to do with each other: none is from the future.
    """
    recording, logs = folder / "events.ndjson", folder / "replay-logs"
    recording.write_text("".join(json.dumps(one) + "\n" for one in events))
    folders = ("--config-dir", str(folder / "conf"), "--log-dir", str(logs), "--format", "json")
    done = subprocess.run(
        [
            *COMMAND,
            "replay",
            *folders,
            *NEVER_EXPIRE[:2],
            "--max-future=0",
            *options,
            str(recording),
        ],
        capture_output=True,
        env=own_environment(),
        check=True,
        timeout=DEADLINE,
    )
    outcomes = json.loads(done.stdout)["ledger"]["outcomes"]
    return Result(logs, {name: count for name, count in outcomes.items() if count})


def served(folder: Path, events: list[Json], options: tuple[str, ...], workers: int) -> Result:
    """Run serve on the events with the config in `folder/conf`."""
    with serving(folder, *options, workers=workers) as service:
        for start in range(0, len(events), POSTED):
            service.post(events[start : start + POSTED])
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger["events_received"] == len(events)
        assert ended.ledger.lost == ended.ledger["deliveries_dropped_queue_full"] == 0
        result = Result(service.logs, ended.ledger.by_reason("outcomes_"))
        assert sum(map(len, result.alarm_events.values())) == ended.ledger.lines
        return result


def check(folder: Path, events: list[Json], workers: int, *options: str) -> Result:
    """Check that replay and serve give the same; returns it."""
    expected = replayed(folder, events, options)
    served(folder, events, options, workers).check_same(expected)
    return expected


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_example_gives_the_alarms_of_replay(workers: int, tmp_path: Path) -> None:
    (tmp_path / "conf").symlink_to(EXAMPLE / "configs")
    recording = gzip.decompress((EXAMPLE / "events.ndjson.gz").read_bytes())
    events = [json.loads(line) for line in recording.splitlines()]
    result = check(tmp_path, events, workers)
    assert len(result.alarms) >= 14


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_cases_with_the_default_assets_and_options(workers: int, tmp_path: Path) -> None:
    assets, directives, events = side_by_side(USUAL)
    write_config(tmp_path, directives, assets)
    result = check(tmp_path, events, workers)
    assert len(result.alarm_events) > len(USUAL) // 2
    assert len(result.alarms) > 20


def test_cases_with_assets_of_their_own(tmp_path: Path) -> None:
    assets, directives, events = side_by_side(OWN_ASSETS)
    write_config(tmp_path, directives, assets)
    check(tmp_path, events, 2)


def options_of(case: Case) -> tuple[str, ...]:
    return tuple(f"{FLAGS[name]}={_text(value)}" for name, value in sorted(case.options.items()))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("options", sorted({options_of(case) for case in WITH_OPTIONS}))
def test_cases_with_options(options: tuple[str, ...], tmp_path: Path) -> None:
    cases = [case for case in WITH_OPTIONS if options_of(case) == options]
    assets, directives, events = side_by_side(cases)
    write_config(tmp_path, directives, assets)
    check(tmp_path, events, 2, *options)
