"""Counts in words."""

from shards.commands.tables import (
    count_stages,
    format_moment,
    list_counts,
    nonzero_parts,
    with_spaces,
)


def test_counts_are_listed_with_separators_and_their_names() -> None:
    assert list_counts({"routed": 1057, "bad_json": 2}) == "1,057 routed, 2 bad_json"
    assert list_counts({}) == ""


def test_a_name_cannot_command_the_terminal() -> None:
    assert list_counts({"\x1b[2J": 1}) == "1 \\x1b[2J"


def test_parts_leave_out_the_total_and_zeros_and_name_their_reasons() -> None:
    counts = {
        "received": 9,
        "routed": 5,
        "unmatched": 0,
        "invalid": {"bad_json": 4, "too_large": 0},
    }
    assert nonzero_parts(counts, "received") == {"routed": 5, "invalid bad_json": 4}


def test_names_with_spaces() -> None:
    assert with_spaces({"sticky_seen": 1, "lost worker_died": 2}) == {
        "sticky seen": 1,
        "lost worker died": 2,
    }


def test_finished_stages_are_counted() -> None:
    assert count_stages(["finished", "timeout", ""]) == "1/3"


def test_a_time_beyond_the_calendar_is_a_number() -> None:
    assert format_moment(1741075200) == "2025-03-04 08:00:00"
    assert format_moment(10**18) == str(10**18)
