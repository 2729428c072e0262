"""A set that keeps its order and costs nothing until it holds two items.

Most backlogs hold one address a side, one event id, one sticky value: a bag of one is the bare
item, an empty one is None, and only from two on it is a dict. Items are never None or a dict.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
K = TypeVar("K")

Bag: TypeAlias = T | dict[T, None] | None


def add(bag: Bag[T], item: T) -> Bag[T]:
    """The bag with the item in it: the same dict, or a new bag; assign the result."""
    if bag is None:
        return item
    if isinstance(bag, dict):
        bag[item] = None
        return bag
    return bag if bag == item else {bag: None, item: None}


def remove(bag: Bag[T], item: T) -> Bag[T]:
    """The bag without the item; assign the result."""
    if isinstance(bag, dict):
        bag.pop(item, None)
        return bag or None
    return None if bag == item else bag


def holds(bag: Bag[T], item: T) -> bool:
    """Whether the item is in the bag."""
    return item in bag if isinstance(bag, dict) else bag is not None and bag == item


def size(bag: Bag[T]) -> int:
    """How many items the bag holds."""
    if bag is None:
        return 0
    return len(bag) if isinstance(bag, dict) else 1


def items(bag: Bag[T]) -> Iterable[T]:
    """The items in the order in which they came."""
    if bag is None:
        return ()
    return bag if isinstance(bag, dict) else (bag,)


def collect(things: Iterable[T]) -> Bag[T]:
    """A bag of these items."""
    bag: Bag[T] = None
    for thing in things:
        bag = add(bag, thing)
    return bag


class BagMap(Generic[K, T]):
    """From a key to the bag of items filed under it; empty bags leave no trace."""

    __slots__ = ("_bags",)

    def __init__(self) -> None:
        self._bags: dict[K, Bag[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._bags)

    def __iter__(self) -> Iterator[K]:
        return iter(self._bags)

    def __contains__(self, key: K) -> bool:
        return key in self._bags

    def add(self, key: K, item: T) -> None:
        """File an item under a key."""
        bag = self._bags.get(key)
        self._bags[key] = item if bag is None else add(bag, item)

    def remove(self, key: K, item: T) -> None:
        """Take an item out; nothing happens when it is not there."""
        bag = remove(self._bags.get(key), item)
        if bag is None:
            self._bags.pop(key, None)
        else:
            self._bags[key] = bag

    def get(self, key: K) -> Bag[T]:
        """The bag under a key."""
        return self._bags.get(key)

    def pop(self, key: K) -> Bag[T]:
        """Take the whole bag under a key out."""
        return self._bags.pop(key, None)
