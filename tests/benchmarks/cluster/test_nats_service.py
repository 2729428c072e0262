"""Which runs over NATS are sustained, and their rate if they are not."""

from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks.cluster.nats_service import Outcome
from benchmarks.cluster.publisher import BurstPlan, PublishReport
from benchmarks.support.service_process import FinalLedger

SUSTAINED = Outcome(
    plan=BurstPlan(0, 1, 1000, 10.0, 0.1, (1,)),
    report=PublishReport(10_000, 1000, 0.0, max_delay=0.3, final_delay=0.1, cpu=0.5),
    line_delay=0.2,
    cpu={"router": 0.02, "worker": 0.03, "publisher": 0.5},
    other_cores=0.0,
    latencies=(),
    pss=0,
    ledger=FinalLedger(0, True, 10_400, 1400, 1400, 1400, {}),
    lost=0,
    share_kept=1.0,
    calibration=1.0,
)


def test_a_run_without_losses_or_delays_is_sustained() -> None:
    assert SUSTAINED.sustained
    assert SUSTAINED.rate == 1000


@pytest.mark.parametrize(
    "change",
    [
        {"lost": 1},
        {"line_delay": None},
        {"line_delay": 2.1},
        {"report": replace(SUSTAINED.report, final_delay=0.3)},
        {"ledger": replace(SUSTAINED.ledger, exit_code=1)},
        {"ledger": replace(SUSTAINED.ledger, adds_up=False)},
        {"ledger": replace(SUSTAINED.ledger, lines=1401)},
        {"ledger": replace(SUSTAINED.ledger, losses={"events_dropped": 1})},
    ],
)
def test_a_run_with_a_loss_or_a_delay_is_not_sustained(change: dict[str, Any]) -> None:
    assert not replace(SUSTAINED, **change).sustained


def test_the_rate_of_a_run_that_is_not_sustained_is_of_the_events_not_lost() -> None:
    outcome = replace(SUSTAINED, lost=5000, share_kept=0.5, line_delay=2.4)
    assert outcome.rate == pytest.approx(5000 / 12.5)
    assert replace(outcome, line_delay=None).rate == pytest.approx(5000 / 10.1)


def test_cpu_time_is_per_published_event() -> None:
    assert SUSTAINED.cpu_micros("router", "worker") == pytest.approx(5.0)
