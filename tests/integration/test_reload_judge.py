"""What the judge of reloads under load finds wrong: otherwise its silence would say nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import pytest

from shards.alarm_files import ALARM_EVENTS, ALARMS
from tests.support.reload_pool import Pool, Version, changes_between, faulty, files_of
from tests.support.reload_replay import Judge, Replay, Verdict
from tests.support.reload_traffic import ReloadTraffic, Sent
from tests.support.replaying import Json

EVENTS_BETWEEN = 150


class Run(NamedTuple):
    """Events, the versions that have matched them, and all lines that came of it."""

    sent: list[Sent]
    versions: list[Version]
    alarms: list[Json]
    alarm_events: list[Json]
    removed: int

    def judge(self, folder: Path) -> Verdict:
        folder.mkdir(exist_ok=True)
        for name, lines in ((ALARMS, self.alarms), (ALARM_EVENTS, self.alarm_events)):
            (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return Judge(folder, "", self.versions, self.sent).verdict


def simulate(versions: int = 12) -> Run:
    """Simulate a service that is reloaded at some event."""
    pool = Pool(1)
    traffic = ReloadTraffic(pool, 1, 7, 2 * EVENTS_BETWEEN)
    all_, random = [pool.latest], Random(1)
    replay = Replay(pool.latest, "")
    done = 0
    for number in range(versions):
        while len(traffic.sent) < (number + 1) * EVENTS_BETWEEN:
            traffic.next_batch()
        reload_at = len(traffic.sent) - random.randrange(100)
        for position, sent in enumerate(traffic.sent[done:], done):
            if position == reload_at:
                replay.reload(pool.next())
                all_.append(pool.latest)
            replay.process(sent)
        done = len(traffic.sent)
    alarms: list[Json] = []
    alarm_events: list[Json] = []
    for outcome in replay.outcomes.values():
        alarms += outcome.alarms.values()
        alarm_events += [
            {"alarm_id": alarm_id, "stage": stage, "event_id": event_id}
            for alarm_id, stage, event_id in outcome.alarm_events
        ]
    return Run(traffic.sent, all_, alarms, alarm_events, replay.removed)


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate()


def test_a_run_in_order_has_no_faults_and_enough_of_everything(run: Run, tmp_path: Path) -> None:
    verdict = run.judge(tmp_path)
    assert verdict.faults == []
    assert verdict.versions == len(run.versions) == 13
    assert verdict.scenarios > 500
    assert verdict.finished_after_change > 50
    assert verdict.removed[0] <= run.removed <= verdict.removed[1]
    assert run.removed > 500
    assert verdict.whitelisted[0] > 20


def _probe_alarm(run: Run) -> Json:
    return next(one for one in run.alarms[300:] if one["title"].startswith("version"))


def _other_alarm(run: Run) -> Json:
    return next(one for one in run.alarms[300:] if not one["title"].startswith("version"))


def _without(lines: list[Json], line: Json) -> list[Json]:
    return [one for one in lines if one is not line]


FAULTS: dict[str, Callable[[Run], Run]] = {
    "an alarm is missing": lambda run: run._replace(alarms=_without(run.alarms, _other_alarm(run))),
    "an event line is missing": lambda run: run._replace(alarm_events=run.alarm_events[1:]),
    "an event is taken twice": lambda run: run._replace(
        alarm_events=[*run.alarm_events, run.alarm_events[9]]
    ),
    "an alarm has another risk": lambda run: run._replace(
        alarms=[*_without(run.alarms, _other_alarm(run)), _other_alarm(run) | {"risk": 3}]
    ),
    "one of two workers has another version": lambda run: run._replace(
        alarms=[
            *_without(run.alarms, _probe_alarm(run)),
            _probe_alarm(run) | {"title": "version 13"},
        ]
    ),
    "an event was never sent": lambda run: run._replace(sent=run.sent[1:]),
    "a version was not loaded": lambda run: run._replace(
        versions=[*run.versions[:4], *run.versions[5:]]
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(run: Run, name: str, tmp_path: Path) -> None:
    assert FAULTS[name](run).judge(tmp_path).faults


def test_files_of_versions() -> None:
    pool = Pool(3)
    before = pool.latest
    for _ in range(20):
        version = pool.next()
        files = files_of(version)
        parts = [msgspec.json.decode(files[name]) for name in files if name != "assets_a.json"]
        ids = [one["id"] for part in parts for one in part["directives"]]
        assert sorted(ids) == sorted(one["id"] for one in version.directives)
        changes = changes_between(before, version)
        assert all(changes[what] for what in ("added", "removed"))
        assert all(faulty(version, kind) != files for kind in range(4))
        before = version
