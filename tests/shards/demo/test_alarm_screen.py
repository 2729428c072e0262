"""The screen of the demo keeps a bounded number of alarms, and counts all."""

from typing import Any

from shards.demo.alarm_screen import MOST_ALARMS, AlarmScreen


def alarm(number: int) -> dict[str, Any]:
    rules = [{"name": "r", "stage": 1, "status": "finished", "end_time": number}]
    return {"alarm_id": f"a{number}", "title": "t", "risk": 1, "risk_class": "Low", "rules": rules}


def test_the_oldest_alarms_make_room() -> None:
    screen = AlarmScreen()
    for number in range(MOST_ALARMS + 2):
        assert screen.update(alarm(number))
    assert next(iter(screen.alarms)) == "a2"
    assert len(screen.alarms) == MOST_ALARMS
    assert screen.count == MOST_ALARMS + 2


def test_a_line_without_a_change_is_not_shown() -> None:
    screen = AlarmScreen()
    assert screen.update(alarm(1))
    assert not screen.update(alarm(1))
    assert screen.count == 1
