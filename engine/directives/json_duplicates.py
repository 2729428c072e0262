"""Finds keys that are there twice in an object: the decoder takes the last and says nothing."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from engine.errors import DocumentPath, Finding

_KEY_END = b'":'
_TEXTS = (b':":', b' ":')
"""Beginnings of texts that begin with a colon, as references do: they look like ends of keys."""


def duplicate_keys(raw: msgspec.Raw, decoded: dict[str, Any]) -> list[Finding]:
    """As `find_duplicates`, for an object that is decoded: nearly always there are none.

    The ends of keys are counted, which is much faster than to look at the keys one by one.
    """
    data = bytes(raw)
    ends = data.count(_KEY_END) - sum([data.count(text) for text in _TEXTS])
    if ends == _count_keys(decoded) and b'" :' not in data:
        return []
    return find_duplicates(data)


def _count_keys(value: dict[str, Any]) -> int:
    """The number of keys in an object and all objects in it."""
    number = len(value)
    for one in value.values():
        if type(one) is dict:
            number += _count_keys(one)
        elif type(one) is list:
            number += sum([_count_keys(item) for item in one if type(item) is dict])
    return number


class _Object(list[tuple[str, Any]]):
    """An object with its members in order, equal keys included."""


def find_duplicates(data: bytes) -> list[Finding]:
    """A finding for each key that is there twice in an object of a valid document."""
    try:
        value = json.loads(data, object_pairs_hook=_Object, parse_int=str)
        return list(_find_duplicates(value, ()))
    except RecursionError:  # deeper than any field
        return []


def _find_duplicates(value: Any, path: DocumentPath) -> Iterator[Finding]:
    if isinstance(value, _Object):
        last = dict(value)
        for name, number in Counter(name for name, _ in value).items():
            if number > 1:
                message = f"is there {number} times, must be there once"
                yield Finding("duplicate-key", message, (*path, name), field=name)
            yield from _find_duplicates(last[name], (*path, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _find_duplicates(item, (*path, position))
