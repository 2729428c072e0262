"""The documents of lookup sources: what is read from them, and what is said of their faults."""

import json
from typing import Any

import pytest

from shards.lookups.source_config import LookupSource, read_sources
from tests.support import lookup_plugins

WISE = {"url": "http://wise:8081/ip/${ip}"}
NESD = {"url": "https://nesd/?ip=${ip}&port=${port}", "allow_low_severity": True}
KEYS = ("intel_sources", "vuln_sources")


def entry(config: Any = WISE, **changes: Any) -> dict[str, Any]:
    text = config if isinstance(config, str) else json.dumps(config)
    known = {"name": "x", "plugin": "Wise", "type": "IP", "enabled": True, "config": text}
    return {**known, **changes}


def document(*entries: Any, key: str = "intel_sources") -> bytes:
    return json.dumps({key: entries}).encode()


def faults(*entries: Any, key: str = "intel_sources") -> list[str]:
    read = read_sources(document(*entries, key=key), key)
    count, findings = read.count, read.findings
    assert count == len(entries)
    assert all(finding.path[:2] == (key, 0) for finding in findings)
    return [f"{f.code} {f.field}: {f.message}" for f in findings]


def test_enabled_sources_are_read() -> None:
    found = read_sources(document(entry(), entry(name="y", enabled=False)), "intel_sources")
    assert (found.count, found.findings) == (2, [])
    assert found.sources == (LookupSource("x", "Wise", "intel", WISE["url"], WISE),)
    found = read_sources(document(entry(NESD, plugin="Nesd"), key=KEYS[1]), KEYS[1])
    assert found.sources == (LookupSource("x", "Nesd", "vuln", str(NESD["url"]), NESD),)
    assert found.findings == []


def test_what_is_not_enabled_is_left_out() -> None:
    silent = entry(plugin="nobody")
    del silent["enabled"]
    for left_out in (silent, {**silent, "enabled": None}, {**silent, "enabled": False}):
        found = read_sources(document(left_out), "intel_sources")
        assert (found.count, found.sources, found.findings) == (1, (), [])


def test_a_source_at_fault_does_not_keep_others_from_being_read() -> None:
    data = document(entry(plugin="nobody"), {}, entry(name="y"), entry(enabled="x"))
    found = read_sources(data, "intel_sources")
    assert [source.name for source in found.sources] == ["y"]
    assert {finding.path[1] for finding in found.findings} == {0, 1, 3}


def test_a_plugin_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    says = (
        'unknown-plugin plugin: is the text "wise", must be one of those for intel: Hanging, Wise'
    )
    assert faults(entry(plugin="wise")) == [says]
    says = 'unknown-plugin plugin: is the text "x", must be one of those for vuln: Nesd'
    assert faults(entry(plugin="x"), key="vuln_sources") == [says]
    says = says.replace('"x"', '"Wise"')
    assert faults(entry(plugin="Wise"), key="vuln_sources") == [says]


def test_a_plugin_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "missing", "checkless", "Asking", "Refusing")
    [found] = faults(entry(plugin="missing"))
    assert found.startswith(
        'broken-plugin plugin: is the text "missing", which cannot be used: Attr'
    )
    [found] = faults(entry(plugin="checkless"))
    assert found.endswith("tests.lookup_plugins:checkless is no class with a method check")
    [found] = faults(entry(plugin="Refusing"))
    assert found == "bad-source config: is refused by the plugin Refusing: needs a key"
    [found] = faults(entry(plugin="Asking"))
    assert found.endswith("a plugin may not ask a server before it is asked itself")
    assert faults(entry(plugin="missing", enabled=False)) == []


def test_a_config_that_its_plugin_refuses() -> None:
    config = {**NESD, "allow_low_severity": "yes"}
    [found] = faults(entry(config, plugin="Nesd"), key="vuln_sources")
    says = "is refused by the plugin Nesd: allow_low_severity must be true or false"
    assert found == f"bad-source config: {says}"


NONE = "has a url that is none of a server, must be one like http://wise:8081/ip/${ip}"
FIXED = "has a url whose host is not fixed, must have ${ip} and ${port} behind the host"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://", NONE),
        ("http:///x", NONE),
        ("http://wise:port/", NONE),
        ("http://${ip}/", FIXED),
        ("http://user:${ip}@wise/", FIXED),
        ("http://wise:${port}/", NONE),
        ("http://x.${ip}:80/", FIXED),
        ("http://wise/${ip}/${port}", "has a url that cannot be used: there is no port to take"),
    ],
)
def test_a_url_that_cannot_be_asked(url: str, says: str) -> None:
    for enabled in (True, False):
        [found] = faults(entry({"url": url}, enabled=enabled))
        assert found.startswith(f"bad-source config: {says}")


def test_where_a_plugin_is_unknown_and_the_config_is_wrong_both_are_said() -> None:
    assert [found.partition(" ")[0] for found in faults(entry("{", plugin="nobody"))] == [
        "bad-source",
        "unknown-plugin",
    ]
