"""POST /reload: loads the configuration again, and answers what became of that."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from shards.http_request import check_token
from shards.http_server import RETRY_HEADER, RequestRefusedError, json_response
from shards.ops.reload_outcome import ReloadOutcome
from shards.settings.validation import is_loopback

MAX_WAITING = 8
"""Requests whose reload has not ended; those that meet a running reload share the next one."""
_BROWSER_HEADERS = ("Origin", "Sec-Fetch-Site")

Reload = Callable[[], Awaitable[ReloadOutcome]]
"""Reloads the configuration; what is wrong is in the outcome."""


class ReloadHandler:
    """Answers the requests of one server.

    A client that goes away does not cancel its reload.
    """

    def __init__(self, reload: Reload, token: str, address: str) -> None:
        """`address`: where the server listens. Without a token it must be a loopback address."""
        self._reload = reload
        self._token = token.encode()
        self._is_open = not token and not is_loopback(address)
        self._waiting: set[asyncio.Future[ReloadOutcome]] = set()

    async def respond(self, request: web.BaseRequest) -> web.Response:
        """The response to a POST; RequestRefusedError."""
        self._check_client(request)
        if request.can_read_body:
            raise RequestRefusedError(400, "a reload takes no body")
        if len(self._waiting) >= MAX_WAITING:
            raise RequestRefusedError(429, "too many requests at one time", RETRY_HEADER)
        reload = asyncio.ensure_future(self._reload())
        self._waiting.add(reload)
        reload.add_done_callback(self._waiting.discard)
        return _response(await asyncio.shield(reload))

    def _check_client(self, request: web.BaseRequest) -> None:
        """RequestRefusedError for a client that may not reload.

        A web page could otherwise have a browser on this machine send a request.
        """
        if any(name in request.headers for name in _BROWSER_HEADERS):
            raise RequestRefusedError(403, "requests of web pages are refused")
        if self._is_open:
            raise RequestRefusedError(
                403,
                "POST /reload needs a token where others reach the port: set --api-token "
                "(DSIEM_API_TOKEN), or a loopback address as --ops-address (DSIEM_OPS_ADDRESS)",
            )
        check_token(request, self._token)


def _response(outcome: ReloadOutcome) -> web.Response:
    """200; 422 for a faulty configuration; 503 if it could not be read, or not now."""
    if outcome.successful:
        return json_response(200, outcome.document())
    if outcome.error and not outcome.faults:
        return json_response(503, outcome.document(), RETRY_HEADER)
    return json_response(422, outcome.document())
