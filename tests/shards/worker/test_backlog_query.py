"""Finding open backlogs of a shard: order, filters, pages, and the work of one step."""

import time
from collections.abc import Iterable
from typing import Any

import pytest

from shards.ipc.queries import Address, BacklogRow, BacklogRows, FindBacklogs
from shards.worker.backlog_query import PER_STEP, find_backlogs
from shards.worker.shard import Shard
from tests.support.open_backlogs import OUTSIDE, open_backlogs, shard_of, source, take, two_stages
from tests.support.replaying import AT_START, event, rule

NOW = AT_START + 5000


def answer(shard: Shard, **query: Any) -> BacklogRows:
    *_, last = find_backlogs(shard, FindBacklogs(**query), NOW, lambda: True)
    assert last is not None
    return last


def ids(rows: Iterable[BacklogRow]) -> list[str]:
    return [row.id for row in rows]


@pytest.fixture(scope="module")
def shard() -> Shard:
    """Directive 1 has 5 backlogs, of which the third has taken 2 events; directive 2 has 2."""
    made = shard_of(two_stages(1, name="SSH from SRC_IP"), two_stages(2, priority=1))
    open_backlogs(made, range(5))
    open_backlogs(made, range(100, 102), 2)
    take(made, *(event(f"x{i}", 100 + i, 101, src_ip=source(2), **OUTSIDE) for i in range(2)))
    return made


def sources(rows: BacklogRows) -> list[str]:
    return [row.src[0].ip for row in rows.rows]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sort": "age", "descending": False, "limit": 3}, [0, 1, 2]),
        ({"sort": "age", "limit": 3}, [101, 100, 4]),
        ({"sort": "progress", "limit": 1}, [2]),
        ({"sort": "age", "descending": False, "risks": ["Low"]}, [100, 101]),
        ({"sort": "directive", "limit": 1, "alarm": "", "words": [source(101)]}, [101]),
        ({"network": "10.0.0.2/31", "sort": "age", "descending": False}, [2, 3]),
        ({"network": "10.0.0.4/32"}, [4]),
        ({"network": "2001:db8::/32"}, []),
        ({"words": ["ssh", "10.0.0.3"]}, [3]),
        ({"words": ["web"]}, [1]),
        ({"words": ["web", "k"], "directives": [1]}, [1]),
        ({"words": ["nothing"]}, []),
        ({"risks": ["Medium"], "sort": "age", "descending": False}, [0, 1, 2, 3, 4]),
        ({"stage": 1}, []),
        ({"directives": [7]}, []),
    ],
)
def test_order_and_filters(shard: Shard, query: dict[str, Any], expected: list[int]) -> None:
    found = answer(shard, **query)
    assert sources(found) == [source(number) for number in expected]
    assert found.open == 7


def test_a_row_has_the_stage_the_names_of_assets_and_when_it_expires(shard: Shard) -> None:
    [row] = answer(shard, words=["10.0.0.2"]).rows
    assert (row.stage, row.stages, row.stage_name, row.taken, row.needed) == (2, 2, "again", 2, 3)
    assert (row.directive, row.title, row.worker) == (1, "SSH from 10.0.0.2", 0)
    assert (row.created_time, row.expires_time) == (AT_START + 2, AT_START + 2 + 60 + 1)
    [row] = answer(shard, words=["10.0.0.1"], directives=[1]).rows
    assert (row.src, row.src_count) == ([Address("10.0.0.1", "web")], 1)


def test_stages_in_any_order_are_shown_by_the_lowest_open_one() -> None:
    directive = two_stages(1, any_order=True)
    directive["rules"] += (rule(3, 102, occurrence=2),)
    made = shard_of(directive)
    open_backlogs(made, range(1))
    take(made, event("x", 5, 101, src_ip=source(0)), event("y", 6, 102))
    [row] = answer(made).rows
    assert (row.stage, row.stages, row.taken, row.needed) == (2, 3, 1, 3)
    assert [len(answer(made, stage=stage).rows) for stage in (1, 2, 3)] == [0, 1, 1]


@pytest.mark.parametrize("sort", ["updated", "age", "expires", "progress", "stage", "risk"])
@pytest.mark.parametrize("descending", [True, False])
def test_pages_follow_each_other_without_gap_or_overlap(
    shard: Shard, sort: str, *, descending: bool
) -> None:
    seen: list[str] = []
    after = None
    while page := answer(shard, sort=sort, descending=descending, limit=2, after=after).rows:
        seen += ids(page)
        after = (page[-1].rank, page[-1].id)
    assert len(seen) == 7
    assert seen == ids(answer(shard, sort=sort, descending=descending).rows)


def test_an_alarm_is_found_by_its_id(shard: Shard) -> None:
    [wanted] = answer(shard, words=["10.0.0.3"]).rows
    assert ids(answer(shard, alarm=wanted.id).rows) == [wanted.id]
    assert ids(answer(shard, words=[wanted.id.casefold()]).rows) == [wanted.id]


def test_the_work_is_done_in_short_steps_and_no_more_rows_are_kept_than_asked_for() -> None:
    shard = shard_of(two_stages())
    open_backlogs(shard, range(3 * PER_STEP + 1))
    *steps, last = find_backlogs(shard, FindBacklogs(limit=10), NOW, lambda: True)
    assert steps == [None] * 4
    assert last is not None
    assert (len(last.rows), last.open, last.matching) == (10, 3 * PER_STEP + 1, 3 * PER_STEP + 1)


def test_what_was_found_in_time_is_given_with_a_note_that_it_is_not_all() -> None:
    shard = shard_of(two_stages())
    open_backlogs(shard, range(2 * PER_STEP))
    in_time = iter([True, False])
    *steps, last = find_backlogs(shard, FindBacklogs(), NOW, lambda: next(in_time))
    assert last is not None
    assert (len(steps), last.complete, len(last.rows)) == (1, False, 100)


def test_backlogs_may_open_and_close_between_two_steps() -> None:
    shard = shard_of(two_stages())
    open_backlogs(shard, range(2 * PER_STEP))
    steps = find_backlogs(shard, FindBacklogs(sort="age", limit=500), NOW, lambda: True)
    next(steps)
    again = (event(f"y{i}", 4000 + i % 3, 101, src_ip=source(i // 3)) for i in range(300))
    take(shard, *again)
    open_backlogs(shard, range(9000, 9100))
    shard.advance_time(int(time.time()))
    *_, last = steps
    assert last is not None
    assert len(last.rows) == 500
