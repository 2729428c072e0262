"""The generated assets, directives and events of the benchmarks."""

import msgspec

from benchmarks.engine.engine_setup import build_index, parse_valid_directives
from benchmarks.support import synthetic
from engine.directives.asset_document import parse_assets
from engine.event import decode_routing_key


def test_the_same_seed_gives_the_same_events() -> None:
    first, second = (list(synthetic.EventGenerator(5).stream(50, 0.5)) for _ in range(2))
    assert first == second
    assert list(synthetic.EventGenerator(6).stream(50, 0.5)) != first


def test_all_generated_directives_and_assets_are_valid() -> None:
    assert len(parse_valid_directives(synthetic.directives(20))) == 20
    assert len(parse_assets(synthetic.assets())[0]) == 44


def test_directives_have_the_occurrences_asked_for() -> None:
    (directive,) = msgspec.json.decode(synthetic.directives(1, synthetic.STAY_AT_STAGE_2))[
        "directives"
    ]
    assert [rule["occurrence"] for rule in directive["rules"]] == [1, 1_000_000, 1_000_000]


def test_just_the_matching_events_are_in_the_index() -> None:
    index = build_index(synthetic.directives(100))
    events = list(synthetic.EventGenerator(1).stream(1000, 0.3))
    found = [event for event in events if index.find(decode_routing_key(event))]
    assert found == synthetic.matching_events(events)
    assert 200 < len(found) < 400


def test_address_pairs_have_different_sources() -> None:
    pairs = synthetic.address_pairs(1000) + synthetic.address_pairs(1000, first=1000)
    assert len({source for source, _ in pairs}) == 2000


def test_one_event_for_each_pair() -> None:
    pairs = synthetic.address_pairs(3)
    events = synthetic.EventGenerator(1).one_per_pair(pairs)
    decoded = [msgspec.json.decode(event) for event in events]
    assert [(event["src_ip"], event["dst_ip"]) for event in decoded] == pairs
