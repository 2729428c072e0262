"""A shard by itself: events and the clock. The integration tests check the rest."""

import json
from array import array
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from engine.alarm import MAX_ITEMS
from engine.correlation.directive_set import DirectiveSet
from engine.directive_counts import DirectiveCounts
from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.options import Options
from shards.checkpoint.stats import CheckpointStats
from shards.histograms import LAG_BOUNDS
from shards.ipc.messages import POSITION_CODE, Batch, WorkerReport
from shards.positions import base_of
from shards.settings.settings import Settings
from shards.worker.shard import Shard
from shards.worker.start import Written
from tests.support.generations import directive_set

NOW = 1_800_000_000
RULE = {
    "name": "seen",
    "type": "PluginRule",
    "plugin_id": 1,
    "plugin_sid": [1],
    "occurrence": 1,
    "from": "ANY",
    "to": "ANY",
    "reliability": 10,
    "timeout": 60,
}
DIRECTIVE = {"id": 1, "name": "n", "kingdom": "k", "category": "c", "priority": 5}


def shard(max_future: int, stages: int = 2, expiry_grace: int = 0, **directive: Any) -> Shard:
    rules = [RULE | {"stage": stage} for stage in range(1, stages + 1)]
    document = msgspec.json.encode({"directives": [DIRECTIVE | {"rules": rules} | directive]})
    directives = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
    settings = Settings(max_future=max_future)
    options = Options(expiry_grace=expiry_grace, count_by_directive=True)
    return Shard(settings, options, directive_set(directives, assets))


def event(seconds_ahead: int, **more: int | str) -> bytes:
    time = datetime.fromtimestamp(NOW + seconds_ahead, UTC).isoformat()
    addresses = {"src_ip": "10.0.0.1", "dst_ip": "10.0.0.2"}
    body = {"event_id": "e", "timestamp": time, "sensor": "s", "plugin_id": 1, "plugin_sid": 1}
    return json.dumps(body | addresses | more).encode()


def run_with_future_event(max_future: int, seconds_ahead: int) -> tuple[WorkerReport, int]:
    """What is reported of one event, and the start of stage 1 in seconds from now."""
    worker = shard(max_future)
    worker.process_batch(1, [event(seconds_ahead)], NOW)
    report = worker.make_report(CheckpointStats())
    alarm = json.loads(report.alarms.splitlines()[-1])
    return report, alarm["rules"][0]["start_time"] - NOW


@pytest.mark.parametrize(
    ("max_future", "ahead", "taken_as", "counted"),
    [(60, 60, 60, 0), (60, 61, 0, 1), (0, 10**8, 10**8, 0), (60, -500, -500, 0)],
)
def test_an_event_too_far_ahead_is_taken_as_of_now_and_counted(
    max_future: int, ahead: int, taken_as: int, counted: int
) -> None:
    report, start = run_with_future_event(max_future, ahead)
    assert (start, report.ledger.from_future) == (taken_as, counted)
    assert (report.ledger.deliveries.consumed, report.ledger.deliveries.unmatched) == (1, 0)


def test_a_report_says_how_many_events_were_taken_too_late() -> None:
    worker = shard(0)
    delay = Settings().max_delay
    received = [(NOW - delay - seconds) * 10**9 for seconds in (0, 1)]
    worker.process_batch(1, [event(0, rcvd_time=at, event_id=f"{at}") for at in received], NOW)
    report = worker.make_report(CheckpointStats())
    assert report.late == report.ledger.late == 1


def test_an_event_an_hour_ahead_does_not_put_all_later_ones_out_of_order() -> None:
    """Anyone who can send one event could otherwise switch off a detection."""
    worker = shard(Settings().max_future, stages=3)
    ahead = (0, 59 * 60, *range(1, 20))
    worker.process_batch(1, [event(s, event_id=f"e{i}") for i, s in enumerate(ahead)], NOW)
    report = worker.make_report(CheckpointStats())
    assert report.ledger.from_future == 1
    assert report.ledger.outcomes["out_of_order"] == 0
    assert report.ledger.backlogs["finished"] == len(ahead) // 3


