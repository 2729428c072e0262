"""A cluster backend between a real NATS server and a frontend: how to start it, events for it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer
from tests.support.replaying import Json, directive, event, rule
from tests.support.serving import ASSETS, NEVER_EXPIRE, Service

EVENTS, SIGNALS = "dsiem_events", "dsiem_overload_signals"
NODE = "n1"
CONNECTED = "receiving events from NATS"
OPENS, GOES_ON, ENDS = 1, 2, 3
"""Effect of a pair's event on its backlog: the last digit of its plugin_sid."""


def pair_directive(id_: int) -> Json:
    """A directive with a backlog for each source address.

    One event opens it, two finish its second stage, and one its last.
    """
    same = {"from": ":1", "to": ":1"}
    return directive(
        id_,
        rule(1, 10 * id_ + OPENS, reliability=1),
        rule(2, 10 * id_ + GOES_ON, occurrence=2, reliability=5, **same),
        rule(3, 10 * id_ + ENDS, reliability=10, **same),
    )


def pair_event(name: str, id_: int, does: int, number: int) -> Json:
    """An event of the source address with this number."""
    src = str(IPv4Address("192.0.0.0") + number)
    return event(f"{name}{number}", 0, 10 * id_ + does, src_ip=src)


def raws(events: Iterable[Json]) -> list[bytes]:
    """Events as JSON, to publish them."""
    return [json.dumps(one).encode() for one in events]


@contextmanager
def frontend_of(directives: Iterable[Json], node: str = NODE) -> Iterator[Frontend]:
    """A frontend with these directives for the node."""
    with Frontend() as frontend:
        frontend.put("assets_a.json", {"assets": ASSETS})
        frontend.put(f"directives_{node}_a.json", {"directives": list(directives)})
        yield frontend


@contextmanager
def backend(
    folder: Path,
    frontend: Frontend,
    msq: str,
    *options: str,
    connected: bool = True,
    environment: Mapping[str, str] = MappingProxyType({}),
    **more: Any,
) -> Iterator[Service]:
    """A running cluster backend; if `connected`, once it receives events from NATS."""
    variables = {
        "DSIEM_MODE": "cluster-backend",
        "DSIEM_NODE": NODE,
        "DSIEM_FRONTEND": frontend.url,
        "DSIEM_MSQ": msq,
    }
    variables |= environment
    service = Service(folder, *NEVER_EXPIRE, *options, environment=variables, **more)
    try:
        if connected:
            service.wait_for_log(CONNECTED)
        yield service
    finally:
        service.kill_all()


def publish(server: NatsServer, events: Iterable[Json], port: int = 0) -> int:
    """Publish events, and wait until the server has them; returns their number."""
    with server.publisher(port) as publisher:
        number = publisher.publish(EVENTS, raws(events))
        publisher.flush()
    return number
