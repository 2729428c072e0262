"""What a test bed sees of a backend, with a real nats-server, and a small peer as a process."""

from pathlib import Path

import pytest

from benchmarks.cluster.publisher_process import PublisherProcess
from benchmarks.peers import rates, test_bed
from benchmarks.peers.backend import Backend
from benchmarks.peers.running_backend import BackendStartError
from benchmarks.peers.test_bed import Options, TestBed
from benchmarks.peers.workloads import Workload
from tests.benchmarks.peers.fake_peer import fake_peer

pytestmark = pytest.mark.integration
WORKLOAD = Workload("directives", 1, "1 directive", 1, (1,), share=0.5, pairs=10)
OPTIONS = Options(seconds=0.2, limit=10.0)


def peer(folder: Path, behaviour: str = "") -> Backend:
    return Backend("dsiem-rs", fake_peer(folder, behaviour))


def test_each_event_is_counted_in_its_own_run(tmp_path: Path) -> None:
    with TestBed.of(peer(tmp_path), WORKLOAD, OPTIONS) as bed:
        opening = bed.open_backlogs(WORKLOAD, 10.0)
        assert (opening.opened, opening.repeated, opening.note) == (10, 0, "")
        for run in (2, 3):
            plan = WORKLOAD.bursts(bed.server.port, run, 500, 0.2)
            with PublisherProcess(plan) as publisher:
                passage = bed.observe(plan, publisher, 10.0)
            assert passage.lines == passage.report.matching > 10
            assert (passage.lost, passage.repeated, passage.settled) == (0, 0, True)


def test_lost_events_are_counted_and_lost_backlogs_are_opened_again(tmp_path: Path) -> None:
    with TestBed.of(peer(tmp_path, "lossy"), WORKLOAD, OPTIONS) as bed:
        opening = bed.open_backlogs(WORKLOAD, 10.0)
        assert opening.opened == 10
        assert "1 of 10 backlogs were opened by another event only" in opening.note
        plan = WORKLOAD.bursts(bed.server.port, 2, 500, 0.2)
        with PublisherProcess(plan) as publisher:
            passage = bed.observe(plan, publisher, 10.0)
        assert passage.lost == passage.report.matching - passage.lines > 0


def test_a_subscription_without_lines_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_bed, "_START_TIMEOUT", 1.0)
    bed = TestBed.of(peer(tmp_path, "silent"), WORKLOAD, OPTIONS)
    with pytest.raises(BackendStartError, match="it has subscribed, and writes no line"):
        bed.__enter__()


def test_no_rate_is_sustained_by_a_backend_that_loses_events_at_any(tmp_path: Path) -> None:
    run = rates.measure(WORKLOAD, peer(tmp_path, "lossy"), 1, OPTIONS)
    assert (run.sustained, run.with_losses) == (0, 0)
    assert run.lost > 0
    assert "lost" in run.failure
    assert all(trial.matching == trial.lines + trial.lost for trial in run.trials)
