"""The implementation of `Fetch` that plugins are given: bounded GET requests."""

import ssl
import threading
from collections.abc import Container
from http import HTTPStatus
from urllib.parse import urlsplit

from shards.http_client import HttpClient, HttpClientError, TransportOptions, parse_server_url
from shards.lookups.limits import LookupLimits
from shards.lookups.plugins.api import Reply

SCHEMES = ("http", "https")


class Fetcher:
    """Sends GET requests to any server, one at a time; not thread-safe."""

    def __init__(
        self, limits: LookupLimits, transport: TransportOptions, stop: threading.Event
    ) -> None:
        self._limits = limits
        self._transport = transport
        self._stop = stop
        self._origin = ""
        self._client: HttpClient | None = None

    def __call__(self, url: str, also_accept: Container[int] = ()) -> Reply:
        """Return the reply; raise HttpClientError if there is none.

        The text of the error contains no path and no query, since a query may contain a key.
        """
        origin, path = split_url(url)
        limits = self._limits
        statuses = _AcceptedStatuses(also_accept)
        try:
            answer = self._client_of(origin).request(
                path, limits.reply_bytes, limits.request_seconds, statuses
            )
        except HttpClientError as error:
            raise HttpClientError(
                parse_server_url(origin).shown, error.predicate, code=error.code
            ) from None
        return Reply(answer.status, answer.body)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _client_of(self, origin: str) -> HttpClient:
        """Return a client of a server; only the last one is kept, as a source has one server."""
        if self._client is None or origin != self._origin:
            self.close()
            self._client = HttpClient(parse_server_url(origin), self._stop, self._transport)
            self._origin = origin
        return self._client


class _AcceptedStatuses:
    """Status 200, and those that the plugin accepts besides."""

    def __init__(self, also_accept: Container[int]) -> None:
        self._also_accept = also_accept

    def __contains__(self, status: object) -> bool:
        return status == HTTPStatus.OK or status in self._also_accept


def split_url(url: str) -> tuple[str, str]:
    """Return the origin (scheme, login, host, port) of an HTTP URL, and its path with query.

    Raises HttpClientError if it is not a URL of a server.
    """
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


def find_transport_error(transport: TransportOptions) -> str:
    """Return why the proxy or the CA certificates cannot be used, for the user; empty if they can.

    Nothing is sent.
    """
    try:
        if transport.proxy:
            split_url(transport.proxy)
        if transport.ca:
            ssl.create_default_context(cafile=transport.ca)
    except HttpClientError:
        return "the proxy of lookups must be a URL like http://proxy:3128"
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or error
        return f"the certificates of lookups, {transport.ca}, cannot be used: {reason}"
    return ""
