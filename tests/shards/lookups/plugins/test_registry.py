"""The registry of plugins: names, classes, and why a plugin cannot be used."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any, NoReturn

import pytest

from shards.lookups.plugins import registry
from shards.lookups.plugins.registry import (
    BrokenPluginError,
    PluginConfigError,
    UnknownPluginError,
    create_plugin,
    load_plugin_class,
    plugin_names,
)
from shards.lookups.plugins.wise import Wise
from tests.support import lookup_plugins

CONFIG = {"url": "http://x/${ip}"}


def no_fetch(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError


def test_names_of_a_kind_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Plugin", "Hanging")
    assert plugin_names("intel") == ["Hanging", "Plugin", "Wise"]
    assert plugin_names("vuln") == ["Nesd"]


def test_a_plugin_is_created_with_a_copy_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Plugin")
    config = dict(CONFIG)
    plugin: Any = create_plugin("intel", "Plugin", config, no_fetch)
    assert isinstance(plugin, lookup_plugins.Plugin)
    plugin.config.clear()
    assert config == CONFIG


@pytest.mark.parametrize(("kind", "name"), [("intel", "nobody"), ("vuln", "Wise")])
def test_an_unknown_name(kind: Any, name: str) -> None:
    with pytest.raises(UnknownPluginError):
        load_plugin_class(kind, name)


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing", "AttributeError: "), ("checkless", "no class with a method check")],
)
def test_a_broken_plugin(name: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", name)
    with pytest.raises(BrokenPluginError, match=why):
        load_plugin_class("intel", name)


@pytest.mark.parametrize(
    ("name", "why"), [("Refusing", "^needs a key$"), ("FetchingEarly", "^AssertionError: ")]
)
def test_a_plugin_that_refuses_a_config(
    name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup_plugins.register(monkeypatch, "intel", name)
    with pytest.raises(PluginConfigError, match=why):
        create_plugin("intel", name, CONFIG, no_fetch)


def test_another_package_cannot_replace_a_built_in_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_packages(*, group: str) -> EntryPoints:
        point = EntryPoint(name="Wise", group=group, value="tests.nowhere:Wise")
        return EntryPoints([point])

    monkeypatch.setattr(registry, "entry_points", other_packages)
    assert load_plugin_class("intel", "Wise") is Wise
