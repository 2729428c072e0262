"""The workloads of the comparison, and their events."""

import re
from collections import Counter
from typing import Any

import msgspec
import pytest

from benchmarks.peers.workloads import Batch, EventFeed, Workload, select_workloads, with_masks
from benchmarks.support import synthetic

WORKLOAD = Workload("mix", 1, "test", 10, (1, 3), share=0.5, pairs=20)


def ids_of(batch: Batch) -> list[bytes]:
    """The ids of the matching events."""
    data = b"".join(piece for pieces in batch.slices for piece in pieces)
    return re.findall(rb'"event_id":"(%b[^"]*)"' % batch.id_prefix, data)


def events_of(batch: Batch) -> list[dict[str, Any]]:
    data = b"".join(piece for pieces in batch.slices for piece in pieces)
    return [
        msgspec.json.decode(found[1]) for found in re.finditer(rb"PUB [^\n]*\r\n(.*?)\r\n", data)
    ]


def test_a_quick_comparison_has_four_workloads_unless_dimensions_are_named() -> None:
    assert len(select_workloads((), quick=True)) == 4
    assert len(select_workloads((), quick=False)) == 16
    assert [workload.value for workload in select_workloads(["workers"], quick=True)] == [1, 2, 4]


def test_bare_addresses_get_a_mask() -> None:
    assets = {"assets": [{"cidr": cidr} for cidr in ("10.0.0.1", "2001:db8::1", "10.0.0.0/8")]}
    masked = msgspec.json.decode(with_masks(msgspec.json.encode(assets)))
    cidrs = [asset["cidr"] for asset in masked["assets"]]
    assert cidrs == ["10.0.0.1/32", "2001:db8::1/128", "10.0.0.0/8"]


def test_a_batch_has_its_share_of_matching_events_with_ids_of_their_own() -> None:
    batch = EventFeed(WORKLOAD).batch(2, 3000)
    ids = ids_of(batch)
    assert len(events_of(batch)) == batch.events == 3000
    assert len(set(ids)) == len(ids) == batch.matching
    assert 1300 < batch.matching < 1700


def test_the_last_event_matches_so_that_its_line_ends_the_run() -> None:
    feed = EventFeed(msgspec.structs.replace(WORKLOAD, share=0.0))
    batch = feed.batch(2, 100)
    assert batch.matching == 1
    assert events_of(batch)[-1]["event_id"].encode() == ids_of(batch)[0]


def test_the_opening_batch_has_one_event_for_each_pair() -> None:
    batch = EventFeed(WORKLOAD).opening_batch()
    events = events_of(batch)
    assert [event["src_ip"] for event in events] == [
        source for source, _ in synthetic.address_pairs(20)
    ]
    first = synthetic.FIRST_SID
    assert {event["plugin_sid"] for event in events} == {first, first + 2}


@pytest.mark.parametrize("noisy", [0, 2])
def test_noisy_pairs_have_nine_tenths_of_the_matching_events(noisy: int) -> None:
    workload = msgspec.structs.replace(WORKLOAD, share=1.0, noisy=noisy)
    sources = Counter(event["src_ip"] for event in events_of(EventFeed(workload).batch(2, 4000)))
    share = sum(count for _, count in sources.most_common(2)) / 4000
    assert (0.85 < share < 0.95) if noisy else (share < 0.2)
