"""The judge reads what rotation has renamed, in the order in which it was written."""

import json
from pathlib import Path

from benchmarks.exactly_once.judge import judge
from benchmarks.exactly_once.plans import Plan, Step
from benchmarks.exactly_once.traffic import event_id, source
from shards.alarm_files import ALARM_EVENTS, ALARMS

PLAN = Plan("plain", 1, (Step(1, 1), Step(2, 2), Step(3, 3)), 3, False, 1.0)
RISKS = (1, 5, 10)


def alarm(finished: int) -> str:
    """The line of an alarm with so many finished stages."""
    rules = [{"status": "finished" if stage < finished else "active"} for stage in range(3)]
    values = {"alarm_id": "a", "risk": RISKS[finished - 1], "src_ips": [source(0)], "rules": rules}
    return json.dumps(values) + "\n"


def write(folder: Path, alarms: dict[str, str]) -> None:
    """Write alarm files with these contents by suffix, and the alarm events of the plan."""
    for suffix, text in alarms.items():
        (folder / f"{ALARMS}{suffix}").write_text(text)
    lines = [{"alarm_id": "a", "stage": n + 1, "event_id": event_id(0, n)} for n in range(3)]
    first, *others = (json.dumps(line) + "\n" for line in lines)
    (folder / f"{ALARM_EVENTS}.1").write_text(first)
    (folder / ALARM_EVENTS).write_text("".join(others))


def faults(folder: Path) -> dict[str, int]:
    """What is wrong with the files of one scenario."""
    found = judge(folder, [PLAN], [0]).faults
    return {name: number for name, number in found.items() if number}


def test_parts_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write(tmp_path, {".2": alarm(1), ".10": alarm(2), "": alarm(3)})
    assert faults(tmp_path) == {}


def test_a_line_of_an_earlier_part_may_not_come_again(tmp_path: Path) -> None:
    write(tmp_path, {".1": alarm(1), ".2": alarm(2), "": alarm(2) + alarm(3)})
    assert faults(tmp_path) == {"twice": 1}


def test_an_alarm_may_not_go_back_in_a_later_part(tmp_path: Path) -> None:
    write(tmp_path, {".1": alarm(1) + alarm(2) + alarm(3), "": alarm(2)})
    assert faults(tmp_path) == {"twice": 1, "gone back": 1, "overwritten": 1}


def test_an_earlier_part_may_not_end_in_the_middle_of_a_line(tmp_path: Path) -> None:
    write(tmp_path, {".1": alarm(1) + alarm(2)[:-9], "": alarm(3)})
    assert faults(tmp_path) == {"torn": 1}
