"""The documents of lookup sources: decoding, and the texts of their faults."""

import json
from typing import Any

import pytest

from shards.lookups.source_config import LookupSource, read_sources
from tests.support import lookup_plugins

WISE = {"url": "http://wise:8081/ip/${ip}"}
NESD = {"url": "https://nesd/?ip=${ip}&port=${port}", "allow_low_severity": True}


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
    found = read_sources(document(entry(NESD, plugin="Nesd"), key="vuln_sources"), "vuln_sources")
    assert found.sources == (LookupSource("x", "Nesd", "vuln", str(NESD["url"]), NESD),)
    assert found.findings == []


def test_a_source_that_is_not_enabled_is_not_checked() -> None:
    no_enabled = entry(plugin="nobody")
    del no_enabled["enabled"]
    for disabled in (
        no_enabled,
        entry(plugin="nobody", enabled=None),
        entry(plugin="nobody", enabled=False),
    ):
        found = read_sources(document(disabled), "intel_sources")
        assert (found.count, found.sources, found.findings) == (1, (), [])


def test_a_source_with_a_fault_does_not_affect_the_others() -> None:
    data = document(entry(plugin="nobody"), {}, entry(name="y"), entry(enabled="x"))
    found = read_sources(data, "intel_sources")
    assert [source.name for source in found.sources] == ["y"]
    assert {finding.path[1] for finding in found.findings} == {0, 1, 3}


def test_an_unknown_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Hanging")
    message = (
        'unknown-plugin plugin: is the text "wise", must be one of those for intel: Hanging, Wise'
    )
    assert faults(entry(plugin="wise")) == [message]
    message = 'unknown-plugin plugin: is the text "x", must be one of those for vuln: Nesd'
    assert faults(entry(plugin="x"), key="vuln_sources") == [message]
    message = message.replace('"x"', '"Wise"')
    assert faults(entry(plugin="Wise"), key="vuln_sources") == [message]


def test_a_broken_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(
        monkeypatch, "intel", "missing", "checkless", "FetchingEarly", "Refusing"
    )
    [found] = faults(entry(plugin="missing"))
    assert found.startswith(
        'broken-plugin plugin: is the text "missing", which cannot be used: Attr'
    )
    [found] = faults(entry(plugin="checkless"))
    assert found.endswith("tests.support.lookup_plugins:checkless is no class with a method check")
    [found] = faults(entry(plugin="Refusing"))
    assert found == "bad-source config: is refused by the plugin Refusing: needs a key"
    [found] = faults(entry(plugin="FetchingEarly"))
    assert found.endswith("a plugin may not ask a server before it is asked itself")
    assert faults(entry(plugin="missing", enabled=False)) == []


def test_a_config_that_the_plugin_refuses() -> None:
    config = {**NESD, "allow_low_severity": "yes"}
    [found] = faults(entry(config, plugin="Nesd"), key="vuln_sources")
    message = "is refused by the plugin Nesd: allow_low_severity must be true or false"
    assert found == f"bad-source config: {message}"


NOT_A_SERVER = "has a url that is none of a server, must be one like http://wise:8081/ip/${ip}"
HOST_NOT_FIXED = "has a url whose host is not fixed, must have ${ip} and ${port} behind the host"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://", NOT_A_SERVER),
        ("http:///x", NOT_A_SERVER),
        ("http://wise:port/", NOT_A_SERVER),
        ("http://${ip}/", HOST_NOT_FIXED),
        ("http://user:${ip}@wise/", HOST_NOT_FIXED),
        ("http://wise:${port}/", NOT_A_SERVER),
        ("http://x.${ip}:80/", HOST_NOT_FIXED),
        ("http://wise/${ip}/${port}", "has a url that cannot be used: there is no port to take"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, message: str) -> None:
    for enabled in (True, False):
        [found] = faults(entry({"url": url}, enabled=enabled))
        assert found.startswith(f"bad-source config: {message}")


def test_an_unknown_plugin_and_a_bad_config_are_both_reported() -> None:
    assert [found.partition(" ")[0] for found in faults(entry("{", plugin="nobody"))] == [
        "bad-source",
        "unknown-plugin",
    ]
