"""Decoding recorded events: the key, the time, `_source`, and the place."""

import json

import pytest

from engine.errors import InvalidEventError
from engine.event import decode_timed_routing_key
from shards.sources.recorded_event import decode_recorded_event
from tests.support.recordings import START_TIME, as_json, recorded


def test_an_event_has_its_key_and_its_time() -> None:
    one = recorded(3.9)
    assert one.time == START_TIME + 3
    assert one.key is not None
    assert one.key.src_ip == "192.0.2.1"


def test_an_event_without_a_time_is_an_event() -> None:
    one = recorded(None)
    assert one.time is None
    assert one.key is not None


@pytest.mark.parametrize(
    "document",
    [
        {"_index": "siem_events", "_id": "x", "_score": 1, "_source": json.loads(as_json(1))},
        {"_source": {"_source": json.loads(as_json(1))}},
    ],
)
def test_the_source_of_a_document_is_the_event(document: object) -> None:
    one = decode_recorded_event("f", json.dumps(document).encode(), 1, 1)
    assert json.loads(one.raw) == json.loads(as_json(1))
    assert one.time == START_TIME + 1


def test_an_event_may_have_a_field_named_source() -> None:
    raw = as_json(1)[:-1] + b', "_source": {"plugin_id": 0}}'
    assert decode_recorded_event("f", raw, 1, 1).raw == raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "bad_json"),
        (b"[]", "bad_type"),
        (b'{"_index": "x"}', "missing_field"),
        (b'{"_source": {"event_id": "x"}}', "missing_field"),
        (b'{"_source": 7}', "bad_type"),
        (b'{"_source":' * 900 + b"7" + b"}" * 900, "bad_type"),
        (b'{"_source":' * 90_000, "bad_json"),
    ],
)
def test_what_is_no_event_has_a_reason(raw: bytes, reason: str) -> None:
    one = decode_recorded_event("f", raw, 1, 1)
    assert one.key is None
    with pytest.raises(InvalidEventError) as error:
        decode_timed_routing_key(one.raw)
    assert error.value.reason == reason


def test_the_place_names_file_line_and_column() -> None:
    assert recorded(0, "x.gz", 7).place == "x.gz, line 7"
    assert decode_recorded_event("x", b"", 1, 300).place == "x, line 1, column 300"
