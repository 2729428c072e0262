"""An HTTP client: the whole response, or an HttpClientError with one sentence.

A response is bounded in bytes and seconds, whatever the server does, and a stop event ends it.
"""

import threading
from collections.abc import Container, Mapping
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from types import MappingProxyType
from typing import Self
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import requests
from msgspec import Struct
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import HTTPError

from shards.http_deadline import STOPPING, Deadline, DeadlineAdapter
from shards.safe_text import EXCERPT_BYTES, escape_control, excerpt, redact_url

SOCKET_SECONDS = 5.0
"""Default timeout for a connection, and then for the next bytes."""
_CHUNK_BYTES = 1 << 16
_OK = frozenset({HTTPStatus.OK.value})
_NO_COMPRESSION = ("", "identity")
_INCOMPLETE = "the connection has ended before all of it had come"
_NO_HTTP = "the response is no valid HTTP"
_HEADERS = {
    "Accept-Encoding": "identity",  # a compressed body could grow without bound
    "Connection": "close",  # every exchange has its own connection, which can be shut down
    "User-Agent": "dsiem-shards",
}
_URL_IS_WRONG = (
    "is no URL of a server, must be one like http://host:8080; "
    "special characters of a user or a password as %23"
)


class HttpClientError(Exception):
    """An exchange failed, or its response cannot be used; the texts contain no password."""

    def __init__(self, url: str, reason: str, came: bytes = b"", code: str = "broken") -> None:
        """`url`, without secrets, and `reason` make a sentence; `came`: the body so far."""
        self.code = code
        """The reason in one word, for counters."""
        self.predicate = reason
        """The sentence without the URL."""
        self.reason = f"{url} {reason}"
        """The sentence; the same text for the same fault."""
        super().__init__(f"{self.reason}; it begins with: {excerpt(came)}" if came else self.reason)


class HttpResponse(Struct, frozen=True):
    """A complete response."""

    status: int
    body: bytes


class RequestBody(Struct, frozen=True):
    """What a request carries, with its content type, and its method: POST, or DELETE."""

    method: str
    content: bytes
    content_type: str = "application/json"


class TransportOptions(Struct, frozen=True):
    """How servers are reached. `proxy`: URL of a proxy, or ""; `read_timeout` in seconds.

    `ca`: file with the CA certificates to use instead of the default ones, or "". `headers`: of
    each request.
    """

    proxy: str = ""
    ca: str = ""
    read_timeout: float = SOCKET_SECONDS
    headers: Mapping[str, str] = MappingProxyType({})


class ServerUrl(Struct, frozen=True):
    """A server's URL without login; `shown`: the same for messages; `login`: its login."""

    url: str
    shown: str
    login: AuthBase | None


def parse_server_url(url: str) -> ServerUrl:
    """Parse a server's URL, without a trailing slash; HttpClientError if it is invalid."""
    shown = escape_control(redact_url(url)).rstrip("/")
    try:
        parts = urlsplit(url)
        login = _login(parts)
        right = parts.hostname and parts.port != 0  # raises ValueError if it is not a number
    except ValueError:
        raise HttpClientError(shown, _URL_IS_WRONG, code="bad_url") from None
    if not right or parts.query or parts.fragment or "@" in parts.path:
        raise HttpClientError(shown, _URL_IS_WRONG, code="bad_url")
    place = parts.netloc.rpartition("@")[2]
    return ServerUrl(f"{parts.scheme}://{place}{parts.path}".rstrip("/"), shown, login)


def _login(parts: SplitResult) -> HTTPBasicAuth | None:
    if parts.username is None:
        return None
    return HTTPBasicAuth(unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or ""))


_DIRECT = TransportOptions()
_NOTHING = RequestBody("GET", b"")

_NO_DEADLINE = "is not read: the installed urllib3 takes no deadline, use the pinned version"


