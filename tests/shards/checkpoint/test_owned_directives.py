"""The directives of a worker as its checkpoints know them."""

from shards.checkpoint.owned_directives import OwnedDirectives


def test_all_directives_are_reclaimed_by_the_first_checkpoint() -> None:
    owned = OwnedDirectives([1, 2])
    owned.begin()
    assert (owned.reclaimed, owned.to_reset(whole=False)) == ([1, 2], set())
    owned.commit()
    assert list(owned.reclaimed) == []


def test_a_reload_is_taken_over_by_the_next_checkpoint() -> None:
    owned = OwnedDirectives([1, 2])
    owned.begin()
    owned.reload([2, 3])
    assert owned.to_reset(whole=True) == {1, 2}
    owned.commit()
    owned.begin()
    assert (owned.reclaimed, owned.to_reset(whole=False)) == ({3}, {3})
    assert owned.to_reset(whole=True) == {1, 2, 3}
    owned.commit()
    assert (list(owned.reclaimed), owned.to_reset(whole=False)) == ([], set())
    assert owned.to_reset(whole=True) == {2, 3}


def test_what_could_not_be_written_is_due_until_it_is() -> None:
    owned = OwnedDirectives([1])
    for loaded in ([2], [3]):
        owned.begin()
        owned.reload(loaded)
    owned.begin()
    assert owned.to_reset(whole=True) == {1, 2, 3}
    assert owned.reclaimed == {1, 2, 3}
