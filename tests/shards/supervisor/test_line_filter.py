"""What the line filter lets through after deaths of a worker, and what it keeps."""

import pytest

from shards.ipc.messages import AlarmLines
from shards.supervisor import line_filter
from shards.supervisor.line_filter import LineFilter
from tests.support.reports import worker_report


def note(lines: LineFilter, alarms: bytes, position: int, sync: int = 0) -> None:
    lines.note(worker_report(alarms=alarms, position=position, sync=sync))


def test_lines_pass_while_no_worker_has_died() -> None:
    lines = LineFilter()
    note(lines, b"a\n", 5)
    assert (lines.new_lines(b"a\nb\n"), lines.written.position) == (b"a\nb\n", 5)


def test_lines_after_the_last_delivery_do_not_pass_twice() -> None:
    """Those up to it are the business of the next worker, which gets the position."""
    lines = LineFilter()
    note(lines, b"by a delivery\n", 4)
    note(lines, b"", 4)
    note(lines, b"", 5)
    note(lines, b"time 1\n", 5)
    note(lines, b"time 2\n", 5)
    lines.worker_died()
    assert lines.written.position == 5
    assert lines.new_lines(b"time 1\nnew\ntime 2\n") == b"new\n"
    assert lines.new_lines(b"time 1\n") == b"time 1\n", "once, for one line"
    assert lines.new_lines(b"by a delivery\n") == b"by a delivery\n"


def test_a_second_death_before_the_lines_came_again_changes_nothing() -> None:
    lines = LineFilter()
    note(lines, b"a\nb\n", 5)
    lines.worker_died()
    assert lines.new_lines(b"a\n") == b""
    note(lines, b"a\n", 3)
    lines.worker_died()
    assert lines.new_lines(b"a\nb\n") == b""


def test_lines_of_a_report_whose_end_is_missing_do_not_pass_twice() -> None:
    lines = LineFilter()
    note(lines, b"", 5)
    lines.note(AlarmLines(b"event\n", b""))
    lines.note(AlarmLines(b"", b"alarm\n"))
    lines.worker_died()
    assert lines.written.position == 5
    assert lines.new_lines(b"event\n") == lines.new_lines(b"alarm\n") == b""


def test_a_checkpoint_ends_the_muting_and_forgets_the_lines_that_it_rests_on() -> None:
    lines = LineFilter()
    note(lines, b"0\n", 5)
    note(lines, b"1\n", 5, sync=1)
    note(lines, b"2\n", 5, sync=2)
    note(lines, b"3\n", 5)
    lines.note_saved(2)
    lines.worker_died()
    assert lines.new_lines(b"0\n") == b"0\n", "its effect is in the checkpoint"
    assert lines.new_lines(b"3\n") == b"", "it came after the checkpoint"
    lines.note_saved(0)
    assert lines.new_lines(b"2\n") == b""


def test_the_muting_ends_with_a_checkpoint_of_a_worker_that_has_come_as_far() -> None:
    lines = LineFilter()
    note(lines, b"time\n", 6)
    lines.worker_died()
    note(lines, b"", 4, sync=1)  # it is restored, and gets deliveries again
    lines.note_saved(1)
    note(lines, b"", 6, sync=2)  # time may still cause lines there
    lines.note_saved(2)
    was_settled = lines.is_settled
    assert lines.new_lines(b"time\n") == b""
    note(lines, b"", 6, sync=3)
    assert (was_settled, lines.is_settled) == (False, True)
    lines.note_saved(3)
    assert lines.new_lines(b"time\n") == b"time\n"


def test_a_delivery_after_the_death_settles_a_worker() -> None:
    lines = LineFilter()
    note(lines, b"time\n", 6)
    lines.worker_died()
    note(lines, b"", 7)
    assert lines.is_settled
    assert lines.new_lines(b"time\n") == b"", "until a checkpoint rests on it"
    note(lines, b"", 7, sync=1)
    lines.note_saved(1)
    assert lines.new_lines(b"time\n") == b"time\n"


def test_a_number_that_every_report_repeats_is_looked_at_once() -> None:
    lines = LineFilter()
    for _ in range(2):
        note(lines, b"1\n", 5, sync=1)
    lines.note_saved(1)
    since = lines._since
    lines.note_saved(1)
    assert lines._since is since


@pytest.mark.parametrize("deaths", [0, 1, 50])
def test_the_number_of_known_lines_is_bounded(deaths: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Growth: a worker that cannot write checkpoints, and dies now and then."""
    monkeypatch.setattr(line_filter, "MAX_LINES", 100)
    lines = LineFilter()
    note(lines, b"", 5)
    for death in range(deaths + 1):
        for number in range(150):
            note(lines, b"%d %d\n" % (death, number), 5)
            assert len(lines._since) <= 100
        if death < deaths:
            lines.worker_died()
        assert len(lines._repeated) <= 100
