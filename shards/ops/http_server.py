"""HTTP server of the supervisor for health, metrics and status: /livez /readyz /metrics /status.

It has no login and shows alarms, so it listens on the loopback address by default.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
from aiohttp import web
from loguru import logger

from shards.ops.overview import Overview
from shards.ops.prometheus_text import CONTENT_TYPE, prometheus_text
from shards.ops.status_document import status_document

_RETRY_SECONDS = 5.0
"""Interval of attempts to listen on a port that is in use."""
_SHUTDOWN_SECONDS = 1.0
"""Longest wait for requests that are in progress at the end."""


@asynccontextmanager
async def run_ops_server(
    address: str, port: int, get_overview: Callable[[], Overview]
) -> AsyncIterator[None]:
    """Run the server while the context is active; each request reads one overview.

    If the port cannot be opened, it logs that and retries in the background: the service correlates
    also without health and metrics.
    """
    application = _create_application(get_overview)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    listening = asyncio.create_task(_listen(runner, address, port))
    try:
        yield
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: str, port: int) -> None:
    """Open the port; retries until that succeeds, and logs the first failure."""
    failed = False
    while True:
        try:
            await web.TCPSite(runner, address, port).start()
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


def _create_application(get_overview: Callable[[], Overview]) -> web.Application:
    async def livez(_: web.Request) -> web.Response:
        return _health_response(get_overview().liveness_problems)

    async def readyz(_: web.Request) -> web.Response:
        overview = get_overview()
        return _health_response(overview.readiness_problems, overview.warnings)

    async def metrics(_: web.Request) -> web.Response:
        body = prometheus_text(get_overview())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def status(_: web.Request) -> web.Response:
        body = msgspec.json.encode(status_document(get_overview()))
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_get("/livez", livez)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/status", status)
    return application


def _health_response(problems: list[str], warnings: Sequence[str] = ()) -> web.Response:
    """200 and `ok`, or 503 and a line for each problem; then a line for each warning."""
    text = "".join(f"{line}\n" for line in (*(problems or ["ok"]), *warnings))
    return web.Response(status=503 if problems else 200, text=text)
