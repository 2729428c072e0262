"""Who may use the console: by the token, or without one only from this machine.

A page of another site could have a browser send requests here: so requests that change something
must come from the console's own page, and without a token the name by which the browser knows the
service must be one of this machine, since a name of another site may lead to it (DNS rebinding).
"""

import time
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from msgspec import Struct

from shards.http_request import check_length, read_body
from shards.http_server import RequestRefusedError, response
from shards.ops.console.sessions import SESSION_SECONDS, LoginLimit, Sessions, is_same
from shards.settings.settings import Settings
from shards.settings.validation import is_loopback

MAX_LOGIN_BYTES = 4096
_LOGIN_SECONDS = 10.0
_CLOSED = (
    "the console is closed: other machines may reach this port, and no token is set. Set "
    "--api-token (DSIEM_API_TOKEN), or a loopback address as --ops-address (DSIEM_OPS_ADDRESS)"
)
_NO_WRITES = "this needs a token: set --api-token (DSIEM_API_TOKEN)"

Login = Literal["off", "needed", "done"]


class _LoginBody(Struct):
    token: str


class Access:
    """Checks requests, and logs clients in and out."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.api_token.encode()
        self._address = settings.ops_address
        self._cookie = f"dsiem_session_{settings.ops_port}"  # cookies are the same for all ports
        self._sessions = Sessions(time.monotonic)
        self._limit = LoginLimit(time.monotonic)

    def check_open(self, request: web.BaseRequest) -> None:
        """RequestRefusedError unless somebody may use the console over this connection."""
        if self._token:
            return
        if not is_loopback(self._address):
            raise RequestRefusedError(403, _CLOSED)
        name = _host_name(request.headers.get("Host", ""))
        if not (is_loopback(name) or name == self._address):
            raise RequestRefusedError(
                403,
                f"the console is at http://{self._address}: without a token it is not shown under "
                "another name",
            )

    def login_of(self, request: web.BaseRequest) -> Login:
        """Whether a client has logged in, or need not."""
        if not self._token:
            return "off"
        return "done" if self._has_session(request) or self._has_token(request) else "needed"

    def check_login(self, request: web.BaseRequest) -> None:
        """RequestRefusedError unless the client may read."""
        self.check_open(request)
        if self.login_of(request) == "needed":
            raise RequestRefusedError(401, "log in first")

    def check_write(self, request: web.BaseRequest) -> None:
        """RequestRefusedError unless the client may change something, which needs the token."""
        self.check_login(request)
        check_same_origin(request)
        if not self._token:
            raise RequestRefusedError(403, _NO_WRITES)

    def _has_session(self, request: web.BaseRequest) -> bool:
        key = request.cookies.get(self._cookie, "")
        return bool(key) and self._sessions.is_valid(key)

    def _has_token(self, request: web.BaseRequest) -> bool:
        """Whether the request itself has the token, as those of programs do."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_right(request, given.strip())

    def _is_right(self, request: web.BaseRequest, token: str) -> bool:
        client = request.remote or ""
        if not self._limit.allows(client):
            raise RequestRefusedError(429, "too many wrong tokens, wait a minute")
        is_right = is_same(token, self._token)
        if not is_right:
            self._limit.note_failure(client)
        return is_right

    async def log_in(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to POST /api/v1/login."""
        self.check_open(request)
        check_same_origin(request)
        check_length(request.content_length or 0, MAX_LOGIN_BYTES)
        body = await read_body(request, MAX_LOGIN_BYTES, _LOGIN_SECONDS)
        try:
            token = msgspec.json.decode(body, type=_LoginBody).token
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise RequestRefusedError(400, 'the body must be {"token": "…"}') from None
        if not self._token:
            return _no_content()
        if not self._is_right(request, token):
            raise RequestRefusedError(401, "the token is wrong")
        reply = _no_content()
        reply.set_cookie(
            self._cookie,
            self._sessions.begin(),
            max_age=SESSION_SECONDS,
            path="/",
            secure=request.secure,
            httponly=True,
            samesite="Strict",
        )
        return reply

    async def log_out(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to POST /api/v1/logout."""
        self.check_open(request)
        check_same_origin(request)
        self._sessions.end(request.cookies.get(self._cookie, ""))
        reply = _no_content()
        reply.del_cookie(self._cookie, path="/", httponly=True, samesite="Strict")
        return reply


def check_same_origin(request: web.BaseRequest) -> None:
    """RequestRefusedError if a browser says that the request comes from another site's page."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    is_same_host = origin is None or urlsplit(origin).netloc == request.headers.get("Host", "")
    if site not in ("same-origin", "none") or not is_same_host:
        raise RequestRefusedError(403, "requests of other sites' pages are refused")


def _host_name(host: str) -> str:
    """The name or address in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _no_content() -> web.Response:
    return response(204, b"", "application/json")
