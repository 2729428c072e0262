"""The workloads of the comparison, and their events."""

import msgspec

from benchmarks.cluster.publisher import prepare_slices
from benchmarks.peers.workloads import DIMENSIONS, Workload, select_workloads, with_masks
from benchmarks.support import synthetic

WORKLOAD = Workload("mix", 1, "test", 10, (1, 3), share=0.5, pairs=20)


def test_a_quick_comparison_has_two_workloads() -> None:
    assert len(select_workloads(DIMENSIONS, quick=True)) == 2
    assert len(select_workloads(DIMENSIONS, quick=False)) == 15
    assert [workload.value for workload in select_workloads(["workers"], quick=False)] == [1, 2, 4]


def test_bare_addresses_get_a_mask() -> None:
    assets = {"assets": [{"cidr": cidr} for cidr in ("10.0.0.1", "2001:db8::1", "10.0.0.0/8")]}
    masked = msgspec.json.decode(with_masks(msgspec.json.encode(assets)))
    cidrs = [asset["cidr"] for asset in masked["assets"]]
    assert cidrs == ["10.0.0.1/32", "2001:db8::1/128", "10.0.0.0/8"]


def test_each_pair_has_one_opening_event_in_a_form_that_all_backends_accept() -> None:
    frames = [before + b"id" + after for before, after in WORKLOAD.opening_frames()]
    events = [msgspec.json.decode(frame.split(b"\r\n")[1]) for frame in frames]
    pairs = synthetic.address_pairs(20)
    assert [event["src_ip"] for event in events] == [source for source, _ in pairs]
    first = synthetic.FIRST_SID
    assert [event["plugin_sid"] for event in events] == [first, first + 2] * 10
    assert all(event["timestamp"].endswith("Z") for event in events)
    assert {event["protocol"] for event in events} == {"TCP/IP"}


def test_the_plans_have_the_parameters_of_the_workload() -> None:
    workload = Workload("mix", 1, "test", 10, (3,), share=0.5, pairs=20, noisy=2)
    for plan in (workload.bursts(1, 7, 1000, 0.1), workload.paced(1, 7, 1000, 0.1)):
        assert (plan.run, plan.rate, plan.share, plan.pairs, plan.noisy) == (7, 1000, 0.5, 20, 2)
        assert plan.sids == (synthetic.FIRST_SID + 2,)
    slices, matching = prepare_slices(workload.bursts(1, 7, 1000, 0.1))
    ids = [piece for pieces in slices for piece in pieces if piece.startswith(b"00000007-")]
    assert len(ids) == matching


def test_reliability_replaces_that_of_the_stages() -> None:
    (name,) = (name for name in WORKLOAD.config() if name.startswith("directives_"))
    workload = msgspec.structs.replace(WORKLOAD, reliability=(1, 1, 10))
    for directive in msgspec.json.decode(workload.config()[name])["directives"]:
        assert [rule["reliability"] for rule in directive["rules"]] == [1, 1, 10]
