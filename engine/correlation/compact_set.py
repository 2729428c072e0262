"""An ordered set without overhead for zero or one item.

Most backlogs hold one address a side, one event id, one sticky value. So an empty set is None, a
set of one item is the item itself, and only larger ones are dicts. Items are never None or a dict.
"""

from collections.abc import Iterable
from itertools import islice
from typing import TypeAlias, TypeVar

T = TypeVar("T")
K = TypeVar("K")

CompactSet: TypeAlias = T | dict[T, None] | None


def add(items_: CompactSet[T], item: T) -> CompactSet[T]:
    """The set with the item added; assign the result, which may be a new object."""
    if items_ is None:
        return item
    if isinstance(items_, dict):
        items_[item] = None
        return items_
    return items_ if items_ == item else {items_: None, item: None}


def remove(items_: CompactSet[T], item: T) -> CompactSet[T]:
    """The set without the item; assign the result, which may be a new object."""
    if isinstance(items_, dict):
        items_.pop(item, None)
        return items_ or None
    return None if items_ == item else items_


def contains(items_: CompactSet[T], item: T) -> bool:
    """Whether the item is in the set."""
    return item in items_ if isinstance(items_, dict) else items_ is not None and items_ == item


def contains_any(items_: CompactSet[T], some: tuple[T, ...]) -> bool:
    """Whether any of these items is in the set."""
    if isinstance(items_, dict):
        return not items_.keys().isdisjoint(some)
    return items_ is not None and items_ in some


def size(items_: CompactSet[T]) -> int:
    """Number of items."""
    if items_ is None:
        return 0
    return len(items_) if isinstance(items_, dict) else 1


def items(items_: CompactSet[T]) -> Iterable[T]:
    """The items in the order in which they were added."""
    if items_ is None:
        return ()
    return items_ if isinstance(items_, dict) else (items_,)


def items_after(items_: CompactSet[T], number: int) -> tuple[T, ...]:
    """The items after the first `number`; takes time for these only."""
    if isinstance(items_, dict) and number:
        last = tuple(islice(reversed(items_), max(0, len(items_) - number)))
        return last[::-1]
    return tuple(items(items_))[number:]


def from_items(items_in: Iterable[T]) -> CompactSet[T]:
    """A set of these items."""
    items_: CompactSet[T] = None
    for item in items_in:
        items_ = add(items_, item)
    return items_


class CompactSetMap(dict[K, CompactSet[T]]):
    """A CompactSet for each key; keys of empty sets are removed."""

    __slots__ = ()

    def add(self, key: K, item: T) -> None:
        """Add an item to the set of a key."""
        items_ = self.get(key)
        self[key] = item if items_ is None else add(items_, item)

    def remove(self, key: K, item: T) -> None:
        """Remove an item from the set of a key; no error if it is absent."""
        items_ = remove(self.get(key), item)
        if items_ is None:
            self.pop(key, None)
        else:
            self[key] = items_