@pytest.mark.parametrize(
    ("ago", "at_most"), [(0.0, 0.001), (2.0, 2.5), (100.0, 180.0), (1000.0, None), (-50.0, 0.001)]
)
def test_the_lag_of_a_batch_is_that_of_its_first_event(
    monkeypatch: pytest.MonkeyPatch, ago: float, at_most: float | None
) -> None:
    monkeypatch.setattr("shards.worker.shard.time.time", lambda: float(NOW))
    worker = shard(0)
    received = int((NOW - ago) * 1e9)
    worker.process_batch(1, [event(0), event(0, rcvd_time=received), event(0, rcvd_time=1)], NOW)
    details = worker.make_report(CheckpointStats()).details
    assert details is not None
    bucket = LAG_BOUNDS.index(at_most) if at_most is not None else len(LAG_BOUNDS)
    counted = [number for number, count in enumerate(details.timings.lag.buckets) if count]
    assert counted == [bucket]
    assert details.timings.lag.count == details.timings.processing.count == 3
    assert details.timings.lag.seconds == pytest.approx(3 * max(0.0, ago))


def test_details_are_of_what_was_done_since_the_last() -> None:
    worker = shard(0)
    worker.process_batch(1, [event(0)], NOW)
    assert worker.make_report(CheckpointStats(), details=False).details is None
    first, second = (
        worker.make_report(CheckpointStats()).details,
        worker.make_report(CheckpointStats()).details,
    )
    assert first is not None
    assert second is not None
    assert (first.timings.processing.count, second.timings.processing.count) == (1, 0)
    assert (first.alarms, second.alarms) == ({"High": 1}, {})


# The wall clock is set.

DAY = 86_400


def expired(worker: Shard) -> int:
    return worker.make_report(CheckpointStats()).ledger.backlogs["expired"]


@pytest.mark.parametrize("event_ahead", [0, DAY, 2 * DAY])
def test_a_backlog_opened_while_the_clock_was_ahead_expires_by_the_clock_set_back(
    event_ahead: int,
) -> None:
    worker = shard(60, expiry_grace=10)
    worker.process_batch(1, [event(event_ahead)], NOW + DAY)
    worker.advance_time(NOW)
    worker.advance_time(NOW + 9)
    assert expired(worker) == 0
    worker.advance_time(NOW + 61)
    assert expired(worker) == 1


def test_a_backlog_follows_the_clock_a_day_forwards_and_back() -> None:
    worker = shard(60, expiry_grace=10)
    worker.process_batch(1, [event(0, event_id="before")], NOW)
    worker.process_batch(1, [event(DAY, event_id="ahead")], NOW + DAY)
    assert expired(worker) == 1
    events = [event(1, event_id="finishes"), event(2, event_id="opens")]
    worker.process_batch(1, events, NOW + 2)
    counts = worker.make_report(CheckpointStats()).ledger
    assert (counts.backlogs["finished"], counts.outcomes["out_of_order"]) == (1, 0)
    assert counts.outcomes["opened"] == 3
    worker.advance_time(NOW + 63)
    assert expired(worker) == 2


def test_restored_backlogs_that_were_saved_while_the_clock_was_ahead_expire_by_the_clock() -> None:
    worker, restored = shard(60, expiry_grace=10), shard(60, expiry_grace=10)
    worker.process_batch(1, [event(DAY)], NOW + DAY)
    assert restored.correlator.restore(worker.correlator.snapshots()) == []
    restored.advance_time(NOW)
    restored.advance_time(NOW + 61)
    assert expired(restored) == 1


def test_a_clock_that_was_not_set_changes_no_restored_backlog() -> None:
    worker, restored = shard(60, expiry_grace=10), shard(60, expiry_grace=10)
    worker.process_batch(1, [event(60)], NOW)
    saved = worker.correlator.snapshots()
    assert restored.correlator.restore(saved) == []
    restored.advance_time(NOW)
    assert restored.correlator.snapshots() == saved


