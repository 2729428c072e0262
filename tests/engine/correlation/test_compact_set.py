"""Compact sets: any members, any size, kept in order of insertion."""

from hypothesis import given
from hypothesis import strategies as st

from engine.correlation import compact_set
from engine.correlation.compact_set import CompactSet, CompactSetMap

items = st.integers(0, 3) | st.sampled_from(["", "a", "b"])
steps = st.lists(st.tuples(st.booleans(), items))


@given(steps)
def test_a_bag_is_a_set_in_order_of_arrival(changes: list[tuple[bool, int | str]]) -> None:
    filled: CompactSet[int | str] = None
    model: dict[int | str, None] = {}
    for adding, item in changes:
        filled = compact_set.add(filled, item) if adding else compact_set.remove(filled, item)
        if adding:
            model[item] = None
        else:
            model.pop(item, None)
        assert list(compact_set.items(filled)) == list(model)
        assert compact_set.size(filled) == len(model)
        assert all(
            compact_set.contains(filled, item) == (item in model) for item in (0, 1, "", "a")
        )
        assert (filled is None) == (not model)


@given(st.lists(items))
def test_collecting_is_adding_one_after_the_other(things: list[int | str]) -> None:
    assert list(compact_set.items(compact_set.from_items(things))) == list(dict.fromkeys(things))


@given(st.lists(items), st.integers(0, 5))
def test_the_items_after_some_are_the_others_in_order(things: list[int | str], number: int) -> None:
    filled = compact_set.from_items(things)
    assert compact_set.items_after(filled, number) == tuple(dict.fromkeys(things))[number:]


def test_zero_and_the_empty_text_are_items() -> None:
    assert list(compact_set.items(compact_set.add(compact_set.add(None, 0), ""))) == [0, ""]
    assert compact_set.contains(0, 0)
    assert not compact_set.contains(None, 0)
    assert (compact_set.size(0), compact_set.size(None)) == (1, 0)


def test_one_item_costs_no_container() -> None:
    alone = ("a", 1)
    assert compact_set.add(None, alone) is alone
    assert compact_set.add(alone, ("a", 1)) is alone


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), items)))
def test_a_map_forgets_keys_without_items(changes: list[tuple[bool, int, int | str]]) -> None:
    filed: CompactSetMap[int, int | str] = CompactSetMap()
    model: dict[int, dict[int | str, None]] = {}
    for adding, key, item in changes:
        if adding:
            filed.add(key, item)
            model.setdefault(key, {})[item] = None
        else:
            filed.remove(key, item)
            model.get(key, {}).pop(item, None)
            model = {key: bag_ for key, bag_ in model.items() if bag_}
        assert {key: list(compact_set.items(filed.get(key))) for key in filed} == {
            key: list(bag_) for key, bag_ in model.items()
        }
        assert bool(filed) == bool(model)
        assert all((key in filed) == (key in model) for key in range(3))


def test_a_bag_is_taken_out_of_a_map_whole_and_once() -> None:
    filed: CompactSetMap[str, int] = CompactSetMap()
    filed.add("k", 1)
    filed.add("k", 2)
    filed.add("other", 3)
    assert list(compact_set.items(filed.pop("k", None))) == [1, 2]
    assert filed.pop("k", None) is None
    assert list(filed) == ["other"]