class HttpClient:
    """Requests to one server, one at a time; for one thread."""

    def __init__(
        self,
        server: ServerUrl,
        stop: threading.Event,
        transport: TransportOptions = _DIRECT,
    ) -> None:
        self._server = server
        self._stop = stop
        self._read_timeout = transport.read_timeout
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({**_HEADERS, **transport.headers})
        self._session.verify = transport.ca or True
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter())
            if transport.proxy:
                self._session.proxies[scheme.removesuffix("://")] = transport.proxy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def get(self, path: str, most: int, seconds: float) -> bytes:
        """The body of a response with status 200; otherwise like `request`."""
        return self.request(path, most, seconds).body

    def request(
        self,
        path: str,
        most: int,
        seconds: float,
        statuses: Container[int] = _OK,
        sent: RequestBody = _NOTHING,
    ) -> HttpResponse:
        """GET a path, or send something to it: a response with one of these statuses.

        It has at most `most` bytes of body. HttpClientError if it is not complete within `seconds`.
        After a stop it fails within a second, except during name resolution, which has no bound,
        and while connecting, which may take SOCKET_SECONDS for each address.
        """
        shown = self._server.shown + path
        if self._stop.is_set():
            raise HttpClientError(shown, STOPPING, code="stopping")
        with Deadline(seconds, self._stop) as deadline:
            try:
                with self._send(path, sent) as answer:
                    if not deadline.holds_connection:
                        raise HttpClientError(shown, _NO_DEADLINE, code="no_deadline")
                    response = _receive(answer, shown, most, statuses)
            except (HTTPError, OSError, ValueError) as error:  # those of requests are OSErrors
                raise self._deadline_error(deadline, shown) or self._read_error(
                    shown, error
                ) from error
        if late := self._deadline_error(deadline, shown):
            raise late  # a body without length ends like this when its connection is shut down
        return response

    def _send(self, path: str, sent: RequestBody) -> requests.Response:
        return self._session.request(
            sent.method,
            self._server.url + path,
            data=sent.content or None,
            headers={"Content-Type": sent.content_type} if sent.content else None,
            auth=self._server.login,
            stream=True,
            allow_redirects=False,
            timeout=(SOCKET_SECONDS, self._read_timeout),
        )

    def _deadline_error(self, deadline: Deadline, shown: str) -> HttpClientError | None:
        if not deadline.reason:
            return None
        code = "stopping" if deadline.reason == STOPPING else "timeout"
        return HttpClientError(shown, deadline.reason, code=code)

    def _read_error(self, shown: str, error: Exception) -> HttpClientError:
        cause = _root_cause(error)
        late = isinstance(cause, TimeoutError)
        why = f"nothing came for {self._read_timeout:g} s" if late else _describe(cause)
        return HttpClientError(
            shown, f"cannot be read: {why}", code="timeout" if late else "connection"
        )


def _receive(
    response: requests.Response, shown: str, most: int, statuses: Container[int]
) -> HttpResponse:
    body = bytearray()
    _check_head(response, shown, statuses)
    for chunk in response.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > most:
            raise HttpClientError(shown, f"is too long, may have {most} bytes", code="too_long")
    _check_length(response, shown, len(body))
    return HttpResponse(response.status_code, bytes(body))


def _check_head(response: requests.Response, shown: str, statuses: Container[int]) -> None:
    if response.is_redirect:
        place = response.headers["Location"].partition("?")[0]  # the query may hold a key
        to = excerpt(redact_url(place).encode())
        reason = f"is redirected to {to}, must be answered by the server itself"
        raise HttpClientError(shown, reason, code="redirect")
    status = response.status_code
    if status not in statuses:
        reason = f"is answered with status {status}, must be 200"
        raise HttpClientError(shown, reason, _read_excerpt(response), code=f"status_{status}")
    packed = response.headers.get("Content-Encoding", "").strip().lower()
    if packed not in _NO_COMPRESSION:
        reason = f"comes packed ({excerpt(packed.encode())}), must come as it is"
        raise HttpClientError(shown, reason, code="packed")


def _check_length(response: requests.Response, shown: str, length: int) -> None:
    """Check for an incomplete body, which not every version of urllib3 reports."""
    promised = response.headers.get("Content-Length", "").strip()
    chunked = "Transfer-Encoding" in response.headers
    if promised.isdecimal() and int(promised) != length and not chunked:
        raise HttpClientError(shown, f"cannot be read: {_INCOMPLETE}", code="connection")


def _read_excerpt(response: requests.Response) -> bytes:
    try:
        return bytes(response.raw.read(EXCERPT_BYTES, decode_content=False))
    except (HTTPError, OSError):
        return b""


def _root_cause(error: BaseException) -> BaseException:
    """The innermost cause of an error."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _describe(error: BaseException) -> str:
    if isinstance(error, IncompleteRead):
        return _INCOMPLETE
    if type(error) is ValueError:  # the size of a chunk, or a URL in a header
        return _NO_HTTP
    if isinstance(error, HTTPException) and not isinstance(error, RemoteDisconnected):
        return f"{_NO_HTTP} ({_text_of(error)})"
    return _text_of(error)


def _text_of(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return excerpt(text.encode("utf-8", "backslashreplace"))
