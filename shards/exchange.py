"""One question to an HTTP server: the whole answer, or one sentence that says why there is none.

What may live here: HTTP. What may not: what is asked, what an answer means, and trying again. An
answer is bounded in bytes and in seconds, whatever the server does, and a stop ends the waiting.
"""

import threading
from http import HTTPStatus
from http.client import IncompleteRead
from typing import Self
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import requests
from msgspec import Struct
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from shards.deadline import STOPPING, Deadline, DeadlineAdapter
from shards.logs import EXCERPT_BYTES, excerpt, harmless
from shards.table import TABLE

SOCKET_SECONDS = 5.0
"""For a connection, and then for the next bytes."""
_CHUNK_BYTES = 1 << 16
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


class Broken(Exception):
    """A download that is not to be used; the texts are for the user, and hold no password."""

    def __init__(self, url: str, reason: str, came: bytes = b"") -> None:
        """Take a URL as it may be shown, the sentence that it begins, and what came instead."""
        self.reason = f"{url} {reason}"
        """The same for as long as the same is wrong."""
        super().__init__(f"{self.reason}; it begins with: {excerpt(came)}" if came else self.reason)


class Server(Struct, frozen=True):
    """A URL without its login, as it may be shown, and its login."""

    url: str
    shown: str
    login: HTTPBasicAuth | None


def server(url: str) -> Server:
    """Take a URL apart, a slash at its end dropped; Broken when it is none."""
    shown = harmless(masked(url)).rstrip("/")
    try:
        parts = urlsplit(url)
        login = _login(parts)
        right = parts.hostname and parts.port != 0  # which raises when it is no number
    except ValueError:
        raise Broken(shown, _URL_IS_WRONG) from None
    if not right or parts.query or parts.fragment or "@" in parts.path:
        raise Broken(shown, _URL_IS_WRONG)
    place = parts.netloc.rpartition("@")[2]
    return Server(f"{parts.scheme}://{place}{parts.path}".rstrip("/"), shown, login)


def masked(url: str) -> str:
    """Return a URL without user and password."""
    return str(TABLE["frontend"].spec.masked(url))


def _login(parts: SplitResult) -> HTTPBasicAuth | None:
    if parts.username is None:
        return None
    return HTTPBasicAuth(unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or ""))


class Client:
    """Asks one server, one question at a time; used by one thread."""

    def __init__(self, to: Server, stop: threading.Event) -> None:
        self._server = to
        self._stop = stop
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(_HEADERS)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self._session.close()

    def get(self, path: str, most: int, seconds: float) -> bytes:
        """Return the body, of at most `most` bytes; Broken when it is not whole in `seconds`.

        After a stop it is Broken within a second, unless names are looked up or a connection is
        made just then: that may take `SOCKET_SECONDS` an address, and as long as the resolver will.
        """
        shown = self._server.shown + path
        if self._stop.is_set():
            raise Broken(shown, STOPPING)
        with Deadline(seconds, self._stop) as deadline:
            try:
                body = self._body(path, shown, most)
            except (HTTPError, OSError, ValueError) as error:  # those of requests are OSErrors
                reason = deadline.why or f"cannot be read: {_why(error)}"
                raise Broken(shown, reason) from error
        if deadline.why:  # a body that ends with its connection ends too when that is cut
            raise Broken(shown, deadline.why)
        return body

    def _body(self, path: str, shown: str, most: int) -> bytes:
        body = bytearray()
        with self._session.get(
            self._server.url + path,
            auth=self._server.login,
            stream=True,
            allow_redirects=False,
            timeout=SOCKET_SECONDS,
        ) as response:
            _check_head(response, shown)
            for chunk in response.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > most:
                    raise Broken(shown, f"is too long, may have {most} bytes")
        _check_length(response, shown, len(body))
        return bytes(body)


def _check_head(response: requests.Response, shown: str) -> None:
    if response.is_redirect:
        to = excerpt(masked(response.headers["Location"]).encode())
        raise Broken(shown, f"is redirected to {to}, must be answered by the frontend itself")
    if response.status_code != HTTPStatus.OK:
        status = f"is answered with status {response.status_code}, must be 200"
        raise Broken(shown, status, _beginning(response))
    packed = response.headers.get("Content-Encoding", "").strip().lower()
    if packed not in _UNPACKED:
        raise Broken(shown, f"comes packed ({excerpt(packed.encode())}), must come as it is")


def _check_length(response: requests.Response, shown: str, length: int) -> None:
    """Half a body is no error to every version of what requests is made of."""
    promised = response.headers.get("Content-Length", "").strip()
    chunked = "Transfer-Encoding" in response.headers
    if promised.isdecimal() and int(promised) != length and not chunked:
        raise Broken(shown, f"cannot be read: {_HALF}")


def _beginning(response: requests.Response) -> bytes:
    try:
        return bytes(response.raw.read(EXCERPT_BYTES, decode_content=False))
    except (HTTPError, OSError):
        return b""


def _why(error: BaseException) -> str:
    """Return what was at the bottom of an error, without the names of the layers above."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, IncompleteRead):
        return _HALF
    if isinstance(error, TimeoutError):
        return f"nothing came for {SOCKET_SECONDS:g} s"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return excerpt(text.encode("utf-8", "backslashreplace"))
