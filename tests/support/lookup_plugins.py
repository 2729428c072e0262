# ruff: noqa: ARG001, ARG002 - a plugin takes what it is given
"""Lookup plugins that misbehave, and their registration for the time of a test."""

import threading
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from shards.lookups.plugins import registry
from shards.lookups.plugins.api import Fetch, Hit, LookupKind

release = threading.Event()
"""Set to let plugins of class Hanging return."""


def register(monkeypatch: pytest.MonkeyPatch, kind: LookupKind, *names: str) -> None:
    """Register classes of this module as built-in plugins."""
    group = registry.ENTRY_POINT_GROUPS[kind]
    points = [EntryPoint(name=n, group=group, value=f"{__name__}:{n}") for n in names]
    monkeypatch.setattr(registry, "_BUILT_IN", (*registry._BUILT_IN, *points))


class Plugin:
    """A correct plugin that finds nothing."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        self.config = config
        self.fetch = fetch

    def check(self, ip: str) -> Any:
        return []


class Hanging(Plugin):
    """Blocks in `check` until `release` is set."""

    def check(self, ip: str) -> Any:
        release.wait()
        return [Hit("late", ip, "x")]


class Refusing(Plugin):
    """Refuses every config."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        raise ValueError("needs a key")


class FetchingEarly(Plugin):
    """Sends a request when it is created."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        super().__init__(config, fetch)
        fetch(config["url"])


class Meddling(Plugin):
    """Changes its config, and fetches a file."""

    def check(self, ip: str) -> Any:
        self.config.clear()
        self.fetch("file:///etc/passwd")


checkless: Callable[[], None] = release.set
"""Not a plugin: it has no method `check`."""


def _raises(error: BaseException) -> Callable[[Any, str], Any]:
    def check(self: Any, ip: str) -> Any:
        raise error

    return check


def _returns(answer: Any) -> Callable[[Any, str], Any]:
    return lambda self, ip: answer


BAD_CHECKS: dict[str, tuple[Callable[[Any, str], Any], str]] = {
    "SystemExit": (_raises(SystemExit(1)), "plugin_error"),
    "KeyboardInterrupt": (_raises(KeyboardInterrupt()), "plugin_error"),
    "MemoryError": (_raises(MemoryError()), "plugin_error"),
    "a KeyError": (_raises(KeyError("hunter2")), "plugin_error"),
    "a ValueError": (_raises(ValueError("hunter2")), "bad_answer"),
    "a RecursionError": (_raises(RecursionError()), "bad_answer"),
    "an OSError": (_raises(ConnectionResetError("hunter2")), "connection"),
    "None": (_returns(None), "bad_answer"),
    "a text": (_returns("hit"), "bad_answer"),
    "a dict": (_returns({"hit": 1}), "bad_answer"),
    "something that is no hit": (_returns([("a", "b", "c")]), "bad_answer"),
    "a hit of numbers": (_returns([Hit(1, 2, 3)]), "bad_answer"),  # type: ignore[arg-type]
    "half a character": (_returns([Hit("x", "y", "\ud800")]), "bad_answer"),
    "too many hits": (_returns([Hit("x", "y", "z")] * 11), "bad_answer"),
    "a long hit": (_returns([Hit("x", "y", "z" * 1000)]), "bad_answer"),
}
"""Implementations of `check`, and the error code of each with the limits of tests."""


class BadCheck(Plugin):
    """Tests replace its `check`."""
