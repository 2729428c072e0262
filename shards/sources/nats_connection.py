"""Connections to NATS, made from the settings; they retry without limit and log little."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from loguru import logger
from nats.aio.client import Client

from shards.cancellation import cancel
from shards.safe_text import redact_url
from shards.settings.settings import Settings

EVENTS_SUBJECT = "dsiem_events"
OVERLOAD_SUBJECT = "dsiem_overload_signals"
RETRY_SECONDS = 0.5
"""Delay between two attempts to connect."""
CONNECT_SECONDS = 5
PING_SECONDS, MAX_PINGS = 20, 2
"""A server that does not answer two pings is gone; shorter intervals failed under congestion."""
_CLOSE_SECONDS = 1.0
_SCHEMES = ("nats", "tls", "ws", "wss")


class NatsSettingsError(Exception):
    """A NATS setting is invalid; the text is for the user."""


def check_settings(settings: Settings) -> None:
    """Raise NatsSettingsError for an invalid URL or a missing file."""
    _servers(settings)
    _tls(settings)
    try:
        is_file = not settings.nats_creds or Path(settings.nats_creds).is_file()
    except OSError as error:
        raise NatsSettingsError(
            f"--nats-creds: {settings.nats_creds} cannot be read: {error.strerror}"
        ) from error
    if not is_file:
        raise NatsSettingsError(f"--nats-creds: {settings.nats_creds} is not a file")


async def connect(
    make: Callable[[], Client],
    settings: Settings,
    *,
    name: str,
    on_connected: Callable[[], None] = lambda: None,
    on_disconnected: Callable[[], None] = lambda: None,
) -> tuple[Client, asyncio.Event]:
    """Connect, with retries without limit; returns the client and an event that its end sets.

    `on_connected` is called after each reconnection, `on_disconnected` after each loss.
    """
    events = _ConnectionEvents(settings.redacted("msq"), on_connected, on_disconnected)
    while True:
        client = make()
        try:
            await client.connect(**_options(settings, name), **events.callbacks)
        except Exception as error:  # invalid credentials, for instance
            await events.error(error)
            await close(client)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            events.connected()
            return client, events.closed


async def close(client: Client) -> None:
    """Close a client in any state."""
    closing = asyncio.create_task(client.close())
    try:
        await asyncio.wait([closing], timeout=_CLOSE_SECONDS)
    finally:
        await cancel(closing)


class _ConnectionEvents:
    """The callbacks of a client; each trouble is logged once.

    They must not raise: that would end a task of the client, which would still report connected.
    """

    def __init__(
        self, server: str, on_connected: Callable[[], None], on_disconnected: Callable[[], None]
    ) -> None:
        self.closed = asyncio.Event()
        self._server = server
        self._notify_connected = on_connected
        self._notify_disconnected = on_disconnected
        self._logged: set[str] = set()

    @property
    def callbacks(self) -> dict[str, Any]:
        """The callbacks as arguments of `Client.connect`."""
        return {
            "error_cb": self.error,
            "reconnected_cb": self._on_reconnected,
            "disconnected_cb": self._on_disconnected,
            "closed_cb": self._on_closed,
        }

    async def error(self, error: Exception) -> None:
        """Log a trouble, unless it was logged since the last connection."""
        why = str(error) or type(error).__name__
        if why not in self._logged:
            self._logged.add(why)
            logger.bind(server=self._server, why=why).warning("trouble with NATS")

    def connected(self) -> None:
        """A connection is established: the same trouble is logged again."""
        self._logged.clear()

    async def _on_reconnected(self) -> None:
        self.connected()
        self._notify_connected()

    async def _on_disconnected(self) -> None:
        self._notify_disconnected()

    async def _on_closed(self) -> None:
        self.closed.set()


def _options(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "connect_timeout": CONNECT_SECONDS,
        "reconnect_time_wait": RETRY_SECONDS,
        "max_reconnect_attempts": -1,
        "ping_interval": PING_SECONDS,
        "max_outstanding_pings": MAX_PINGS,
        **_servers(settings),
        **_login(settings),
    }


def _servers(settings: Settings) -> dict[str, Any]:
    """The servers, and the login in their URLs, which may be percent-encoded."""
    urls = [_parse_url(part.strip()) for part in settings.msq.split(",") if part.strip()] or [
        _parse_url("")
    ]
    found: dict[str, Any] = {"servers": [_without_login(url) for url in urls]}
    if login := next((url for url in urls if url.username), None):
        user = unquote(login.username or "")
        if login.password is None:
            found["token"] = user
        else:
            found |= {"user": user, "password": unquote(login.password)}
    return found


def _parse_url(text: str) -> SplitResult:
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
    except OSError as error:  # SSLError is an OSError
        names = ", ".join(filter(None, (ca, cert, key)))
        raise NatsSettingsError(f"TLS for NATS cannot be set up with {names}: {error}") from error
    return context
