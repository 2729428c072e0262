"""The configured sources of threat intelligence and vulnerabilities.

For now their documents are only checked; the lookups themselves will live here.
"""

from typing import Any

import msgspec

from engine.document import Field, FieldTable, decode_item, describe, open_list
from engine.errors import Finding

_FIELDS = FieldTable(
    Field("name", "str", required=True, filled=True),
    Field("plugin", "str", required=True, filled=True),
    Field("type", "str"),
    Field("enabled", "bool"),
    Field("config", "str", required=True, filled=True),
)
_SCHEMES = ("http://", "https://")


def check_sources(data: bytes, key: str) -> tuple[int, list[Finding]]:
    """How many sources a document `{key: [...]}` holds, and every finding in it."""
    items, findings = open_list(data, key)
    for position, raw in enumerate(items):
        findings += [finding.below(key, position) for finding in _check_source(raw)]
    return len(items), findings


def _check_source(raw: msgspec.Raw) -> list[Finding]:
    item, findings = decode_item(raw)
    if findings:
        return findings
    values, findings = _FIELDS.read(item)
    config = values.get("config")
    return findings if config is None else findings + _check_config(config)


def _check_config(config: str) -> list[Finding]:
    """A source's `config` is JSON inside a text, and needs a URL."""
    try:
        inner: Any = msgspec.json.decode(config)
    except (msgspec.MsgspecError, RecursionError):
        inner = None
    url = inner.get("url") if isinstance(inner, dict) else None
    if isinstance(url, str) and url.startswith(_SCHEMES):
        return []
    message = (
        f"is {describe(config)}, must be a JSON object as a text, with a url that begins with "
        "http:// or https://"
    )
    return [Finding("bad-source", message, ("config",), field="config")]
