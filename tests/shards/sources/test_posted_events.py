"""The response to a posted body: positions, ranges, and where it stops."""

import json
from typing import Any

import pytest

from shards.sources.event_source import QUEUE_FULL, Refusal
from shards.sources.posted_events import MAX_INVALID, MAX_LISTED, MAX_RANGES, PostedEvents

BAD, FULL = Refusal("bad_json", "no JSON"), Refusal(QUEUE_FULL, "full")


def noted(*refusals: Refusal | None) -> PostedEvents:
    results = PostedEvents()
    for refusal in refusals:
        results.note(refusal)
    return results


def document(results: PostedEvents, *about: Any) -> dict[str, Any]:
    body = results.response(*about).body
    assert isinstance(body, bytes)
    decoded: dict[str, Any] = json.loads(body)
    return decoded


def test_the_ranges_name_every_refused_position_by_reason() -> None:
    answer = document(noted(None, FULL, FULL, BAD, FULL, None, FULL))
    assert answer["rejected_ranges"] == {QUEUE_FULL: [[1, 2], [4, 4], [6, 6]], "bad_json": [[3, 3]]}


def test_positions_beyond_the_listed_ones_are_in_the_ranges() -> None:
    answer = document(noted(None, *[FULL] * 5000))
    assert (len(answer["rejected"]), answer["rejected_total"]) == (MAX_LISTED, 5000)
    assert answer["rejected_ranges"] == {QUEUE_FULL: [[1, 5000]]}


@pytest.mark.parametrize(
    ("refusals", "status"),
    [([], 200), ([None, BAD], 200), ([BAD], 400), ([None, FULL], 429), ([BAD, FULL], 429)],
)
def test_the_status_says_whether_a_retry_can_help(
    refusals: list[Refusal | None], status: int
) -> None:
    assert noted(*refusals).response().status == status


@pytest.mark.parametrize(
    ("refusals", "text"),
    [
        ([BAD] * MAX_INVALID, f"{MAX_INVALID} events are invalid"),
        ([FULL, None] * MAX_RANGES, f"refused events are in {MAX_RANGES} ranges"),
    ],
)
def test_too_many_refused_events_stop_it(refusals: list[Refusal | None], text: str) -> None:
    assert noted(*refusals[:-2]).limit_reached == ""
    results = noted(*refusals)
    assert text in results.limit_reached
    answer = document(results, results.limit_reached)
    assert answer["not_taken_from"] == len(refusals)
    assert results.response(results.limit_reached).status in (400, 429)
