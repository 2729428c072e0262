"""The schedule and the events of the publisher of bursts."""

import re
import time
from collections import Counter
from typing import Any

import msgspec
import pytest

from benchmarks.cluster import publisher
from benchmarks.cluster.publisher import BurstPlan, due_time, prepare_slices, publish_slices
from benchmarks.support import synthetic

PLAN = BurstPlan(0, 7, 20_000, 0.1, 0.2, (synthetic.FIRST_SID,), pairs=10)


def events_of(pieces: Any) -> list[dict[str, Any]]:
    """The events in NATS frames."""
    data = b"".join(pieces)
    return [
        msgspec.json.decode(found[1]) for found in re.finditer(rb"PUB [^\n]*\r\n(.*?)\r\n", data)
    ]


def test_each_slice_has_the_events_that_are_due_in_it() -> None:
    slices, matching = prepare_slices(PLAN)
    events = [events_of(pieces) for pieces in slices]
    assert list(map(len, events)) == [200] * 10
    known = [event for some in events for event in some if event["plugin_sid"] in PLAN.sids]
    assert len(known) == matching
    assert 300 < matching < 500
    assert events[-1][-1]["plugin_sid"] == synthetic.FIRST_SID


def test_ids_of_matching_events_are_unique_and_give_the_time_of_their_slice() -> None:
    slices, matching = prepare_slices(PLAN)
    ids = set()
    for number, pieces in enumerate(slices):
        for event in events_of(pieces):
            if event["plugin_sid"] in PLAN.sids:
                assert due_time(event["event_id"]) == pytest.approx(number * 0.01)
                ids.add(event["event_id"])
    assert len(ids) == matching


def test_in_order_each_pair_has_one_event() -> None:
    plan = msgspec.structs.replace(PLAN, rate=1000, seconds=0.01, share=1.0, in_order=True)
    slices, matching = prepare_slices(plan)
    sources = [event["src_ip"] for pieces in slices for event in events_of(pieces)]
    assert matching == 10
    assert sources == [source for source, _ in synthetic.address_pairs(10)]


class SlowPublisher:
    """Records the times of what it sends; the first send takes 50 ms."""

    def __init__(self) -> None:
        self.sent_at: list[float] = []
        self.sent = b""
        self.flushed = False

    def send(self, frames: bytes) -> None:
        self.sent_at.append(time.monotonic())
        self.sent += frames
        if len(self.sent_at) == 1:
            time.sleep(0.05)

    def flush(self) -> None:
        self.flushed = True


def test_late_slices_follow_without_a_pause_and_their_delay_is_reported() -> None:
    slow: Any = SlowPublisher()
    start = time.monotonic() + 0.01
    max_delay, final_delay = publish_slices(slow, [[b"x"]] * 20, 0.005, start)
    assert slow.flushed
    assert slow.sent == b"x" * 20
    assert all(at >= start + number * 0.005 for number, at in enumerate(slow.sent_at))
    assert max_delay >= 0.045
    assert final_delay < max_delay


def test_templates_are_shared_equally_by_all_pairs() -> None:
    templates = publisher.matching_templates(1, 10, (1, 2))
    assert len(templates) == publisher.POOL_SIZE
    assert all(before.startswith(b"PUB dsiem_events ") for before, _ in templates)


@pytest.mark.parametrize("noisy", [0, 2])
def test_noisy_pairs_have_nine_tenths_of_the_matching_events(noisy: int) -> None:
    plan = msgspec.structs.replace(PLAN, share=1.0, noisy=noisy, pairs=20)
    slices, matching = prepare_slices(plan)
    events = [event for pieces in slices for event in events_of(pieces)]
    (_, first), (_, second) = Counter(event["src_ip"] for event in events).most_common(2)
    assert matching == 2000
    share = (first + second) / matching
    assert (0.85 < share < 0.95) if noisy else (share < 0.2)
