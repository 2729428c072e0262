"""The configured sources of threat intelligence and vulnerabilities, as their documents say.

What may live here: reading `intel_*.json` and `vuln_*.json`, and every fault in them. What may
not: files (config.py), and asking the sources (lookups.py).
"""

from collections.abc import Container
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from engine.directives.json_document import (
    Field,
    FieldTable,
    describe_value,
    parse_list,
    parse_object,
)
from engine.errors import Finding
from shards.http_client import HttpClientError
from shards.lookups.fetcher import SCHEMES, split_url
from shards.lookups.plugins.api import LookupKind, fill_url
from shards.lookups.plugins.registry import (
    BrokenPluginError,
    RefusedConfigError,
    UnknownPluginError,
    make_plugin,
    plugin_names,
)
from shards.safe_text import excerpt

KINDS: dict[str, LookupKind] = {"intel_sources": "intel", "vuln_sources": "vuln"}
"""By the key of the list in a document."""

_FIELDS = FieldTable(
    Field("name", "str", required=True, filled=True),
    Field("plugin", "str", required=True, filled=True),
    Field("type", "str"),
    Field("enabled", "bool"),
    Field("config", "str", required=True, filled=True),
)
_BEGINNINGS = tuple(f"{scheme}://" for scheme in SCHEMES)
_SOME_ADDRESS, _SOME_PORT = "192.0.2.1", 443


class LookupSource(Struct, frozen=True):
    """An enabled source. `options`: all of its config, the url included, for its plugin."""

    name: str
    plugin: str
    kind: LookupKind
    url: str
    options: dict[str, Any]


class SourceDocument(Struct, frozen=True):
    """What a document holds: how many sources, those enabled and without fault, every finding."""

    count: int
    sources: tuple[LookupSource, ...]
    findings: list[Finding]


def read_sources(data: bytes, key: str) -> SourceDocument:
    """Read a document `{key: [...]}`, whose key is one of KINDS."""
    items, findings = parse_list(data, key)
    sources = []
    for position, raw in enumerate(items):
        source, found = _read_source(raw, KINDS[key])
        findings += [finding.with_prefix(key, position) for finding in found]
        if source is not None:
            sources.append(source)
    return SourceDocument(len(items), tuple(sources), findings)


def _read_source(raw: msgspec.Raw, kind: LookupKind) -> tuple[LookupSource | None, list[Finding]]:
    item, findings = parse_object(raw)
    if findings:
        return None, findings
    values, findings = _FIELDS.read(item)
    options, found = _read_config(values.get("config"), kind)
    findings += found
    if not values.get("enabled") or "plugin" not in values:
        return None, findings
    findings += _check_plugin(values["plugin"], kind, options)
    if findings or options is None:
        return None, findings
    return LookupSource(values["name"], values["plugin"], kind, options["url"], options), []


def _read_config(text: str | None, kind: LookupKind) -> tuple[dict[str, Any] | None, list[Finding]]:
    """A source's `config` is JSON inside a text, and needs a URL."""
    if text is None:
        return None, []
    try:
        config: Any = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        config = None
    url = config.get("url") if isinstance(config, dict) else None
    if not (isinstance(url, str) and url.startswith(_BEGINNINGS)):
        right = "a JSON object as a text, with a url that begins with http:// or https://"
        return None, [_bad_source(f"is {describe_value(text)}, must be {right}")]
    if wrong := _wrong_with(url, kind):
        return None, [_bad_source(wrong)]
    return config, []


def _wrong_with(url: str, kind: LookupKind) -> str:
    """Return what is wrong with a URL; an address may not decide which server is asked."""
    try:
        origin, _ = split_url(url)
        fill_url(url, _SOME_ADDRESS, _SOME_PORT if kind == "vuln" else None)
    except HttpClientError:
        return "has a url that is none of a server, must be one like http://wise:8081/ip/${ip}"
    except ValueError as error:
        return f"has a url that cannot be used: {error}"
    if "$" in origin:
        return "has a url whose host is not fixed, must have ${ip} and ${port} behind the host"
    return ""


def _bad_source(message: str) -> Finding:
    return Finding("bad-source", message, ("config",), field="config")


def _check_plugin(name: str, kind: LookupKind, options: dict[str, Any] | None) -> list[Finding]:
    """Check that there is such a plugin, and that it takes the config, if that is right so far."""
    try:
        make_plugin(kind, name, options or {"url": ""}, _fetch_nothing)
    except UnknownPluginError:
        known = ", ".join(plugin_names(kind))
        return [_bad_plugin("unknown-plugin", name, f"must be one of those for {kind}: {known}")]
    except BrokenPluginError as error:
        return [_bad_plugin("broken-plugin", name, f"which cannot be used: {_shown(error)}")]
    except RefusedConfigError as error:
        if options is not None:
            return [_bad_source(f"is refused by the plugin {name}: {_shown(error)}")]
    return []


def _bad_plugin(code: str, name: str, what: str) -> Finding:
    return Finding(code, f"is {describe_value(name)}, {what}", ("plugin",), field="plugin")


def _shown(error: Exception) -> str:
    return excerpt(str(error).encode("utf-8", "backslashreplace"))


def _fetch_nothing(url: str, also: Container[int] = ()) -> NoReturn:  # noqa: ARG001 - a Fetch
    raise ValueError("a plugin may not ask a server before it is asked itself")
