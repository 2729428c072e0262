"""Sampling, and the ids of traces: properties of the raw bytes."""

from shards.tracing.sampling import Sampler, route_span_id, trace_id

EVENTS = [f'{{"event_id": "{number}"}}'.encode() for number in range(10_000)]


def test_one_of_so_many_events_is_sampled() -> None:
    sampled = Sampler(100).find(EVENTS)
    assert 50 < len(sampled) < 150
    assert sampled == [i for i, raw in enumerate(EVENTS) if Sampler(100).is_sampled(raw)]


def test_with_one_every_event_is_sampled() -> None:
    assert Sampler(1).find(EVENTS[:3]) == [0, 1, 2]


def test_a_trace_is_known_by_the_bytes_of_its_event() -> None:
    assert len({trace_id(raw) for raw in EVENTS}) == len(EVENTS)
    trace = trace_id(EVENTS[0])
    assert (len(trace), len(route_span_id(trace))) == (16, 8)
    assert trace == trace_id(bytes(bytearray(EVENTS[0])))
