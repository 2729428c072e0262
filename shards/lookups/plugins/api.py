"""The interface of lookup plugins: all that a plugin imports.

Plugins of other packages depend on it, so it imports nothing else of shards.
"""

from collections.abc import Container, Sequence
from typing import Any, Protocol

from msgspec import Struct

from engine.address import canonical_ip
from engine.alarm import Hit, LookupKind

__all__ = [
    "BadReplyError",
    "Fetch",
    "Hit",
    "IntelPlugin",
    "LookupKind",
    "Reply",
    "VulnPlugin",
    "fill_url",
]

_IP, _PORT = "${ip}", "${port}"


class BadReplyError(ValueError):
    """A reply that cannot be used; the text is logged, so it must not contain a secret."""


class Reply(Struct, frozen=True):
    """The complete reply of a server."""

    status: int
    body: bytes


class Fetch(Protocol):
    """Sends a GET request, bounded in bytes and seconds; redirects are not followed."""

    def __call__(self, url: str, also_accept: Container[int] = ()) -> Reply:
        """Return a reply with status 200, or with a status in `also_accept`.

        All else raises an exception. A plugin should not catch it: it is counted and logged.
        """


class IntelPlugin(Protocol):
    """Looks up addresses. Each thread has an instance of its own."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        """Take the `config` of a source; raise ValueError, with a text for users, to refuse it."""

    def check(self, ip: str) -> Sequence[Hit]:
        """Return the hits for an address, possibly none; raise ValueError for a bad reply."""


class VulnPlugin(Protocol):
    """Looks up ports of addresses. Each thread has an instance of its own."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        """Take the `config` of a source; raise ValueError, with a text for users, to refuse it."""

    def check(self, ip: str, port: int) -> Sequence[Hit]:
        """Return the hits for a port, possibly none; raise ValueError for a bad reply."""


def fill_url(url: str, ip: str, port: int | None = None) -> str:
    """Return a URL with `${ip}` and `${port}` replaced.

    Raises ValueError if `ip` is not an address or `port` is not in 1..65535. The characters of an
    address, colons included, need no escape in a path or query.
    """
    if port is None:
        if _PORT in url:
            raise ValueError(f"there is no port to take the place of {_PORT}")
        return url.replace(_IP, canonical_ip(ip))
    if type(port) is not int or not 1 <= port <= 65535:
        raise ValueError(f"{port!r} is no port")
    return url.replace(_IP, canonical_ip(ip)).replace(_PORT, str(port))
