"""Which lookup plugins there are, by the name that a source gives.

What may live here: names and classes. What may not: what a plugin does. Ours are known without
an installation; others are entry points of the group of their kind.
"""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from shards.lookups.plugins.api import Fetch, IntelPlugin, LookupKind, VulnPlugin

GROUPS: dict[LookupKind, str] = {"intel": "dsiem.intel", "vuln": "dsiem.vuln"}
"""The entry point groups of the kinds."""

PluginClass = type[IntelPlugin] | type[VulnPlugin]

_OURS = (
    EntryPoint(name="Wise", group=GROUPS["intel"], value="shards.lookups.plugins.wise:Wise"),
    EntryPoint(name="Nesd", group=GROUPS["vuln"], value="shards.lookups.plugins.nesd:Nesd"),
)


class UnknownPluginError(Exception):
    """There is no plugin of that name."""


class BrokenPluginError(Exception):
    """There is one, and it cannot be used; the text says why."""


class RefusedConfigError(Exception):
    """A plugin will not have a source's config; the text says why."""


def plugin_names(kind: LookupKind) -> list[str]:
    """Return the names of all plugins of a kind."""
    group = GROUPS[kind]
    ours = {point.name for point in _OURS if point.group == group}
    return sorted(ours | entry_points(group=group).names)


def plugin_class(kind: LookupKind, name: str) -> PluginClass:
    """Return the class of a plugin; UnknownPlugin or BrokenPlugin when there is none to be had.

    Ours are looked for first: no other can take their names.
    """
    point = _find(_OURS, kind, name)
    if point is None:
        point = _find(entry_points(group=GROUPS[kind]), kind, name)
    if point is None:
        raise UnknownPluginError(name)
    try:
        found: Any = point.load()
    except Exception as error:
        raise BrokenPluginError(f"{type(error).__name__}: {error}") from error
    if not callable(found) or not callable(getattr(found, "check", None)):
        raise BrokenPluginError(f"{point.value} is no class with a method check")
    made_of: PluginClass = found
    return made_of


def make_plugin(kind: LookupKind, name: str, config: dict[str, Any], fetch: Fetch) -> Any:
    """Return a plugin for a source; one of the three exceptions when that cannot be."""
    made_of = plugin_class(kind, name)
    try:
        return made_of(dict(config), fetch)
    except Exception as error:
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise RefusedConfigError(text) from error


def _find(points: Iterable[EntryPoint], kind: LookupKind, name: str) -> EntryPoint | None:
    return next((p for p in points if (p.group, p.name) == (GROUPS[kind], name)), None)
