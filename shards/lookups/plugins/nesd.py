"""The plugin Nesd: what a Nessus scan, as Nesd serves it, has found at a port.

What may live here: its replies.
"""

from typing import Any

import msgspec
from msgspec import Struct

from shards.lookups.plugins.api import BadReplyError, Fetch, Hit, fill_url

PROVIDER = "Nesd"
_NOTHING = b"no vulnerability found"
_NOT_FOUND, _TEAPOT = 404, 418
"""Nesd answers with 418 when it knows of nothing."""
_RISKS = frozenset({"Medium", "High", "Critical"})


class _Vulnerability(Struct):
    risk: str
    name: str
    cve: str | None = None


_vulnerabilities = msgspec.json.Decoder(list[_Vulnerability])


class Nesd:
    """Asks `url`, for each address with a port; `allow_low_severity` takes the risk Low too."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        low = config.get("allow_low_severity", False)
        if type(low) is not bool:
            raise ValueError("allow_low_severity must be true or false")
        self._url: str = config["url"]
        self._fetch = fetch
        self._risks = _RISKS | {"Low"} if low else _RISKS

    def check(self, ip: str, port: int) -> list[Hit]:
        """Return a hit for each vulnerability whose risk counts."""
        reply = self._fetch(fill_url(self._url, ip, port), also=(_NOT_FOUND, _TEAPOT))
        if reply.status == _TEAPOT or reply.body.strip() == _NOTHING:
            return []
        if reply.status == _NOT_FOUND:
            raise BadReplyError("is not there (status 404): is the url right?")
        return [
            Hit(PROVIDER, f"{ip}:{port}", _result(found))
            for found in _read(reply.body)
            if found.risk in self._risks
        ]


def _read(body: bytes) -> list[_Vulnerability]:
    try:
        return _vulnerabilities.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadReplyError(f"is no list of vulnerabilities: {error}") from error


def _result(found: _Vulnerability) -> str:
    cve = f" ({found.cve})" if found.cve else ""
    return f"{found.risk} - {found.name}{cve}"
