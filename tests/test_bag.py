"""Bags: sets that keep their order, whatever they hold and however small they are."""

from hypothesis import given
from hypothesis import strategies as st

from engine import bag
from engine.bag import Bag, BagMap

items = st.integers(0, 3) | st.sampled_from(["", "a", "b"])
steps = st.lists(st.tuples(st.booleans(), items))


@given(steps)
def test_a_bag_is_a_set_in_order_of_arrival(changes: list[tuple[bool, int | str]]) -> None:
    filled: Bag[int | str] = None
    model: dict[int | str, None] = {}
    for adding, item in changes:
        filled = bag.add(filled, item) if adding else bag.remove(filled, item)
        if adding:
            model[item] = None
        else:
            model.pop(item, None)
        assert list(bag.items(filled)) == list(model)
        assert bag.size(filled) == len(model)
        assert all(bag.holds(filled, item) == (item in model) for item in (0, 1, "", "a"))
        assert (filled is None) == (not model)


@given(st.lists(items))
def test_collecting_is_adding_one_after_the_other(things: list[int | str]) -> None:
    assert list(bag.items(bag.collect(things))) == list(dict.fromkeys(things))


def test_zero_and_the_empty_text_are_items() -> None:
    assert list(bag.items(bag.add(bag.add(None, 0), ""))) == [0, ""]
    assert bag.holds(0, 0)
    assert not bag.holds(None, 0)
    assert (bag.size(0), bag.size(None)) == (1, 0)


def test_one_item_costs_no_container() -> None:
    alone = ("a", 1)
    assert bag.add(None, alone) is alone
    assert bag.add(alone, ("a", 1)) is alone


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), items)))
def test_a_map_forgets_keys_without_items(changes: list[tuple[bool, int, int | str]]) -> None:
    filed: BagMap[int, int | str] = BagMap()
    model: dict[int, dict[int | str, None]] = {}
    for adding, key, item in changes:
        if adding:
            filed.add(key, item)
            model.setdefault(key, {})[item] = None
        else:
            filed.remove(key, item)
            model.get(key, {}).pop(item, None)
            model = {key: bag_ for key, bag_ in model.items() if bag_}
        assert {key: list(bag.items(filed.get(key))) for key in filed} == {
            key: list(bag_) for key, bag_ in model.items()
        }
        assert bool(filed) == bool(model)
        assert all((key in filed) == (key in model) for key in range(3))


def test_a_bag_is_taken_out_of_a_map_whole_and_once() -> None:
    filed: BagMap[str, int] = BagMap()
    filed.add("k", 1)
    filed.add("k", 2)
    filed.add("other", 3)
    assert list(bag.items(filed.pop("k", None))) == [1, 2]
    assert filed.pop("k", None) is None
    assert list(filed) == ["other"]
