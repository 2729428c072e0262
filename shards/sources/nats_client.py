"""A NATS client that passes events on where they arrive.

The reader of nats-py is a task that each read wakes up; at 1,000 events/s, each of them a read,
that is a quarter of the router's CPU time.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from nats.aio.client import Client
from nats.protocol.parser import Parser

from shards.sources.nats_parser import EventParser


class EventClient(Client):
    """A client whose events an EventParser takes, and nats-py's own reader what else comes."""

    def use_parser(self, parser: EventParser) -> None:
        """Use this parser; only before the client has connected."""
        if not (hasattr(self, "_ps") and hasattr(Client, "_read_loop")):  # not public
            raise RuntimeError("this version of nats-py takes no parser: use the pinned one")
        self._ps = self._event_parser = parser

    async def _read_loop(self) -> None:
        """Read from one connection until it ends; nats-py starts this before it subscribes."""
        reader = getattr(self._transport, "_io_reader", None)
        if isinstance(reader, asyncio.StreamReader):
            with self._taking_events(reader):
                await super()._read_loop()
        else:  # a WebSocket: the task reads events, too
            await super()._read_loop()

    @contextmanager
    def _taking_events(self, reader: asyncio.StreamReader) -> Iterator[None]:
        """Take the events out of what arrives for the reader; its task gets only other frames."""
        parser, feed_data = self._event_parser, reader.feed_data

        def take(data: bytes) -> None:
            try:
                for frame in parser.take_events(data):
                    feed_data(frame)
            except (Exception, SystemExit) as error:  # is raised in the task, which handles it
                reader.set_exception(error)  # type: ignore[arg-type]

        parser.reset()
        self._ps = own_parser = Parser(self)
        reader.feed_data = take  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            reader.feed_data = feed_data  # type: ignore[method-assign]
            if self._ps is own_parser:  # no new connection has begun
                self._ps = parser
