"""Parts of a batch: what follows a position, and what comes before it."""

from array import array

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.explain.verdict import Refusal, Verdict
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ShardExplanation
from shards.ipc.framing import decode_from_child, decode_to_child
from shards.ipc.messages import POSITION_CODE, Batch
from shards.ipc.queries import AskWorker, WorkerAnswer, encode_answer

NOW = 1_800_000_000


def batch_at(positions: list[int], *, sparse: bool) -> Batch:
    events = [b"%d" % position for position in positions]
    packed = array(POSITION_CODE, positions).tobytes() if sparse else b""
    return Batch(positions[0], positions[-1], NOW, True, events, packed, "EVENTS@1")


def positions_of(batch: Batch) -> list[int]:
    if batch.positions:
        return array(POSITION_CODE, batch.positions).tolist()
    return list(range(batch.first, batch.first + len(batch.events)))


@given(st.sets(st.integers(1, 40), min_size=1), st.integers(0, 45), st.booleans())
def test_the_parts_before_and_after_a_position_are_the_batch(
    found: set[int], position: int, sparse: bool
) -> None:
    positions = sorted(found) if sparse else list(range(min(found), max(found) + 1))
    batch = batch_at(positions, sparse=sparse)
    before, after = batch.until(position), batch.after(position)
    assert [int(event) for event in before.events] == [p for p in positions if p <= position]
    assert [int(event) for event in after.events] == [p for p in positions if p > position]
    if before.events:
        assert positions_of(before) == [p for p in positions if p <= position]
    if after.events:
        assert positions_of(after) == [p for p in positions if p > position]
        assert after.first > position or after is batch
    assert before.last == min(batch.last, position)
    assert after.last == batch.last
    for part in (before, after):
        assert (part.now, part.asks, part.stream) == (NOW, True, "EVENTS@1")


@pytest.mark.parametrize("position", [0, 9, 10, 11])
def test_a_batch_without_events_is_where_it_is(position: int) -> None:
    batch = Batch(11, 10, NOW, False, [], stream="EVENTS@1")
    assert batch.after(position) == batch
    assert batch.until(position).last == min(10, position)


def test_parts_of_parts() -> None:
    batch = batch_at([2, 5, 9, 12], sparse=True)
    part = batch.after(2).until(9).after(5)
    assert (part.first, part.last, part.events, positions_of(part)) == (6, 9, [b"9"], [9])


def test_a_request_to_explain_and_its_answer_arrive_as_they_were() -> None:
    request = AskWorker(1, ExplainEvent(b"{}", [1001]), 12.5)
    assert decode_to_child(msgspec.msgpack.encode(request)) == request
    refused = Verdict("no_match", 1, 2, "abc", refusal=Refusal("from", ":1", "a", "b", 2, 3))
    explanation = DirectiveExplanation(1, "n", 3, 7, [refused, Verdict("opened", 1, 1)], 4, 5)
    for shard in (ShardExplanation([explanation]), ShardExplanation(whitelisted=True, omitted=9)):
        answer = WorkerAnswer(1, encode_answer(shard), last=True)
        assert decode_from_child(msgspec.msgpack.encode(answer)) == answer
        assert msgspec.msgpack.decode(answer.piece, type=ShardExplanation) == shard
