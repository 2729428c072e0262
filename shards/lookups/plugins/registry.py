"""The registry of lookup plugins: the built-in ones, and entry points of other packages."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from shards.lookups.plugins.api import Fetch, IntelPlugin, LookupKind, VulnPlugin

ENTRY_POINT_GROUPS: dict[LookupKind, str] = {"intel": "dsiem.intel", "vuln": "dsiem.vuln"}
"""The entry point group of the plugins of each kind."""

_INTEL, _VULN = ENTRY_POINT_GROUPS["intel"], ENTRY_POINT_GROUPS["vuln"]
_BUILT_IN = (  # found by themselves, so that they work without an installation
    EntryPoint(name="Wise", group=_INTEL, value="shards.lookups.plugins.wise:Wise"),
    EntryPoint(name="Nesd", group=_VULN, value="shards.lookups.plugins.nesd:Nesd"),
)


class UnknownPluginError(Exception):
    """No plugin has this name."""


class BrokenPluginError(Exception):
    """The plugin cannot be imported, or is not a plugin class; the text says why."""


class PluginConfigError(Exception):
    """The plugin refuses the config of a source; the text says why."""


def plugin_names(kind: LookupKind) -> list[str]:
    """Return the names of all plugins of a kind, sorted."""
    group = ENTRY_POINT_GROUPS[kind]
    built_in = {point.name for point in _BUILT_IN if point.group == group}
    return sorted(built_in | entry_points(group=group).names)


def load_plugin_class(kind: LookupKind, name: str) -> type[IntelPlugin] | type[VulnPlugin]:
    """Return the class of a plugin; raise UnknownPluginError or BrokenPluginError.

    A built-in plugin takes precedence over one of the same name in another package.
    """
    point = _find(_BUILT_IN, kind, name)
    if point is None:
        point = _find(entry_points(group=ENTRY_POINT_GROUPS[kind]), kind, name)
    if point is None:
        raise UnknownPluginError(name)
    try:
        loaded: Any = point.load()
    except Exception as error:
        raise BrokenPluginError(f"{type(error).__name__}: {error}") from error
    if not callable(loaded) or not callable(getattr(loaded, "check", None)):
        raise BrokenPluginError(f"{point.value} is no class with a method check")
    plugin_class: type[IntelPlugin] | type[VulnPlugin] = loaded
    return plugin_class


def create_plugin(
    kind: LookupKind, name: str, config: dict[str, Any], fetch: Fetch
) -> IntelPlugin | VulnPlugin:
    """Return a plugin with a copy of the config of a source.

    Raises UnknownPluginError, BrokenPluginError or PluginConfigError.
    """
    plugin_class = load_plugin_class(kind, name)
    try:
        return plugin_class(dict(config), fetch)
    except Exception as error:
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise PluginConfigError(text) from error


def _find(points: Iterable[EntryPoint], kind: LookupKind, name: str) -> EntryPoint | None:
    return next((p for p in points if (p.group, p.name) == (ENTRY_POINT_GROUPS[kind], name)), None)
