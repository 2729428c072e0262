"""The observer: what it records of processes, and what it asks them."""

from pathlib import Path

import pytest

from engine.directive_counts import DirectiveCounts
from shards.alarm_files import AlarmFiles
from shards.histograms import Timings
from shards.ipc.messages import WorkerDetails, WorkerReport
from shards.ledger import Events
from shards.ops.overview import Overview
from shards.settings.settings import Settings
from shards.supervisor.alarm_writer import AlarmWriter
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.observer import Observer
from tests.support.generations import generation
from tests.support.reports import router_report, worker_report

SETTINGS = Settings(workers=2, max_queue=100, metrics_per_directive=True)


def report(*alarms: str, details: WorkerDetails | None = None, done: int = 0) -> WorkerReport:
    lines = b"".join(b'{"alarm_id":"%b","n":1}\n' % name.encode() for name in alarms)
    return worker_report(done, opened=3, still_open=3, alarms=lines, details=details)


class Watch:
    """An observer of two workers, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.aggregator = LedgerAggregator(2)
        first = generation(range(4), range(5), rejected=2)
        self.observer = Observer(SETTINGS, first, self.aggregator)
        self._alarm_writer = AlarmWriter(AlarmFiles(folder))

    def overview(self, *, stopping: bool = False) -> Overview:
        return self.observer.overview(self._alarm_writer, stopping=stopping)

    def all_up(self) -> None:
        for worker in (0, 1, None):
            self.observer.started(worker)
            self.observer.ready(worker)
        self.aggregator.router_reported(router_report(queues={1: (9, 0, 7)}, connected=True))


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def test_what_is_missing_is_named_from_start_to_end(watch: Watch) -> None:
    assert watch.overview().readiness_problems == [
        "worker-0 is not running",
        "worker-1 is not running",
        "router is not running",
    ]
    watch.observer.started(0)
    assert watch.overview().readiness_problems[0] == "worker-0 is still starting"
    watch.all_up()
    assert watch.overview().readiness_problems == []
    assert watch.overview(stopping=True).readiness_problems == ["it is stopping"]


@pytest.mark.parametrize("worker", [0, 1, None])
def test_a_process_that_has_ended_is_not_running_and_counts_as_a_restart(
    watch: Watch, worker: int | None
) -> None:
    watch.all_up()
    watch.observer.ended(worker)
    name = "router" if worker is None else f"worker-{worker}"
    assert watch.overview().readiness_problems == [f"{name} is not running"]
    watch.observer.started(worker)
    assert watch.overview().readiness_problems == [f"{name} is still starting"]
    watch.observer.ready(worker)
    overview = watch.overview()
    assert overview.readiness_problems == []
    processes = {one.name: one.restarts for one in (overview.router, *overview.workers)}
    assert processes == {"router": 0, "worker-0": 0, "worker-1": 0} | {name: 1}


def test_without_a_connection_it_is_not_ready(watch: Watch) -> None:
    watch.all_up()
    watch.aggregator.router_reported(router_report())
    assert watch.overview().readiness_problems == ["it is not listening"]
    watch.aggregator.router_ended(1, 0.0)
    assert watch.overview().source_connected is False


def test_shards_have_what_was_reported_of_them(watch: Watch) -> None:
    watch.all_up()
    watch.aggregator.worker_reported(1, report())
    first, second = watch.overview().shards
    assert (first.directives, first.backlogs, first.queue) == (4, 0, 0)
    assert (second.directives, second.backlogs, second.queue) == (5, 3, 7)
    assert second.queue_capacity == 100
    assert (watch.overview().directives, watch.overview().rejected_directives) == (9, 2)


def test_an_alarm_that_is_written_again_is_the_latest(watch: Watch) -> None:
    watch.observer.wrote(0, report("aaaaaaaaa", "bbbbbbbbb"))
    watch.observer.wrote(1, report("aaaaaaaaa"))
    ids = [line[13:22].decode() for line in watch.overview().latest_alarms]
    assert ids == ["bbbbbbbbb", "aaaaaaaaa"]


def test_details_add_up_over_workers_and_restarts(watch: Watch) -> None:
    for worker, at in ((0, 50.0), (1, 70.0), (0, 60.0)):
        timings = Timings()
        timings.lag.buckets[0] = 2
        details = WorkerDetails(timings, {"High": 1}, {7: DirectiveCounts(3)}, at)
        watch.observer.wrote(worker, report(details=details))
        watch.observer.wrote(worker, report())
    overview = watch.overview()
    assert overview.timings.lag.count == 6
    assert overview.alarms_written == {"Low": 0, "Medium": 0, "High": 3}
    assert overview.matches == {7: 9}
    assert overview.oldest_checkpoint_at == 60.0  # the worker whose last one is the oldest


def test_the_age_of_a_checkpoint_is_not_known_before_each_worker_has_one(watch: Watch) -> None:
    watch.observer.wrote(0, report(details=WorkerDetails(Timings(), {}, {}, 50.0)))
    assert watch.overview().oldest_checkpoint_at == 0.0


def test_the_trouble_of_a_worker_with_its_checkpoint_is_known_while_it_lasts(watch: Watch) -> None:
    def reported(worker: int, trouble: str) -> None:
        details = WorkerDetails(Timings(), {}, {}, 0.0, trouble)
        watch.observer.wrote(worker, report(details=details))

    watch.all_up()
    for worker in (1, 0):
        reported(worker, f"{worker} is full")
        watch.observer.wrote(worker, report())
    assert watch.overview().checkpoint_troubles == {
        "worker-0": "0 is full",
        "worker-1": "1 is full",
    }
    reported(0, "")
    watch.observer.ended(1)  # the next one has no trouble yet
    assert watch.overview().checkpoint_troubles == {}


def test_rates_are_those_of_late(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("shards.supervisor.observer.time.monotonic", lambda: now)
    watch.all_up()
    for done in (0, 50, 150):
        watch.aggregator.worker_reported(0, report(done=done))
        events = Events(received=2 * done, routed=2 * done)
        watch.aggregator.router_reported(router_report(events, connected=True))
        watch.observer.sample()
        now += 1.0
    overview = watch.overview()
    assert overview.events_per_second == 150.0
    assert [shard.events_per_second for shard in overview.shards] == [75.0, 0.0]
