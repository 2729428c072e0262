"""Decodes the documents of lookup sources, `intel_*.json` and `vuln_*.json`, and checks them."""

from collections.abc import Container
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from engine.directives.duplicate_keys import find_duplicate_keys
from engine.directives.field import Field
from engine.directives.json_document import (
    FieldTable,
    describe_value,
    parse_list,
    parse_object,
)
from engine.errors import Finding, has_faults
from shards.http_client import HttpClientError
from shards.lookups.fetcher import SCHEMES, split_url
from shards.lookups.plugins.api import LookupKind, fill_url
from shards.lookups.plugins.registry import (
    BrokenPluginError,
    PluginConfigError,
    UnknownPluginError,
    create_plugin,
    plugin_names,
)
from shards.safe_text import excerpt

KIND_BY_KEY: dict[str, LookupKind] = {"intel_sources": "intel", "vuln_sources": "vuln"}
"""The kind of the sources in a document, by its only key."""

SOURCE_FIELDS = FieldTable(
    Field("name", "str", required=True, filled=True, description="Shown in logs and metrics."),
    Field(
        "plugin",
        "str",
        required=True,
        filled=True,
        description="The plugin that asks the source: Wise (intel), Nesd (vuln), or an installed "
        "one.",
    ),
    Field("type", "str", description="Ignored; Dsiem writes the type of the term here."),
    Field("enabled", "bool", description="Whether the source is asked at all."),
    Field(
        "config",
        "str",
        required=True,
        filled=True,
        description="A JSON object as a text, with the url; ${ip}, and ${port} in vuln, behind "
        "the host are replaced.",
        examples=(r'{"url": "http://wise:8081/ip/${ip}"}',),
    ),
)
_URL_PREFIXES = tuple(f"{scheme}://" for scheme in SCHEMES)
_EXAMPLE_ADDRESS, _EXAMPLE_PORT = "192.0.2.1", 443


class LookupSource(Struct, frozen=True):
    """An enabled source. `options`: its whole config, including the URL, for its plugin."""

    name: str
    plugin: str
    kind: LookupKind
    url: str
    options: dict[str, Any]


class SourceDocument(Struct, frozen=True):
    """A decoded document.

    `count`: number of all sources. `sources`: the enabled ones without faults.
    """

    count: int
    sources: tuple[LookupSource, ...]
    findings: list[Finding]


def read_sources(data: bytes, key: str, *, strict: bool = True) -> SourceDocument:
    """Decode a document `{key: [...]}`; `key` is "intel_sources" or "vuln_sources".

    Lookups only add to alarms: unless `strict`, what is faulty is left out, with a warning.
    """
    items, found = parse_list(data, key)
    twice = any(finding.code == "duplicate-key" for finding in found)
    consequence = "the last is taken" if twice else "the file is left out"
    findings = _accept(found, consequence, strict)
    sources = []
    for position, raw in enumerate(items):
        source, found = _read_source(raw, KIND_BY_KEY[key])
        found = [finding.with_prefix(key, position) for finding in found]
        findings += _accept(found, "the source is left out", strict)
        if source is not None:
            sources.append(source)
    return SourceDocument(len(items), tuple(sources), findings)


def _accept(findings: list[Finding], consequence: str, strict: bool) -> list[Finding]:
    """The findings; the faults among them as warnings, unless `strict`."""
    if strict:
        return findings
    return [finding if finding.warning else finding.as_warning(consequence) for finding in findings]


def _read_source(raw: msgspec.Raw, kind: LookupKind) -> tuple[LookupSource | None, list[Finding]]:
    item, findings = parse_object(raw)
    if item is None:
        return None, findings
    values, found = SOURCE_FIELDS.read(item)
    options, bad_config = _read_config(values.get("config"), kind)
    findings += found + bad_config
    if not values.get("enabled") or "plugin" not in values:
        return None, findings
    findings += _check_plugin(values["plugin"], kind, options)
    if has_faults(findings) or options is None:
        return None, findings
    return LookupSource(values["name"], values["plugin"], kind, options["url"], options), findings


def _read_config(text: str | None, kind: LookupKind) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Decode the `config` of a source, which is a JSON object in a string, with a URL."""
    if text is None:
        return None, []
    try:
        config: Any = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        config = None
    for twice in find_duplicate_keys(text.encode(), config) if isinstance(config, dict) else ():
        return None, [_bad_source(f"has the key {twice.field} twice, must have it once")]
    url = config.get("url") if isinstance(config, dict) else None
    if not (isinstance(url, str) and url.startswith(_URL_PREFIXES)):
        right = "a JSON object as a text, with a url that begins with http:// or https://"
        return None, [_bad_source(f"is {describe_value(text)}, must be {right}")]
    if error := _find_url_error(url, kind):
        return None, [_bad_source(error)]
    return config, []


def _find_url_error(url: str, kind: LookupKind) -> str:
    """Return why a URL cannot be used; empty if it can.

    Placeholders are allowed only after the host: addresses come from events, and must not decide
    which server is asked.
    """
    try:
        origin, _ = split_url(url)
        fill_url(url, _EXAMPLE_ADDRESS, _EXAMPLE_PORT if kind == "vuln" else None)
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
    """Check that the plugin exists, and accepts the config (unless that has faults already)."""
    try:
        create_plugin(kind, name, options or {"url": ""}, _refuse_fetch)
    except UnknownPluginError:
        known = ", ".join(plugin_names(kind))
        return [_bad_plugin("unknown-plugin", name, f"must be one of those for {kind}: {known}")]
    except BrokenPluginError as error:
        return [_bad_plugin("broken-plugin", name, f"which cannot be used: {_one_line(error)}")]
    except PluginConfigError as error:
        if options is not None:
            return [_bad_source(f"is refused by the plugin {name}: {_one_line(error)}")]
    return []


def _bad_plugin(code: str, name: str, what: str) -> Finding:
    return Finding(code, f"is {describe_value(name)}, {what}", ("plugin",), field="plugin")


def _one_line(error: Exception) -> str:
    return excerpt(str(error).encode("utf-8", "backslashreplace"))


def _refuse_fetch(url: str, also_accept: Container[int] = ()) -> NoReturn:  # noqa: ARG001 - a Fetch
    raise ValueError("a plugin may not ask a server before it is asked itself")
