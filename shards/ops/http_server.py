"""Health, metrics and status over HTTP, in the supervisor: /livez, /readyz, /metrics, /status.

May live here: paths, status codes and content types. May not: what is healthy (overview.py), and
what is in the documents (exposition.py, status.py). No login: it shows alarms, so it listens on the
loopback address unless told otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from aiohttp import web
from loguru import logger

from shards.ops.overview import Overview
from shards.ops.prometheus_text import CONTENT_TYPE, prometheus_text
from shards.ops.status_document import status_document

_RETRY_SECONDS = 5.0
"""How often a port that somebody else has is tried again."""
_END_SECONDS = 1.0
"""For requests that are under way at the end."""


@asynccontextmanager
async def serving(address: str, port: int, look: Callable[[], Overview]) -> AsyncIterator[None]:
    """Serve meanwhile.

    When it cannot listen it tries again, and correlation goes on: alarms come before metrics.
    """
    runner = web.AppRunner(_application(look), access_log=None, shutdown_timeout=_END_SECONDS)
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
    said = False
    while True:
        try:
            await web.TCPSite(runner, address, port).start()
        except OSError as error:
            if not said:
                logger.error(
                    f"--ops-port (DSIEM_OPS_PORT): cannot listen on {address} port {port}: "
                    f"{error.strerror}; it is tried again, without health and metrics meanwhile"
                )
                said = True
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            logger.bind(url=f"http://{address}:{port}").info("health, metrics and status")
            return


def _application(look: Callable[[], Overview]) -> web.Application:
    async def livez(_: web.Request) -> web.Response:
        return _health(look().stuck)

    async def readyz(_: web.Request) -> web.Response:
        return _health(look().missing)

    async def metrics_text(_: web.Request) -> web.Response:
        return web.Response(
            body=prometheus_text(look()),
            headers={"Content-Type": CONTENT_TYPE},
        )

    async def status(_: web.Request) -> web.Response:
        return _json(status_document(look()))

    application = web.Application()
    application.router.add_get("/livez", livez)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics_text)
    application.router.add_get("/status", status)
    return application


def _health(wrong: list[str]) -> web.Response:
    """200 and `ok`, or 503 and what is wrong, a line each."""
    text = "".join(f"{line}\n" for line in wrong or ["ok"])
    return web.Response(status=503 if wrong else 200, text=text)


def _json(content: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