# Events of earlier stages.

REVISITS = 3000
REVISITED = [
    RULE | {"stage": 1, "from": "10.0.0.0/8"},
    RULE | {"stage": 2, "plugin_sid": [2], "reliability": 0},
]


def revisited_shard() -> Shard:
    return shard(0, expiry_grace=600, all_rules_always_active=True, rules=REVISITED)


def revisits(numbers: range) -> list[bytes]:
    """Events of stage 1, each from another address."""
    return [event(0, event_id=f"e{n}", src_ip=f"10.1.{n // 250}.{n % 250}") for n in numbers]


def alarms_of(worker: Shard) -> list[dict[str, Any]]:
    report = worker.make_report(CheckpointStats())
    return [json.loads(line) for line in report.alarms.splitlines()]


def test_an_alarm_that_many_events_change_is_written_once_a_second() -> None:
    """Each line holds the whole alarm: one for each event once took 71 kB at 6,000 events."""
    worker = revisited_shard()
    seconds = 10
    for second in range(seconds):
        for first in range(0, REVISITS // seconds, 100):
            start = second * REVISITS // seconds + first
            worker.process_batch(1, revisits(range(start, start + 100)), NOW + second)
            assert worker.advance_time(NOW + second)
    worker.close()
    alarms = alarms_of(worker)
    assert len(alarms) == 1 + seconds
    assert len(alarms[-1]["src_ips"]) == MAX_ITEMS
    assert worker.ledger.capped["src_ips"] == REVISITS - MAX_ITEMS
    assert [alarm["update_time"] for alarm in alarms] == [NOW, *range(NOW, NOW + seconds)]


def test_a_line_that_waits_survives_in_the_checkpoint_and_is_written_once() -> None:
    worker, restored = revisited_shard(), revisited_shard()
    worker.process_batch(1, revisits(range(2)), NOW)
    saved = worker.correlator.snapshots()
    assert [state.line_pending for state in saved] == [True]
    assert restored.correlator.restore(saved) == []
    restored.advance_time(NOW + 1)
    assert [alarm["src_ips"] for alarm in alarms_of(restored)] == [["10.1.0.0", "10.1.0.1"]]
    restored.advance_time(NOW + 2)
    assert alarms_of(restored) == []
    assert [state.line_pending for state in restored.correlator.snapshots()] == [False]


# A worker that takes the place of one that died.

LIFE = 2
BASE = base_of(LIFE)


def successor(written_until: int, life: int = LIFE) -> Shard:
    worker = shard(0)
    worker.deliveries.written = Written(written_until, written_until)
    worker.begin_life(life)
    return worker


def lines_of(worker: Shard) -> tuple[int, int]:
    """The numbers of lines of both files since the last call."""
    report = worker.make_report(CheckpointStats())
    return report.alarm_events.count(b"\n"), report.alarms.count(b"\n")


def test_lines_that_are_written_already_are_not_reported_again_but_their_effect_is_there() -> None:
    worker = successor(BASE + 2)
    worker.process_batch(BASE + 2, [event(0, event_id="a"), event(0, event_id="b")], NOW)
    assert lines_of(worker) == (0, 0)
    assert (worker.ledger.deliveries.consumed, worker.ledger.backlogs["finished"]) == (2, 1)
    worker.process_batch(BASE + 3, [event(0, event_id="c")], NOW)
    assert lines_of(worker) == (1, 1)
    assert worker.make_report(CheckpointStats()).position == BASE + 3


def counts_of(worker: Shard) -> DirectiveCounts:
    """What directive 1 has done since the last call."""
    details = worker.make_report(CheckpointStats()).details
    assert details is not None
    return details.directives.get(1, DirectiveCounts())


def test_what_the_worker_before_has_counted_by_directive_is_not_counted_again() -> None:
    worker = successor(BASE + 2)
    worker.process_batch(BASE + 2, [event(0, event_id="a"), event(0, event_id="b")], NOW)
    assert counts_of(worker) == DirectiveCounts()
    worker.process_batch(BASE + 3, [event(0, event_id="c")], NOW)
    assert counts_of(worker) == DirectiveCounts(events=1, opened=1, furthest_stage=1)
    worker.advance_time(NOW + 61)
    assert counts_of(worker) == DirectiveCounts(alarms={"High": 1})


def test_what_time_causes_before_that_position_is_written_already() -> None:
    """After it, the worker may have died before the backlogs expired."""
    for written_until, lines in ((BASE + 2, 0), (BASE + 1, 1)):
        worker = successor(written_until)
        worker.process_batch(BASE + 1, [event(0, event_id="a")], NOW)
        lines_of(worker)
        assert worker.advance_time(NOW + 61)
        assert worker.ledger.backlogs["expired"] == 0
        assert lines_of(worker) == (0, lines)
        assert worker.ledger.backlogs["expired"] == 1


def test_the_lines_of_another_router_are_new() -> None:
    """It does not deliver again what the one before it did."""
    worker = successor(BASE + 2, LIFE + 1)
    worker.process_batch(base_of(LIFE + 1) + 1, [event(0, event_id="a")], NOW)
    assert lines_of(worker) == (1, 1)
    assert worker.make_report(CheckpointStats()).life == LIFE + 1


def test_what_time_causes_under_another_router_is_new() -> None:
    """The worker has restored a backlog of a position that nobody delivers again."""
    worker = successor(0)
    worker.process_batch(BASE + 1, [event(0, event_id="a")], NOW)
    lines_of(worker)
    worker.deliveries.written = Written(BASE + 2, BASE + 2)
    worker.begin_life(LIFE + 1)
    worker.advance_time(NOW + 61)
    assert lines_of(worker) == (0, 1)


def test_a_batch_without_events_keeps_the_position() -> None:
    worker = successor(0)
    worker.process_batch(BASE, [], NOW)
    assert worker.progress.position == BASE
    worker.process_batch(BASE + 1, [event(0)], NOW)
    worker.process_batch(BASE + 1, [], NOW + 1)
    assert worker.progress.position == BASE + 1


def test_a_report_says_what_checkpoints_hold() -> None:
    stats = CheckpointStats(position=BASE + 7, synced=3)
    report = successor(0).make_report(stats, sync=4)
    assert (report.saved, report.saved_sync, report.sync) == (BASE + 7, 3, 4)


# A worker that reads a stream.


def reader(position: int = 0, written_until: int = 0) -> Shard:
    worker = shard(0)
    worker.has_stream = worker.deliveries._has_stream = True
    worker.progress.position, worker.deliveries.written = (
        position,
        Written(written_until, written_until),
    )
    worker.resume({})
    return worker


def batch(*positions: int, now: int = NOW, stream: str = "A") -> Batch:
    """Events at these positions, with them as their ids."""
    events = [event(0, event_id=str(position - BASE)) for position in positions]
    packed = array(POSITION_CODE, positions).tobytes()
    return Batch(positions[0], positions[-1], now, False, events, packed, stream)


def process(worker: Shard, given: Batch) -> list[tuple[int, int, str]]:
    """Number of events, position and name of the stream, after each part, as a checkpoint saves."""
    steps = []
    for part in worker.deliveries.new_parts(given):
        steps.append((len(part.events), worker.progress.position, worker.progress.stream))
        worker.process_batch(part.last, part.events, part.now)
    return steps


def test_a_stream_is_noted_with_a_position_in_it_and_not_before() -> None:
    """A checkpoint may be written while a batch waits for what time causes."""
    worker = reader()
    assert process(worker, batch(BASE + 1, BASE + 2)) == [(2, 0, "")]
    assert worker.progress.stream == "A"
    anew = base_of(LIFE + 1)
    assert process(worker, batch(anew + 1, stream="B")) == [(1, BASE + 2, "A")]
    assert (worker.progress.position, worker.progress.stream) == (anew + 1, "B")
    assert process(worker, batch(anew + 2, stream="")) == [(1, anew + 1, "B")]
    assert worker.progress.stream == "B"


def test_what_was_processed_before_is_left_out_and_the_rest_split_where_lines_are_written() -> None:
    worker = reader(BASE + 4, written_until=BASE + 7)
    assert process(worker, batch(BASE + 1, BASE + 4)) == []
    given = batch(BASE + 3, BASE + 5, BASE + 7, BASE + 9)
    assert process(worker, given) == [(2, BASE + 4, ""), (1, BASE + 7, "A")]
    assert worker.ledger.deliveries.consumed == 3
    assert lines_of(worker)[0] == 1
    assert process(worker, given) == []


def test_a_batch_without_events_moves_the_position_of_a_stream() -> None:
    worker = reader()
    start = Batch(BASE + 6, BASE + 5, NOW, True, [], stream="A")
    assert process(worker, start) == [(0, 0, "")]
    assert (worker.progress.position, worker.progress.stream) == (BASE + 5, "A")
    assert process(worker, start) == [(0, BASE + 5, "A")]
    assert process(worker, Batch(BASE + 5, BASE + 4, NOW, False, [], stream="A")) == []
    assert worker.progress.position == BASE + 5


def test_the_time_of_a_stream_never_goes_back() -> None:
    worker = reader()
    process(worker, batch(BASE + 1, now=NOW + 5))
    process(worker, batch(BASE + 2, now=NOW))
    assert worker.now == NOW + 5


def test_a_report_names_the_stream_of_the_checkpoint() -> None:
    """The shard may be in another one already."""
    worker = reader()
    process(worker, batch(BASE + 1, stream="B"))
    report = worker.make_report(CheckpointStats(position=BASE - 7, stream="A"))
    assert (report.saved, report.stream) == (BASE - 7, "A")


# Another configuration.


def changed(*directives: dict[str, Any]) -> DirectiveSet:
    document = msgspec.json.encode({"directives": list(directives)})
    parsed = [item.directive for item in parse_directives(document) if item.directive]
    assert len(parsed) == len(directives)
    assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
    return directive_set(parsed, assets)


def two_rules(**more: Any) -> dict[str, Any]:
    return DIRECTIVE | {"rules": [RULE | {"stage": stage} for stage in (1, 2)]} | more


def counts(report: WorkerReport) -> dict[str, int]:
    return dict(+report.ledger.backlogs)


def test_backlogs_of_a_removed_directive_are_counted_and_have_no_line() -> None:
    worker = shard(0)
    worker.process_batch(1, [event(0)], NOW)
    assert counts(worker.make_report(CheckpointStats())) == {"opened": 1, "open": 1}
    worker.reload(2, changed(), lookups=False)
    report = worker.make_report(CheckpointStats())
    assert report.generation == 2
    assert (report.alarms, report.alarm_events) == (b"", b"")
    assert counts(report) == {"opened": 1, "removed": 1}
    assert worker.advance_time(NOW + 1000)
    assert not worker.has_lines


def test_backlogs_of_a_changed_directive_go_on_and_are_reported_as_former_ones() -> None:
    worker = shard(0)
    worker.process_batch(1, [event(0)], NOW)
    worker.reload(2, changed(two_rules(name="other")), lookups=False)
    report = worker.make_report(CheckpointStats())
    assert report.details is not None
    assert report.details.former == [1]
    worker.process_batch(2, [event(1, event_id="f")], NOW + 1)
    report = worker.make_report(CheckpointStats())
    assert report.details is not None
    assert (report.details.former, report.ledger.backlogs["finished"]) == ([], 1)
    assert json.loads(report.alarms.splitlines()[-1])["title"] == "n"


def test_before_the_first_event_a_configuration_can_be_replaced() -> None:
    worker = shard(0)
    worker.reload(2, changed(two_rules(id=7)), lookups=False)
    worker.process_batch(1, [event(0)], NOW)
    report = worker.make_report(CheckpointStats())
    assert (report.generation, report.ledger.backlogs["opened"]) == (2, 1)
