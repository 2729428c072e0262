# ruff: noqa: ARG001, ARG002 - a plugin takes what it is given
"""Plugins that misbehave, and what makes them known for the time of a test."""

import threading
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from shards.lookups.plugins import registry
from shards.lookups.plugins.api import Fetch, Hit, LookupKind

release = threading.Event()
"""Lets those that hang go on."""


def register(monkeypatch: pytest.MonkeyPatch, kind: LookupKind, *names: str) -> None:
    """Make classes of this module known as plugins."""
    group = registry.GROUPS[kind]
    points = [EntryPoint(name=n, group=group, value=f"{__name__}:{n}") for n in names]
    monkeypatch.setattr(registry, "_OURS", (*registry._OURS, *points))


class Plugin:
    """Does nothing, and does it well."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        self.config = config
        self.fetch = fetch

    def check(self, ip: str) -> Any:
        return []


class Hanging(Plugin):
    """Asks in its own way, without a bound."""

    def check(self, ip: str) -> Any:
        release.wait()
        return [Hit("late", ip, "x")]


class Refusing(Plugin):
    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        raise ValueError("needs a key")


class Asking(Plugin):
    """Asks a server before it is asked itself."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        super().__init__(config, fetch)
        fetch(config["url"])


class Greedy(Plugin):
    """Changes what it is given, and asks wherever it is told."""

    def check(self, ip: str) -> Any:
        self.config.clear()
        self.fetch("file:///etc/passwd")


checkless: Callable[[], None] = release.set
"""Is no plugin at all."""


def _raises(error: BaseException) -> Callable[[Any, str], Any]:
    def check(self: Any, ip: str) -> Any:
        raise error

    return check


def _gives(answer: Any) -> Callable[[Any, str], Any]:
    return lambda self, ip: answer


NONSENSE: dict[str, tuple[Callable[[Any, str], Any], str]] = {
    "SystemExit": (_raises(SystemExit(1)), "plugin_error"),
    "KeyboardInterrupt": (_raises(KeyboardInterrupt()), "plugin_error"),
    "MemoryError": (_raises(MemoryError()), "plugin_error"),
    "a KeyError": (_raises(KeyError("hunter2")), "plugin_error"),
    "a ValueError": (_raises(ValueError("hunter2")), "bad_answer"),
    "a RecursionError": (_raises(RecursionError()), "bad_answer"),
    "an OSError": (_raises(ConnectionResetError("hunter2")), "connection"),
    "None": (_gives(None), "bad_answer"),
    "a text": (_gives("hit"), "bad_answer"),
    "a dict": (_gives({"hit": 1}), "bad_answer"),
    "something that is no hit": (_gives([("a", "b", "c")]), "bad_answer"),
    "a hit of numbers": (_gives([Hit(1, 2, 3)]), "bad_answer"),  # type: ignore[arg-type]
    "half a character": (_gives([Hit("x", "y", "\ud800")]), "bad_answer"),
    "too many hits": (_gives([Hit("x", "y", "z")] * 11), "bad_answer"),
    "a long hit": (_gives([Hit("x", "y", "z" * 1000)]), "bad_answer"),
}
"""What the check of a plugin does, and the word that it is counted by, with small limits."""


class Nonsense(Plugin):
    """Its check is put in its place by a test."""
