"""Lines of the run before are not written again, and no alarm goes back behind them."""

import json
import time
from collections.abc import Sequence

import pytest

from shards.file_position import FilePosition, FilePositions
from shards.supervisor import written_lines
from shards.supervisor.written_lines import WrittenLines

POSITIONS = FilePositions(1, FilePosition(1, 2, 3), FilePosition(4, 5, 6))


def alarm(name: str, finished: int, extra: object = None) -> bytes:
    rules = [{"stage": n, "status": "finished"} for n in range(finished)] + [{"stage": finished}]
    return json.dumps(
        {"alarm_id": name, "rules": rules, "extra": extra}, separators=(",", ":")
    ).encode()


def written(alarms: Sequence[bytes] = (), alarm_events: Sequence[bytes] = ()) -> WrittenLines:
    lines = WrittenLines(POSITIONS)
    lines.add_alarms(alarms)
    lines.add_alarm_events(alarm_events)
    return lines


def positions_of(lines: WrittenLines) -> FilePositions | None:
    return lines.positions


def new_alarms(lines: WrittenLines, *alarms: bytes) -> tuple[list[bytes], int]:
    kept, outdated = lines.new_alarms(b"".join(line + b"\n" for line in alarms))
    return kept.splitlines(), outdated


def test_without_a_run_before_everything_passes_as_it_is() -> None:
    lines = WrittenLines()
    block = b"a\nb\n"
    assert lines.new_alarm_events(block) is block
    assert lines.new_alarms(block)[0] is block
    assert positions_of(lines) is None


def test_identical_lines_pass_only_when_they_come_more_often_than_they_were_there() -> None:
    lines = written([alarm("x", 0)], [b"e1", b"e1", b"e2"])
    assert lines.new_alarm_events(b"e1\ne3\ne1\n") == b"e3\n"
    assert lines.new_alarm_events(b"e1\n") == b"e1\n"
    assert new_alarms(lines, alarm("x", 0), alarm("x", 0)) == ([alarm("x", 0)], 0)


def test_an_alarm_does_not_go_back() -> None:
    lines = written([alarm("x", 1), alarm("x", 3), alarm("x", 3, "hits"), alarm("y", 1)])
    older = alarm("x", 2, "of a backlog that is behind")
    assert new_alarms(lines, older, alarm("z", 0), alarm("y", 0)) == ([alarm("z", 0)], 2)
    same = alarm("x", 3, "more hits")
    assert new_alarms(lines, same) == ([same], 0)
    assert new_alarms(lines, older) == ([older], 0), "its backlog was there: it is up to the engine"


def test_a_line_that_is_there_is_not_outdated() -> None:
    lines = written([alarm("x", 1), alarm("x", 2)])
    assert new_alarms(lines, alarm("x", 1), alarm("x", 2)) == ([], 0)
    assert positions_of(lines) is None


def test_once_all_has_come_again_nothing_is_known_and_the_positions_are_free() -> None:
    lines = written([alarm("x", 0), alarm("x", 2)], [b"e"])
    assert positions_of(lines) == POSITIONS
    lines.new_alarm_events(b"e\n")
    new_alarms(lines, alarm("x", 0))
    assert positions_of(lines) == POSITIONS
    new_alarms(lines, alarm("x", 2))
    assert positions_of(lines) is None
    block = b"a\n"
    assert lines.new_alarms(block)[0] is block


HOSTILE = (
    b"",
    b"{",
    b"[" * 100_000,
    b'{"alarm_id":"x"}',
    b'{"alarm_id":"x","rules":3}',
    b'{"alarm_id":"x","rules":[{"status":3}]}',
    b'{"alarm_id":"x","rules":[' + b"[" * 100_000,
    b'{"alarm_id":"x","rules":[{"status":"\xff"}]}',
    b'{"alarm_id":"x',
    b'{"alarm_id":7,"rules":[{"status":"finished"}]}',
    b'{"alarm_id":null,"rules":[{"status":"finished"}]}',
    b"\xff\x00\xfe",
)


@pytest.mark.parametrize("line", HOSTILE)
def test_hostile_lines_stop_nothing(line: bytes) -> None:
    lines = written([line, alarm("y", 2)], [line])
    assert new_alarms(lines, line)[0] == []
    assert lines.new_alarm_events(line + b"\n") == b""
    assert new_alarms(lines, alarm("x", 0), alarm("y", 1)) == ([alarm("x", 0)], 1)


def test_what_does_not_come_again_is_forgotten_after_many_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(written_lines, "KEPT_LINES", 100)
    lines = written([alarm("x", 2)], [b"e"])
    for number in range(99):
        assert lines.new_alarm_events(b"%d\n" % number)
    assert positions_of(lines) == POSITIONS
    lines.new_alarm_events(b"the last one\n")
    assert positions_of(lines) is None
    assert lines.new_alarm_events(b"e\n") == b"e\n"
    assert new_alarms(lines, alarm("x", 1)) == ([], 1), "a backlog may time out after hours"


def test_what_does_not_come_again_is_forgotten_after_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = written(alarm_events=[b"e"])
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3590)
    assert positions_of(lines) == POSITIONS
    monkeypatch.setattr(time, "monotonic", lambda: now + 3610)
    assert positions_of(lines) is None
    assert lines.new_alarm_events(b"e\n") == b"e\n"
