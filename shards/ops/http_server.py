"""HTTP server of the supervisor: /livez /readyz /metrics /status, and what can be posted.

What is read has no login and shows alarms, so it listens on the loopback address by default.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aiohttp import web
from loguru import logger

from shards.http_server import (
    Handler,
    HttpLimits,
    HttpServer,
    RequestRefusedError,
    json_response,
    response,
)
from shards.ops.overview import Overview
from shards.ops.prometheus_text import CONTENT_TYPE, prometheus_text
from shards.ops.status_document import status_document

_RETRY_SECONDS = 5.0
"""Interval of attempts to listen on a port that is in use."""
_SHUTDOWN_SECONDS = 1.0
"""Longest wait for requests that are in progress at the end."""
_LIMITS = HttpLimits(connections=64)


class Pages(NamedTuple):
    """A part of the server with paths of its own.

    `has`: whether a path is one of them; `close`: ends responses that go on.
    """

    has: Callable[[str], bool]
    respond: Handler
    close: Callable[[], None]


@asynccontextmanager
async def run_ops_server(
    address: str,
    port: int,
    get_overview: Callable[[], Overview],
    posts: Mapping[str, Handler],
    limits: HttpLimits = _LIMITS,
    pages: Pages | None = None,
) -> AsyncIterator[None]:
    """Run the server while the context is active; each GET reads one overview.

    `posts`: the handlers of POST by path; `pages`: what else is served.
    If the port cannot be opened, it logs that and retries in the background: the service correlates
    also without health and metrics.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if pages is not None and pages.has(request.path):
            return await pages.respond(request)
        if request.path in posts:
            _check_method(request, "POST")
            return await posts[request.path](request)
        return _respond(request, get_overview, posts)

    server = HttpServer(handle, limits)
    listening = asyncio.create_task(_listen(server, address, port))
    try:
        yield
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        await server.close(_SHUTDOWN_SECONDS)


async def _listen(server: HttpServer, address: str, port: int) -> None:
    """Open the port; retries until that succeeds, and logs the first failure."""
    failed = False
    while True:
        try:
            await server.start(address, port)
        except OSError as error:
            if not failed:
                logger.error(
                    f"--ops-port (DSIEM_OPS_PORT): cannot listen on {address} port {port}: "
                    f"{error.strerror}; it is tried again, without health and metrics meanwhile"
                )
            failed = True
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            logger.bind(url=f"http://{address}:{port}").info("health, metrics and status")
            return


def _respond(
    request: web.BaseRequest, get_overview: Callable[[], Overview], posts: Mapping[str, Handler]
) -> web.Response:
    make = _RESPONSES.get(request.path)
    if make is None:
        paths = " ".join((*_RESPONSES, *posts))
        raise RequestRefusedError(404, f"no such path; there are {paths}")
    _check_method(request, "GET", "HEAD")
    return make(get_overview())


def _check_method(request: web.BaseRequest, *allowed: str) -> None:
    if request.method not in allowed:
        raise RequestRefusedError(405, "method not allowed", {"Allow": ", ".join(allowed)})


def _health_response(problems: list[str], warnings: Sequence[str] = ()) -> web.Response:
    """200 and `ok`, or 503 and a line for each problem; then a line for each warning."""
    text = "".join(f"{line}\n" for line in (*(problems or ["ok"]), *warnings))
    return response(503 if problems else 200, text.encode(), "text/plain; charset=utf-8")


_RESPONSES: dict[str, Callable[[Overview], web.Response]] = {
    "/livez": lambda overview: _health_response(overview.liveness_problems),
    "/readyz": lambda overview: _health_response(overview.readiness_problems, overview.warnings),
    "/metrics": lambda overview: response(200, prometheus_text(overview), CONTENT_TYPE),
    "/status": lambda overview: json_response(200, status_document(overview)),
}
