"""The router process: takes events in, and hands each to the shards that it can concern.

Only the small key of an event is decoded, except where its sender waits for an answer (HTTP).
Everything here is on the path of every event, concerned or not.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec
from loguru import logger
from msgspec import Struct
from multiprocess.connection import Connection

from engine.address import canonical
from engine.asset import Asset, NetworkAssets
from engine.errors import InvalidEvent
from engine.event import decode_event, decode_key
from engine.index import DirectiveIndex, DirectiveKeys, Ids
from shards import memory
from shards.intake import QUEUE_FULL, Refusal
from shards.ledger import Events, Feed
from shards.logs import InvalidEvents
from shards.outlet import Outlet
from shards.plan import place
from shards.process import Control, Parcel, regularly, run_child
from shards.settings import Settings
from shards.wire import Attach, Ready, RouterReport, Stop, ToChild

REPORT_SECONDS = 0.5
_keys = msgspec.msgpack.Decoder(list[DirectiveKeys])


class RouterSetup(Struct, frozen=True):
    """What a router is started with. `keys`: a list of DirectiveKeys in MessagePack."""

    settings: Settings
    keys: bytes
    assets: tuple[Asset, ...]


class Router:
    """Counts every event, and hands those that concern a directive to its shard's outlet."""

    def __init__(self, setup: RouterSetup, outlets: Sequence[Outlet]) -> None:
        self.events = Events()
        self._assets = NetworkAssets(setup.assets)
        self._find = DirectiveIndex(_keys.decode(setup.keys)).find
        self._outlets = outlets
        self._cluster = setup.settings.cluster_size, setup.settings.part
        self._concerned: dict[Ids, tuple[Outlet, ...]] = {}
        """By directive ids, as the index has them: the outlets of their shards, each once."""
        self._invalid = InvalidEvents()

    def route(self, raws: Sequence[bytes]) -> None:
        """Take the events of one read, whose sender does not wait for an answer; and flush."""
        find, unmatched = self._find, 0
        for raw in raws:
            try:
                key = decode_key(raw)
            except InvalidEvent as error:
                self._refuse(error, raw)
                continue
            ids = find(key)
            if ids:
                self._hand_on(ids, key.src_ip, raw)
            else:
                unmatched += 1
        self.events.received += len(raws)
        self.events.unmatched += unmatched
        self.flush()

    def take(self, raw: bytes) -> Refusal | None:
        """Take an event whose sender wants to know at once whether all of it is valid."""
        self.events.received += 1
        try:
            event = decode_event(raw)
        except InvalidEvent as error:
            self._refuse(error, raw)
            return Refusal(error.reason, error.detail)
        ids = self._find(event)
        if not ids:
            self.events.unmatched += 1
            return None
        if self._hand_on(ids, event.src_ip, raw):
            return None
        return Refusal(QUEUE_FULL, "a worker has more events waiting than max-queue")

    def _refuse(self, error: InvalidEvent, raw: bytes) -> None:
        self.events.invalid[error.reason] += 1
        self._invalid.report(error.reason, raw, time.monotonic())

    def _hand_on(self, ids: Ids, src_ip: str, raw: bytes) -> bool:
        """Whether every shard concerned has taken the event."""
        if self._assets.facts(canonical(src_ip)).whitelisted:
            self.events.whitelisted += 1
            return True
        outlets = self._concerned.get(ids)
        if outlets is None:
            outlets = self._concerned[ids] = self._concerned_by(ids)
        if not outlets:
            self.events.elsewhere += 1
            return True
        self.events.routed += 1
        taken = True
        for outlet in outlets:
            taken = outlet.offer(raw) and taken
        return taken

    def _concerned_by(self, ids: Ids) -> tuple[Outlet, ...]:
        """None when other services of the node have all of these directives."""
        size, part = self._cluster
        places = (place(directive, size, len(self._outlets)) for directive in ids)
        workers = dict.fromkeys(worker for node, worker in places if node == part)
        return tuple(self._outlets[worker] for worker in workers)

    def flush(self) -> None:
        """Hand what was taken on to the shards: at the end of each read."""
        for outlet in self._outlets:
            outlet.flush()

    def close(self) -> None:
        """Say what is left to say."""
        self._invalid.close()

    def report(self, source: "Source") -> RouterReport:
        """The counts so far, and what is known of the source."""
        queues = {worker: outlet.queue for worker, outlet in enumerate(self._outlets)}
        written = {link: n for outlet in self._outlets for link, n in outlet.written.items()}
        return RouterReport(self.events, queues, written, source.feed, source.connected)


def main(control: Connection, parcel: Parcel, port: int) -> None:
    """The target of the router process; its pipes come as Attach messages.

    The parcel holds a RouterSetup; the port is the one to listen on, 0 for any.
    """
    setup: RouterSetup = parcel.unpack()
    run_child(setup.settings, lambda: _RouterProcess(Control(control), setup).run(port))


class Source(Protocol):
    """Where the events of a router come from."""

    async def start(self) -> tuple[str, int] | None:
        """Begin; returns where it listens, if it does. OSError when it cannot."""

    async def stop(self) -> None:
        """Take nothing new any more, finish what has begun, and end."""

    @property
    def feed(self) -> Feed:
        """What is known of events that never arrived."""

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""


class _RouterProcess:
    """The router among the processes: its pipes, its source, its reports, its end."""

    def __init__(self, control: Control, setup: RouterSetup) -> None:
        self._control = control
        self._settings = setup.settings
        self._stopping = asyncio.Event()
        workers = range(self._settings.workers)
        self._outlets = [Outlet(self._settings.max_queue) for _ in workers]
        self._router = Router(setup, self._outlets)

    async def run(self, port: int) -> None:
        self._control.on_message(self._on_message)
        source = self._source(port)
        try:
            self._control.send(Ready(await source.start()))
        except OSError as error:
            reason = error.strerror or error
            logger.error(f"cannot listen on {self._settings.address} port {port}: {reason}")
            await self._close_outlets()
            sys.exit(1)
        memory.settle()
        self._report(source)
        async with regularly(REPORT_SECONDS, lambda: self._report(source)):
            await self._stopping.wait()
            await source.stop()
            self._router.close()
            self._report(source)
            await self._close_outlets()
        self._control.send(self._router.report(source))

    def _source(self, port: int) -> Source:
        """The source of the mode; what the others need for theirs is not imported."""
        settings = self._settings
        if settings.mode == "cluster-backend":
            from shards.nats_source import NatsSource  # noqa: PLC0415

            return NatsSource(self._router.route, settings)
        from shards.http_source import HttpSource  # noqa: PLC0415

        return HttpSource(self._router, settings.address, port, settings.api_token)

    async def _close_outlets(self) -> None:
        await asyncio.gather(*(outlet.close() for outlet in self._outlets))

    def _on_message(self, message: ToChild, descriptor: int | None) -> None:
        match message:
            case Attach(link, worker) if descriptor is not None:
                self._outlets[worker].attach(link, descriptor)
            case Stop():
                self._stopping.set()

    def _report(self, source: Source) -> None:
        self._control.send_if_room(self._router.report(source))
