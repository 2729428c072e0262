"""Reads the parameters of a request; what is wrong with one is said to the client."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from aiohttp import web

from shards.http_server import RequestRefusedError

MAX_TEXT = 200
MAX_LIMIT = 200
DEFAULT_LIMIT = 100
MAX_DIRECTIVES = 100
_MAX_NUMBER = 1 << 53

S = TypeVar("S", bound=str)


class Parameters:
    """The query of a request; each method reads one parameter, or raises RequestRefusedError."""

    def __init__(self, request: web.BaseRequest, *names: str) -> None:
        """`names`: those that there are; another one is an error."""
        self._values: Mapping[str, str] = request.query
        for name in self._values:
            if name not in names:
                known = f"there are {', '.join(names)}" if names else "there is none"
                raise _wrong(f"no parameter {name[:50]!r}; {known}")

    def text(self, name: str) -> str:
        """A text, "" if it is missing."""
        value = self._values.get(name, "").strip()
        if len(value) > MAX_TEXT:
            raise _wrong(f"{name} may have {MAX_TEXT} characters")
        return value

    def number(self, name: str) -> float | None:
        """A number from 0 up; None if it is missing."""
        if name not in self._values:
            return None
        try:
            value = float(self._values[name])
        except ValueError:
            value = math.nan
        if not 0 <= value <= _MAX_NUMBER:
            raise _wrong(f"{name} must be a number from 0 up")
        return value

    def integer(self, name: str, default: int, low: int = 0, high: int = _MAX_NUMBER) -> int:
        """A whole number."""
        text = self._values.get(name, str(default))
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if not low <= value <= high:
            raise _wrong(f"{name} must be a whole number from {low} to {high}")
        return value

    def limit(self) -> int:
        """The parameter `limit`."""
        return self.integer("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)

    def switch(self, name: str) -> bool:
        """True or false, false if it is missing."""
        return self.choice(name, ("false", "true")) == "true"

    def choice(self, name: str, choices: Sequence[S]) -> S:
        """One of some words, the first one if it is missing."""
        value = self._values.get(name, choices[0])
        for choice in choices:
            if value == choice:
                return choice
        raise _wrong(f"{name} must be one of {', '.join(choices)}")

    def choices(self, name: str, choices: Sequence[str]) -> tuple[str, ...]:
        """Some words, joined with commas; none if it is missing."""
        found = tuple(filter(None, self._values.get(name, "").split(",")))
        if not set(found) <= set(choices):
            raise _wrong(f"{name} must be some of {', '.join(choices)}, joined with commas")
        return found

    def ids(self, name: str) -> tuple[int, ...]:
        """Ids of directives, joined with commas; none if it is missing."""
        parts = list(filter(None, self._values.get(name, "").split(",", MAX_DIRECTIVES + 1)))
        if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            raise _wrong(f"{name} must be ids, like 1001,1002")
        if len(parts) > MAX_DIRECTIVES:
            raise _wrong(f"{name} may have {MAX_DIRECTIVES} ids")
        return tuple(dict.fromkeys(map(int, parts)))


def _wrong(error: str) -> RequestRefusedError:
    return RequestRefusedError(400, error)
