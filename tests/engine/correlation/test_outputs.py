"""The outputs of correlation: outcomes, and whether an event was consumed."""

import pytest

from engine.correlation.outputs import Outputs


@pytest.mark.parametrize(
    ("outcomes", "consumed"),
    [
        ((), False),
        (("expired",), False),
        (("taken",), True),
        (("expired", "expired", "opened"), True),
        (("sticky_seen",), True),
        (("suppressed",), True),
    ],
)
def test_an_event_is_consumed_unless_backlogs_only_expired(
    outcomes: tuple[str, ...], consumed: bool
) -> None:
    outputs = Outputs()
    for outcome in outcomes:
        outputs.count(outcome)
    assert outputs.consumed is consumed


def test_equal_outcomes_are_counted_together() -> None:
    outputs = Outputs()
    for outcome in ("taken", "opened", "taken"):
        outputs.count(outcome)
    assert outputs.counts == {"taken": 2, "opened": 1}
