"""Batches that are kept until a checkpoint holds their effect."""

from shards.router.kept_batches import KeptBatch, KeptBatches


def kept(first: int, last: int, size: int = 10) -> KeptBatch:
    return KeptBatch(first, last, last - first + 1, b"x" * size)


def test_batches_are_forgotten_up_to_a_position_and_only_whole() -> None:
    batches = KeptBatches(100)
    some = [kept(1, 3), kept(7, 9), kept(10, 10)]
    for each in some:
        batches.add(each)
    assert list(batches) == some
    assert batches.first == 1
    for position, left in ((0, 3), (2, 3), (3, 2), (8, 2), (9, 1), (9, 1), (100, 0)):
        batches.forget(position, 1)
        assert list(batches) == some[3 - left :]
        assert bool(batches) == (left > 0)
        assert batches.first == (some[3 - left].first if left else None)


def test_the_limit_is_one_of_bytes() -> None:
    batches = KeptBatches(30)
    states = []
    for number in range(4):
        states.append((batches.is_half_full, batches.is_full))
        batches.add(kept(number, number))
    assert states == [(False, False), (False, False), (True, False), (True, True)]
    batches.forget(1, 1)
    assert (batches.is_half_full, batches.is_full) == (True, False)
    batches.forget(3, 1)
    assert (batches.is_half_full, batches.is_full) == (False, False)


def test_the_newest_may_exceed_the_limit() -> None:
    batches = KeptBatches(30)
    batches.add(kept(1, 1, 1000))
    assert batches.is_full
    assert len(list(batches)) == 1
    batches.forget(1, 1)
    assert not batches.is_full


def test_nothing_is_kept_without_a_limit() -> None:
    batches = KeptBatches(0)
    batches.add(kept(1, 1))
    assert not batches
    assert not batches.is_full
    assert batches.first is None


def test_what_is_kept_can_be_forgotten_while_it_is_written_again() -> None:
    batches = KeptBatches(100)
    for number in range(5):
        batches.add(kept(number, number))
    found = []
    for each in batches:
        found.append(each.first)
        batches.forget(3, 1)
    assert found == [0, 1, 2, 3, 4]


def test_the_begin_of_a_generation_is_kept_until_a_checkpoint_of_it() -> None:
    batches = KeptBatches(100)
    batches.add(kept(1, 3))
    batches.add(KeptBatch(4, 3, 0, b"x", generation=2))
    batches.add(kept(4, 5))
    batches.forget(3, 1)
    assert [batch.generation for batch in batches] == [2, 1]
    assert batches.first == 4
    batches.forget(3, 2)
    assert [batch.first for batch in batches] == [4]
