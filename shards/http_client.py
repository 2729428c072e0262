"""One question to an HTTP server: the whole answer, or one sentence that says why there is none.

What may live here: HTTP. What may not: what is asked, what an answer means, and trying again. An
answer is bounded in bytes and in seconds, whatever the server does, and a stop ends the waiting.
"""

import threading
from collections.abc import Container
from http import HTTPStatus
from http.client import IncompleteRead
from typing import Self
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import requests
from msgspec import Struct
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from shards.http_deadline import STOPPING, Deadline, DeadlineAdapter
from shards.logs import EXCERPT_BYTES, escape_control, excerpt, redact_url

SOCKET_SECONDS = 5.0
"""For a connection, and then for the next bytes."""
_CHUNK_BYTES = 1 << 16
_OK = frozenset({HTTPStatus.OK.value})
_UNPACKED = ("", "identity")
_HALF = "the connection has ended before all of it had come"
_HEADERS = {
    "Accept-Encoding": "identity",  # nothing to unpack is nothing that grows
    "Connection": "close",  # so each exchange has a connection of its own, which can be cut
    "User-Agent": "dsiem-shards",
}
_URL_IS_WRONG = (
    "is no URL of a server, must be one like http://frontend:8080; "
    "special characters of a user or a password as %23"
)


class HttpClientError(Exception):
    """A download that is not to be used; the texts are for the user, and hold no password."""

    def __init__(self, url: str, reason: str, came: bytes = b"", code: str = "broken") -> None:
        """Take a URL as it may be shown, the sentence that it begins, and what came instead."""
        self.code = code
        """The same in one word, for counting."""
        self.why = reason
        """The sentence without its beginning: it holds no URL."""
        self.reason = f"{url} {reason}"
        """The same for as long as the same is wrong."""
        super().__init__(f"{self.reason}; it begins with: {excerpt(came)}" if came else self.reason)


class HttpResponse(Struct, frozen=True):
    """What a server has said, whole."""

    status: int
    body: bytes


class TransportOptions(Struct, frozen=True):
    """How servers are reached: through a proxy, if it has a URL; `patience` for the next bytes.

    `ca`: a file with the certificates that theirs are checked with, in place of the usual ones.
    """

    proxy: str = ""
    ca: str = ""
    patience: float = SOCKET_SECONDS


class ServerUrl(Struct, frozen=True):
    """A URL without its login, as it may be shown, and its login."""

    url: str
    shown: str
    login: HTTPBasicAuth | None


def parse_server_url(url: str) -> ServerUrl:
    """Take a URL apart, a slash at its end dropped; Broken when it is none."""
    shown = escape_control(redact_url(url)).rstrip("/")
    try:
        parts = urlsplit(url)
        login = _login(parts)
        right = parts.hostname and parts.port != 0  # which raises when it is no number
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


_STRAIGHT = TransportOptions()


class HttpClient:
    """Asks one server, one question at a time; used by one thread."""

    def __init__(
        self, to: ServerUrl, stop: threading.Event, way: TransportOptions = _STRAIGHT
    ) -> None:
        self._server = to
        self._stop = stop
        self._patience = way.patience
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(_HEADERS)
        self._session.verify = way.ca or True
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter())
            if way.proxy:
                self._session.proxies[scheme.removesuffix("://")] = way.proxy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what it holds."""
        self._session.close()

    def get(self, path: str, most: int, seconds: float) -> bytes:
        """Return the body of an answer with status 200, else as `ask`."""
        return self.ask(path, most, seconds).body

    def ask(
        self, path: str, most: int, seconds: float, statuses: Container[int] = _OK
    ) -> HttpResponse:
        """Return an answer with one of these statuses and a body of at most `most` bytes.

        Broken when it is not whole in `seconds`. After a stop it is Broken within a second, unless
        names are looked up or a connection is made just then: that may take `SOCKET_SECONDS` an
        address, and as long as the resolver will.
        """
        shown = self._server.shown + path
        if self._stop.is_set():
            raise HttpClientError(shown, STOPPING, code="stopping")
        with Deadline(seconds, self._stop) as deadline:
            try:
                answer = self._answer(path, shown, most, statuses)
            except (HTTPError, OSError, ValueError) as error:  # those of requests are OSErrors
                raise self._cut(deadline, shown) or self._unread(shown, error) from error
        if cut := self._cut(deadline, shown):
            raise cut  # a body that ends with its connection ends too when that is cut
        return answer

    def _answer(self, path: str, shown: str, most: int, statuses: Container[int]) -> HttpResponse:
        body = bytearray()
        with self._session.get(
            self._server.url + path,
            auth=self._server.login,
            stream=True,
            allow_redirects=False,
            timeout=(SOCKET_SECONDS, self._patience),
        ) as response:
            _check_head(response, shown, statuses)
            for chunk in response.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > most:
                    raise HttpClientError(
                        shown, f"is too long, may have {most} bytes", code="too_long"
                    )
        _check_length(response, shown, len(body))
        return HttpResponse(response.status_code, bytes(body))

    def _cut(self, deadline: Deadline, shown: str) -> HttpClientError | None:
        if not deadline.why:
            return None
        code = "stopping" if deadline.why == STOPPING else "timeout"
        return HttpClientError(shown, deadline.why, code=code)

    def _unread(self, shown: str, error: Exception) -> HttpClientError:
        bottom = _bottom(error)
        late = isinstance(bottom, TimeoutError)
        why = f"nothing came for {self._patience:g} s" if late else _why(bottom)
        return HttpClientError(
            shown, f"cannot be read: {why}", code="timeout" if late else "connection"
        )


def _check_head(response: requests.Response, shown: str, statuses: Container[int]) -> None:
    if response.is_redirect:
        place = response.headers["Location"].partition("?")[0]  # behind it may be a key
        to = excerpt(redact_url(place).encode())
        reason = f"is redirected to {to}, must be answered by the server itself"
        raise HttpClientError(shown, reason, code="redirect")
    status = response.status_code
    if status not in statuses:
        reason = f"is answered with status {status}, must be 200"
        raise HttpClientError(shown, reason, _beginning(response), code=f"status_{status}")
    packed = response.headers.get("Content-Encoding", "").strip().lower()
    if packed not in _UNPACKED:
        reason = f"comes packed ({excerpt(packed.encode())}), must come as it is"
        raise HttpClientError(shown, reason, code="packed")


def _check_length(response: requests.Response, shown: str, length: int) -> None:
    """Half a body is no error to every version of what requests is made of."""
    promised = response.headers.get("Content-Length", "").strip()
    chunked = "Transfer-Encoding" in response.headers
    if promised.isdecimal() and int(promised) != length and not chunked:
        raise HttpClientError(shown, f"cannot be read: {_HALF}", code="connection")


def _beginning(response: requests.Response) -> bytes:
    try:
        return bytes(response.raw.read(EXCERPT_BYTES, decode_content=False))
    except (HTTPError, OSError):
        return b""


def _bottom(error: BaseException) -> BaseException:
    """Return what was at the bottom of an error, below the layers that passed it on."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _why(error: BaseException) -> str:
    if isinstance(error, IncompleteRead):
        return _HALF
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return excerpt(text.encode("utf-8", "backslashreplace"))
