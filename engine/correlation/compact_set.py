"""A set that keeps its order and costs nothing until it holds two items.

Most backlogs hold one address a side, one event id, one sticky value: a bag of one is the bare
item, an empty one is None, and only from two on it is a dict. Items are never None or a dict.
"""

from collections.abc import Iterable
from typing import TypeAlias, TypeVar

T = TypeVar("T")
K = TypeVar("K")

CompactSet: TypeAlias = T | dict[T, None] | None


def add(bag: CompactSet[T], item: T) -> CompactSet[T]:
    """The bag with the item in it: the same dict, or a new bag; assign the result."""
    if bag is None:
        return item
    if isinstance(bag, dict):
        bag[item] = None
        return bag
    return bag if bag == item else {bag: None, item: None}


def remove(bag: CompactSet[T], item: T) -> CompactSet[T]:
    """The bag without the item; assign the result."""
    if isinstance(bag, dict):
        bag.pop(item, None)
        return bag or None
    return None if bag == item else bag


def contains(bag: CompactSet[T], item: T) -> bool:
    """Whether the item is in the bag."""
    return item in bag if isinstance(bag, dict) else bag is not None and bag == item


def size(bag: CompactSet[T]) -> int:
    """How many items the bag holds."""
    if bag is None:
        return 0
    return len(bag) if isinstance(bag, dict) else 1


def items(bag: CompactSet[T]) -> Iterable[T]:
    """The items in the order in which they came."""
    if bag is None:
        return ()
    return bag if isinstance(bag, dict) else (bag,)


def from_items(things: Iterable[T]) -> CompactSet[T]:
    """A bag of these items."""
    bag: CompactSet[T] = None
    for thing in things:
        bag = add(bag, thing)
    return bag


class CompactSetMap(dict[K, CompactSet[T]]):
    """From a key to the bag of items filed under it; empty bags leave no trace."""

    __slots__ = ()

    def add(self, key: K, item: T) -> None:
        """File an item under a key."""
        bag = self.get(key)
        self[key] = item if bag is None else add(bag, item)

    def remove(self, key: K, item: T) -> None:
        """Take an item out; nothing happens when it is not there."""
        bag = remove(self.get(key), item)
        if bag is None:
            self.pop(key, None)
        else:
            self[key] = bag
