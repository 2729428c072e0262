"""The plugin Nesd: vulnerabilities of a port, from Nessus scans that the server Nesd serves."""

from typing import Any

import msgspec
from msgspec import Struct

from shards.lookups.plugins.api import BadReplyError, Fetch, Hit, fill_url

PROVIDER = "Nesd"
_NO_VULNERABILITY = b"no vulnerability found"
_NOT_FOUND, _TEAPOT = 404, 418
"""Nesd answers with status 418 if it knows no vulnerability."""
_REPORTED_RISKS = frozenset({"Medium", "High", "Critical"})


class _Vulnerability(Struct):
    risk: str
    name: str
    cve: str | None = None


_decoder = msgspec.json.Decoder(list[_Vulnerability])


class Nesd:
    """Config: `url`, with `${ip}` and `${port}`; `allow_low_severity`: report the risk Low too."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        allow_low = config.get("allow_low_severity", False)
        if type(allow_low) is not bool:
            raise ValueError("allow_low_severity must be true or false")
        self._url: str = config["url"]
        self._fetch = fetch
        self._risks = _REPORTED_RISKS | {"Low"} if allow_low else _REPORTED_RISKS

    def check(self, ip: str, port: int) -> list[Hit]:
        """Return a hit for each vulnerability with a reported risk."""
        reply = self._fetch(fill_url(self._url, ip, port), also_accept=(_NOT_FOUND, _TEAPOT))
        if reply.status == _TEAPOT or reply.body.strip() == _NO_VULNERABILITY:
            return []
        if reply.status == _NOT_FOUND:
            raise BadReplyError("is not there (status 404): is the url right?")
        return [
            Hit(PROVIDER, f"{ip}:{port}", _describe(vulnerability))
            for vulnerability in _decode(reply.body)
            if vulnerability.risk in self._risks
        ]


def _decode(body: bytes) -> list[_Vulnerability]:
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadReplyError(f"is no list of vulnerabilities: {error}") from error


def _describe(vulnerability: _Vulnerability) -> str:
    cve = f" ({vulnerability.cve})" if vulnerability.cve else ""
    return f"{vulnerability.risk} - {vulnerability.name}{cve}"
