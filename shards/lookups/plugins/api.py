"""What a lookup plugin is made of: all that one needs to import, and nothing else.

What may live here: the contract with plugins, ours and others'. What may not: finding them
(plugins.py), and how they are run. A change here can break a plugin that we do not know of.
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
    """A reply that is not to be used; the text is logged, so it holds nothing secret."""


class Reply(Struct, frozen=True):
    """The answer of a server, whole."""

    status: int
    body: bytes


class Fetch(Protocol):
    """A GET, bounded in bytes and seconds, redirects not followed.

    Statuses other than 200 are taken only if they are in `also`. Whatever else comes, or does not
    come, is an exception which is best left alone: it is counted and logged by what was wrong.
    """

    def __call__(self, url: str, also: Container[int] = ()) -> Reply:
        """Return what came."""


class IntelPlugin(Protocol):
    """What is known of an address. Each thread has an instance of its own."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        """Take the `config` of a source; ValueError when it will not do, with a text for users."""

    def check(self, ip: str) -> Sequence[Hit]:
        """Return what was found, nothing included; ValueError when the reply makes no sense."""


class VulnPlugin(Protocol):
    """What is known of a port of an address. Each thread has an instance of its own."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        """Take the `config` of a source; ValueError when it will not do, with a text for users."""

    def check(self, ip: str, port: int) -> Sequence[Hit]:
        """Return what was found, nothing included; ValueError when the reply makes no sense."""


def fill_url(url: str, ip: str, port: int | None = None) -> str:
    """Return a URL with `${ip}` and `${port}` replaced; ValueError when they are no such things.

    All that an address is spelled with may stand in a path or query as it is, colons included.
    """
    if port is None:
        if _PORT in url:
            raise ValueError(f"there is no port to take the place of {_PORT}")
        return url.replace(_IP, canonical_ip(ip))
    if type(port) is not int or not 1 <= port <= 65535:
        raise ValueError(f"{port!r} is no port")
    return url.replace(_IP, canonical_ip(ip)).replace(_PORT, str(port))
