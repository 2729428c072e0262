"""Asks the monitoring of the NATS server about a closed connection.

A client cannot know how many messages the server discarded for it; the server counts them.
"""

import threading
from datetime import datetime

import msgspec
from loguru import logger
from msgspec import Struct

_SECONDS = 5.0
_LONGEST = 4 << 20


class ConnectionEnd(Struct, frozen=True):
    """Why the server closed a connection, and the number of messages that it had for it.

    `seconds_ago`: the time since then, by the server's clock; None if it does not say.
    """

    reason: str
    sent: int
    seconds_ago: float | None = None


class _Closed(Struct):
    cid: int
    out_msgs: int
    reason: str = ""
    stop: datetime | None = None


class _Connz(Struct):
    connections: list[_Closed]
    now: datetime | None = None


def connection_end(monitor: str, client_id: int, stop: threading.Event) -> ConnectionEnd | None:
    """The end of a client's closed connection; None if the server cannot tell, which is logged."""
    from shards.http_client import HttpClient, HttpClientError, parse_server_url  # noqa: PLC0415 - rarely needed, and its libraries are large

    try:
        with HttpClient(parse_server_url(monitor), stop) as client:
            path = f"/connz?state=closed&cid={client_id}"
            found = msgspec.json.decode(client.get(path, _LONGEST, _SECONDS), type=_Connz)
    except (HttpClientError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        logger.bind(why=str(error)).warning("the monitoring of the NATS server does not answer")
        return None
    for connection in found.connections:
        if connection.cid == client_id:
            ago = None
            if found.now and connection.stop:
                ago = max(0.0, (found.now - connection.stop).total_seconds())
            return ConnectionEnd(connection.reason, connection.out_msgs, ago)
    logger.warning("the NATS server does not know the previous connection: was it restarted?")
    return None
