"""What a shard answers to POST /explain: bounded, in short turns, and without any change."""

import json
import sys
from typing import Any

import msgspec
import pytest

from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.options import Options
from shards.checkpoint.stats import CheckpointStats
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ShardExplanation
from shards.settings.settings import Settings
from shards.worker import explanations
from shards.worker.explanations import explain_event
from shards.worker.shard import Shard
from tests.support.generations import directive_set
from tests.support.replaying import AT_START, Json, directive, event, rule

ASSETS = {
    "assets": [
        {"name": "lan", "cidr": "10.0.0.0/8", "value": 5},
        {"name": "scanner", "cidr": "10.0.0.99", "value": 1, "whitelisted": True},
    ]
}


def shard_of(*directives: Json, **settings: Any) -> Shard:
    document = msgspec.json.encode({"directives": directives})
    valid = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(msgspec.json.encode(ASSETS))
    return Shard(Settings(**settings), Options(), directive_set(valid, assets))


def two_stages(id_: int = 1, **more: Any) -> Json:
    return directive(id_, rule(1, 1), rule(2, 2, occurrence=3, **{"from": ":1"} | more))


def opened(number: int, *directives: Json) -> Shard:
    """A shard with so many open backlogs, each of another source."""
    shard = shard_of(*(directives or (two_stages(),)))
    events = (event(f"e{i}", 0, 1, src_ip=address(i)) for i in range(number))
    shard.process_batch(number, [json.dumps(one).encode() for one in events], AT_START)
    return shard


def address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def answer(shard: Shard, of: Json, *directives: int, steps: int = 10_000) -> ShardExplanation:
    """The answer that takes as many of these steps as it needs."""
    query = ExplainEvent(json.dumps(of).encode(), list(directives))
    in_time = iter([True] * steps + [False])
    *none, last = explain_event(shard, query, AT_START + 1, lambda: next(in_time))
    assert not any(none)
    assert last is not None
    return last


def explained(shard: Shard, of: Json, *directives: int) -> list[DirectiveExplanation]:
    """The explanations of an event; checks that the answer is whole."""
    found = answer(shard, of, *directives)
    assert (found.whitelisted, found.omitted) == (False, 0)
    return found.directives


def state_of(shard: Shard) -> bytes:
    return msgspec.msgpack.encode(
        [shard.correlator.snapshots(), shard.make_report(CheckpointStats()).ledger]
    )


def test_verdicts_come_without_any_change() -> None:
    shard = opened(2)
    shard.make_report(CheckpointStats())
    before = state_of(shard)
    [found] = explained(shard, event("x", 1, 2, src_ip=address(1)))
    assert (found.directive, found.name, found.open_backlogs) == (1, "directive 1", 2)
    assert [verdict.verdict for verdict in found.verdicts] == ["taken", "no_match"]
    assert state_of(shard) == before


def test_an_event_too_far_in_the_future_is_explained_as_it_would_be_taken() -> None:
    shard = opened(1)
    far = event("x", 10**6, 2, src_ip=address(0))
    [found] = explained(shard, far)
    assert found.verdicts[0].verdict == "taken"
    assert shard.ledger.from_future == 0


def test_directives_that_are_selected_are_explained_and_others_of_other_shards_are_not() -> None:
    shard = shard_of(two_stages(1), two_stages(2))
    of = event("x", 1, 99)
    assert explained(shard, of) == []
    assert [found.directive for found in explained(shard, of, 2, 3)] == [2]


def test_of_an_event_from_a_whitelisted_asset_nothing_is_explained() -> None:
    found = answer(opened(1), event("x", 1, 1, src_ip="10.0.0.99"))
    assert found == ShardExplanation(whitelisted=True)


def test_an_invalid_event_has_no_answer() -> None:
    query = ExplainEvent(b"{}", [])
    assert list(explain_event(opened(1), query, AT_START, lambda: True)) == []


def test_verdicts_of_a_directive_are_bounded_and_the_consuming_ones_come_first() -> None:
    [found] = explained(opened(250), event("x", 1, 2, src_ip=address(249)))
    assert len(found.verdicts) == explanations.MAX_VERDICTS
    assert found.verdicts[0].verdict == "taken"
    assert (found.verdicts_omitted, found.backlogs_unasked, found.open_backlogs) == (150, 0, 250)


def test_verdicts_with_long_texts_are_bounded_by_their_size() -> None:
    texts = ["\U0001f600" * 10_000 + str(number) for number in range(60)]
    shard = shard_of(
        directive(
            1, rule(1, 1), rule(2, 2, custom_data1=":1", custom_data2="x"), name="\U0001f600" * 5000
        )
    )
    events = [event(f"e{i}", 0, 1, custom_data1=text) for i, text in enumerate(texts)]
    shard.process_batch(60, [json.dumps(one).encode() for one in events], AT_START)
    of = event("x", 1, 2, custom_data1="\U0001f601" * 9_000, custom_data2="x")
    [found] = explained(shard, of)
    kept = len(found.verdicts)
    assert 10 < kept < 61
    assert found.verdicts_omitted == 61 - kept
    assert len(msgspec.msgpack.encode(found.verdicts)) <= explanations.MAX_VERDICT_BYTES + 10


def test_directives_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanations, "MAX_DIRECTIVES", 3)
    shard = shard_of(*(two_stages(id_) for id_ in range(1, 6)))
    found = answer(shard, event("x", 1, 1))
    assert (len(found.directives), found.omitted) == (3, 2)


def test_what_is_explained_in_time_is_given_and_the_rest_is_counted() -> None:
    shard = shard_of(*(two_stages(id_) for id_ in range(1, 6)))
    found = answer(shard, event("x", 1, 1), steps=2)
    assert (len(found.directives), found.omitted) == (2, 3)


def test_an_answer_is_bounded_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanations, "MAX_BYTES", 1000)
    shard = shard_of(*(two_stages(id_) for id_ in range(1, 31)))
    found = answer(shard, event("x", 1, 1))
    assert 1 < len(found.directives) < 10
    assert found.omitted == 30 - len(found.directives)


@pytest.mark.parametrize("own_source", [True, False], ids=["consumed by all", "consumed by none"])
def test_the_cost_does_not_grow_with_the_open_backlogs(*, own_source: bool) -> None:
    """Held by the number of backlogs that are looked at; times are in docs/explain.md."""
    more = {} if own_source else {"to": "203.0.113.1"}
    shard = opened(20_000, directive(1, rule(1, 1), rule(2, 2, occurrence=2, **more)))
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        [found] = explained(shard, event("x", 1, 2))
    finally:
        sys.setprofile(None)
    assert calls < 60_000, "20,000 backlogs with two calls each are more"
    assert found.backlogs_unasked == 19_000
    assert len(found.verdicts) == explanations.MAX_VERDICTS
