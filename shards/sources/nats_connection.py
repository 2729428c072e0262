"""A connection to NATS as every process of ours makes it: it tries for ever, and logs little.

What may live here: how to connect, from the settings. What may not: what is sent or received.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from loguru import logger
from nats.aio.client import Client

from shards.safe_text import redact_url
from shards.settings.settings import Settings

EVENTS_SUBJECT = "dsiem_events"
OVERLOAD_SUBJECT = "dsiem_overload_signals"
RETRY_SECONDS = 0.5
"""Between two attempts to connect. The first goes on for ever as well: nobody waits for it."""
CONNECT_SECONDS = 5
PING_SECONDS, PINGS = 20, 2
"""A server that does not answer two pings is gone; shorter ones gave up on mere congestion."""
_CLOSE_SECONDS = 1.0
_SCHEMES = ("nats", "tls", "ws", "wss")


class NatsSettingsError(Exception):
    """A setting of NATS that cannot work; the text is for the user."""


def check_settings(settings: Settings) -> None:
    """Raise NatsFault for what no server can put right: a URL that is none, a missing file."""
    _servers(settings)
    _tls(settings)
    if settings.nats_creds and not Path(settings.nats_creds).is_file():
        raise NatsSettingsError(f"--nats-creds: {settings.nats_creds} is not a file")


async def connect(
    make: Callable[[], Client],
    settings: Settings,
    *,
    name: str,
    up: Callable[[], None] = lambda: None,
    down: Callable[[], None] = lambda: None,
) -> tuple[Client, asyncio.Event]:
    """Connect, however long it takes; returns the client, and what is set when it has ended.

    `up` is called each time but the first that it is connected, `down` when it no longer is.
    """
    told = _Told(settings.redacted("msq"), up, down)
    while True:
        client = make()
        try:
            await client.connect(**_options(settings, name), **told.callbacks)
        except Exception as error:  # credentials that are none, for instance
            await told.error(error)
            await close(client)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            told.over()
            return client, told.closed


async def close(client: Client) -> None:
    """Close a client, in whatever state it is."""
    with suppress(Exception):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()


class _Told:
    """What a client says of its connection; each thing that goes wrong is logged once.

    Nothing here raises: that would end a task of the client, which would still say connected.
    """

    def __init__(self, server: str, up: Callable[[], None], down: Callable[[], None]) -> None:
        self.closed = asyncio.Event()
        self._server = server
        self._up = up
        self._down = down
        self._said: set[str] = set()

    @property
    def callbacks(self) -> dict[str, Any]:
        """As `Client.connect` takes them."""
        return {
            "error_cb": self.error,
            "reconnected_cb": self._on_up,
            "disconnected_cb": self._on_down,
            "closed_cb": self._on_closed,
        }

    async def error(self, error: Exception) -> None:
        """Something has gone wrong."""
        why = str(error) or type(error).__name__
        if why not in self._said:
            self._said.add(why)
            logger.bind(server=self._server, why=why).warning("trouble with NATS")

    def over(self) -> None:
        """It is connected: the same trouble would be news again."""
        self._said.clear()

    async def _on_up(self) -> None:
        self.over()
        self._up()

    async def _on_down(self) -> None:
        self._down()

    async def _on_closed(self) -> None:
        self.closed.set()


def _options(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "connect_timeout": CONNECT_SECONDS,
        "reconnect_time_wait": RETRY_SECONDS,
        "max_reconnect_attempts": -1,
        "ping_interval": PING_SECONDS,
        "max_outstanding_pings": PINGS,
        **_servers(settings),
        **_login(settings),
    }


def _servers(settings: Settings) -> dict[str, Any]:
    """Where to connect, and the user of the URL, whose characters may be escaped in it."""
    urls = [_url(part.strip()) for part in settings.msq.split(",") if part.strip()] or [_url("")]
    found: dict[str, Any] = {"servers": [_without_login(url) for url in urls]}
    if login := next((url for url in urls if url.username), None):
        user = unquote(login.username or "")
        if login.password is None:
            found["token"] = user
        else:
            found |= {"user": user, "password": unquote(login.password)}
    return found


def _url(text: str) -> SplitResult:
    try:
        url = urlsplit(text if "://" in text else f"nats://{text}")
        good = url.scheme in _SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        good = False
    if not good:
        shown = redact_url(text)
        raise NatsSettingsError(f"--msq (DSIEM_MSQ): {shown} is no URL like nats://dsiem-nats:4222")
    return url


def _without_login(url: SplitResult) -> str:
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()


def _login(settings: Settings) -> dict[str, Any]:
    login: dict[str, Any] = {}
    if settings.nats_creds:
        login["user_credentials"] = settings.nats_creds
    if context := _tls(settings):
        login["tls"] = context
    return login


def _tls(settings: Settings) -> ssl.SSLContext | None:
    ca, cert, key = settings.nats_tls_ca, settings.nats_tls_cert, settings.nats_tls_key
    if bool(cert) != bool(key):
        raise NatsSettingsError(
            "--nats-tls-cert and --nats-tls-key: one is given, must be both or none"
        )
    if not (ca or cert):
        return None
    try:
        context = ssl.create_default_context(cafile=ca or None)
        if cert:
            context.load_cert_chain(cert, key)
    except OSError as error:  # an SSLError is one
        names = ", ".join(filter(None, (ca, cert, key)))
        raise NatsSettingsError(f"TLS for NATS cannot be set up with {names}: {error}") from error
    return context
