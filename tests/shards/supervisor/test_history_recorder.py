"""What the history is told of the service: incidents as they happen, samples each minute."""

from pathlib import Path
from typing import Any

import pytest

from shards.config.generation import ConfigChanges
from shards.file_position import FilePosition, FilePositions
from shards.history.history import History
from shards.history.service_rows import FlowHistory, Incident, flow_history
from shards.ledger import Ledger
from shards.ops.overview import Overview
from shards.supervisor.history_recorder import HistoryRecorder
from tests.support.history import run, running_history, written
from tests.support.overviews import overview, process_status, reload_outcome, shard_status

START = 1_700_000_040


class Recorded:
    """A recorder whose incidents are kept."""

    def __init__(self, history: History, hold_seconds: float = 10.0) -> None:
        self.told: list[Incident] = []
        self.recorder = HistoryRecorder(history, self._ends, hold_seconds, self.told.append)
        self._now = START

    def _ends(self) -> FilePositions:
        position = FilePosition(1, 0, 0)
        return FilePositions(0, position, position)

    def note(self, seconds: float = 1, **fields: Any) -> None:
        """The state of the service so many seconds later."""
        self._now += int(seconds)
        self.recorder.note(overview(now=float(self._now), **fields))

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(incident.kind, incident.process) for incident in self.told]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(History(tmp_path / "h"))


def test_nothing_happens_while_all_is_well(recorded: Recorded) -> None:
    for _ in range(200):
        recorded.note()
    assert recorded.told == []


def test_start_and_stop(recorded: Recorded) -> None:
    recorded.recorder.begin(overview())
    recorded.recorder.end()
    assert [incident.text for incident in recorded.told] == [
        "the service has started, version 1.2.3",
        "the service has stopped",
    ]


def test_what_happens_in_the_first_second_is_not_missed(recorded: Recorded) -> None:
    recorded.recorder.begin(overview())
    recorded.note(workers=[process_status("worker-0", restarts=1)])
    assert recorded.kinds == [("start", ""), ("restart", "worker-0")]


def test_a_death_before_the_first_state_is_not_missed(recorded: Recorded) -> None:
    workers = [process_status("worker-0", restarts=1)]
    recorded.recorder.begin(overview(workers=workers))
    recorded.note(workers=workers)
    assert recorded.kinds == [("start", ""), ("restart", "worker-0")]


def test_a_process_that_is_started_again(recorded: Recorded) -> None:
    recorded.note()
    recorded.note(workers=[process_status("worker-0", restarts=1)])
    recorded.note(workers=[process_status("worker-0", restarts=1)])
    assert recorded.kinds == [("restart", "worker-0")]


@pytest.mark.parametrize(
    ("trouble", "failed", "back"),
    [
        ({"source_connected": False}, ("source_lost", "router"), ("source_back", "router")),
        ({"output_trouble": "no space"}, ("output_failed", ""), ("output_back", "")),
        (
            {"checkpoint_troubles": {"worker-0": "no space"}},
            ("checkpoint_failed", "worker-0"),
            ("checkpoint_back", "worker-0"),
        ),
    ],
)
def test_troubles_are_told_when_they_begin_and_when_they_end(
    recorded: Recorded, trouble: dict[str, Any], failed: tuple[str, str], back: tuple[str, str]
) -> None:
    recorded.note()
    recorded.note(**trouble)
    recorded.note(**trouble)
    recorded.note()
    assert recorded.kinds == [failed, back]


def test_a_reload_and_one_that_is_refused(recorded: Recorded) -> None:
    changed = reload_outcome(generation=2, changes=ConfigChanges(added=[1], changed=[2, 3]))
    refused = reload_outcome(successful=False, error="no folder", at=5.0)
    recorded.note()
    recorded.note(last_reload=changed)
    recorded.note(last_reload=refused)
    recorded.note(last_reload=refused)
    recorded.note(last_reload=reload_outcome(at=9.0))
    assert [incident.kind for incident in recorded.told] == ["reload", "reload_refused"]
    assert "1 directives added, 2 changed, 0 removed" in recorded.told[0].text
    assert "no folder" in recorded.told[1].text


def test_a_refused_reload_is_not_hidden_by_the_next_one(recorded: Recorded) -> None:
    recorded.note(reloads={})
    changed = reload_outcome(generation=2, changes=ConfigChanges(added=[1]))
    recorded.note(last_reload=changed, reloads={"failed": 1, "changed": 1})
    assert [incident.kind for incident in recorded.told] == ["reload_refused", "reload"]


def test_the_first_connection_is_no_incident(recorded: Recorded) -> None:
    recorded.recorder.begin(overview(source_connected=False))
    recorded.note(source_connected=True)
    recorded.note(source_connected=False)
    assert recorded.kinds == [("start", ""), ("source_lost", "router")]


def test_overload_lasts_until_no_event_was_late_for_the_hold_duration(recorded: Recorded) -> None:
    for late in (0, 5, 5, 9, *[9] * 20):
        ledger = Ledger(late=late)
        recorded.note(ledger=ledger)
    assert [incident.kind for incident in recorded.told] == ["overload", "overload_end"]


def test_each_minute_has_a_sample_of_what_has_happened_in_it(tmp_path: Path) -> None:
    found: FlowHistory | None = None

    async def test() -> None:
        nonlocal found
        async with running_history(tmp_path / "h", None, lambda: float(START)) as history:
            recorded = Recorded(history)
            for second in range(200):
                recorded.note(**busy(second))
            await written(history)
            found = await history.read(
                lambda db: flow_history(db, "", (START - 60, START + 240), 5)
            )

    run(test())
    assert found is not None
    assert found.series["events"] == [None, None, 10.0, 10.0, 10.0]
    assert found.series["dropped"][3:] == [60, 60]
    assert found.series["queue"][3:] == [7, 7]
    assert found.series["checkpoint_age"][4] is not None


def busy(second: int) -> dict[str, Any]:
    ledger = Ledger()
    ledger.events.received = 10 * second
    ledger.events.dropped["queue_full"] = second
    return {
        "ledger": ledger,
        "shards": [shard_status(0, queue=7, backlogs=3)],
        "oldest_checkpoint_at": float(START),
    }


def test_positions_are_noted_now_and_then(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_history(tmp_path / "h") as history:
            recorded = Recorded(history)
            recorded.recorder.begin(overview())
            await written(history)
            count = "SELECT count(*) FROM position"
            assert await history.read(lambda db: db.execute(count).fetchone()) == (1,)

    run(test())


def test_the_same_overview_twice_is_no_incident(recorded: Recorded) -> None:
    state: Overview = overview()
    recorded.recorder.note(state)
    recorded.recorder.note(state)
    assert recorded.told == []
