"""How plugins ask servers: what a Fetch promises, kept by bounded exchanges.

What may live here: URLs of lookups. What may not: what is in a reply, and bounded HTTP itself
(exchange.py). The text of an error holds no query, in which there may be a key.
"""

import ssl
import threading
from collections.abc import Container
from http import HTTPStatus
from urllib.parse import urlsplit

from shards.http_client import HttpClient, HttpClientError, TransportOptions, parse_server_url
from shards.lookups.limits import LookupLimits
from shards.lookups.plugins.api import Reply

SCHEMES = ("http", "https")
_RIGHT_PROXY = "must be a URL like http://proxy:3128"


class Fetcher:
    """Asks any server, one question at a time; used by one thread."""

    def __init__(self, limits: LookupLimits, way: TransportOptions, stop: threading.Event) -> None:
        self._limits = limits
        self._way = way
        self._stop = stop
        self._origin = ""
        self._client: HttpClient | None = None

    def __call__(self, url: str, also: Container[int] = ()) -> Reply:
        """Return the answer; Broken when there is none."""
        origin, path = split_url(url)
        limits = self._limits
        statuses = _With200(also)
        try:
            answer = self._to(origin).request(path, limits.size, limits.seconds, statuses)
        except HttpClientError as broken:
            raise HttpClientError(
                parse_server_url(origin).shown, broken.predicate, code=broken.code
            ) from None
        return Reply(answer.status, answer.body)

    def close(self) -> None:
        """Let go of what it holds."""
        if self._client is not None:
            self._client.close()

    def _to(self, origin: str) -> HttpClient:
        """Return a client of a server; a source has one server, so the last one is kept."""
        if self._client is None or origin != self._origin:
            self.close()
            self._client = HttpClient(parse_server_url(origin), self._stop, self._way)
            self._origin = origin
        return self._client


class _With200:
    def __init__(self, also: Container[int]) -> None:
        self._also = also

    def __contains__(self, status: object) -> bool:
        return status == HTTPStatus.OK or status in self._also


def split_url(url: str) -> tuple[str, str]:
    """Return the server of a URL, and what to ask it for; Broken when it is none of a server."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise HttpClientError("the url", "is none", code="bad_url") from None
    if parts.scheme not in SCHEMES:
        raise HttpClientError("the url", "must begin with http:// or https://", code="bad_url")
    origin = f"{parts.scheme}://{parts.netloc}"
    parse_server_url(origin)
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    return origin, f"{path}?{parts.query}" if parts.query else path


def transport_fault(way: TransportOptions) -> str:
    """Return what is wrong with a proxy or with certificates, for the user; empty when nothing."""
    try:
        if way.proxy:
            split_url(way.proxy)
        if way.ca:
            ssl.create_default_context(cafile=way.ca)
    except HttpClientError:
        return f"the proxy of lookups {_RIGHT_PROXY}"
    except OSError as error:  # those of ssl among them
        return f"the certificates of lookups, {way.ca}, cannot be used: {error.strerror or error}"
    return ""
