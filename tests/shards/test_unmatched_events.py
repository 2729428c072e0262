"""Events that no directive is for: by signature, bounded, with the most frequent title."""

import json
from typing import Any

import msgspec

from engine.event import decode_timed_routing_key
from shards.ipc.messages import UnmatchedReport
from shards.ipc.pipes import ROOM_BYTES
from shards.unmatched_events import MAX_TEXT, MAX_TITLES, MOST_FREQUENT, Signature, UnmatchedEvents


def add(events: UnmatchedEvents, **fields: Any) -> None:
    raw = json.dumps({"src_ip": "192.0.2.1"} | fields).encode()
    events.add(decode_timed_routing_key(raw), raw)


def plugin(sid: int, **more: Any) -> dict[str, Any]:
    return {"plugin_id": 7, "plugin_sid": sid, **more}


def test_events_are_counted_by_plugin_or_else_by_product_and_category() -> None:
    events = UnmatchedEvents()
    add(events, **plugin(1, title="a", product="p", category="c"))
    add(events, **plugin(1, title="b", product="q", category="d"))
    add(events, **plugin(1, title="b"))
    add(events, product="p", category="c", title="t", plugin_id=7)
    counted = [(s.plugin_id, s.plugin_sid, s.product, s.category) for s in events.most_frequent]
    assert counted == [(7, 1, "p", "c"), (0, 0, "p", "c")]
    assert [(s.events, s.title) for s in events.most_frequent] == [(3, "b"), (1, "t")]


def test_any_number_of_signatures_is_bounded_and_the_frequent_ones_remain() -> None:
    events = UnmatchedEvents(limit=10)
    for number in range(1000):
        add(events, **plugin(1))
        add(events, **plugin(1000 + number))
        assert len(events.most_frequent) <= 20
    events.finish()
    kept = events.most_frequent
    assert len(kept) == 10
    assert (kept[0].plugin_sid, kept[0].events) == (1, 1000)
    assert sum(signature.events for signature in kept) + events.others == 2000


def test_a_short_report_has_the_most_frequent_ones_and_room_in_a_pipe() -> None:
    events = UnmatchedEvents()
    for number in range(MOST_FREQUENT + 5):
        long = f"{number} " + "\U0001f600" * 1000
        for _ in range(number + 1):
            add(events, product=long, category=long, title=long)
    report = events.short_report()
    assert [one.events for one in report] == list(range(MOST_FREQUENT + 5, 5, -1))
    assert report[0].title == events.most_frequent[0].title != ""
    assert len(msgspec.msgpack.encode(UnmatchedReport(report))) <= ROOM_BYTES


def test_any_number_of_titles_is_bounded_and_a_frequent_one_remains() -> None:
    signature = Signature(7, 1, "", "")
    for number in range(1000):
        signature.add_title(f"title {number}")
        signature.add_title("often")
        assert len(signature.titles) <= MAX_TITLES
    assert signature.title == "often"


def test_there_is_a_title_even_if_all_differ() -> None:
    signature = Signature(7, 1, "", "")
    for number in range(MAX_TITLES + 1):
        signature.add_title(f"title {number}")
    assert signature.titles == {}
    assert signature.title == "title 0"


def test_hostile_texts_are_cut_and_escaped() -> None:
    events = UnmatchedEvents()
    hostile = "\x1b[2J\u202e" + "x" * 100_000
    add(events, product=hostile, category=hostile, title=hostile)
    [signature] = events.most_frequent
    for text in (signature.product, signature.category, signature.title):
        assert text.isprintable()
        assert len(text) == MAX_TEXT


def test_a_title_that_is_no_text_is_left_out() -> None:
    events = UnmatchedEvents()
    add(events, **plugin(1, title=["a"]))
    add(events, **plugin(1, title=5))
    assert [signature.title for signature in events.most_frequent] == [""]
