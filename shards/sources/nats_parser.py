"""A parser of the NATS protocol that cuts out the events of a whole read at once.

The parser of nats-py takes 5 to 8 µs a message: a queue, a task and an object for each. Other
frames go to the parser of the client. Nothing is awaited before all events of a read are passed on,
since the client cancels its reader when a connection breaks.
"""

import re
from collections.abc import Callable, Sequence

import nats.aio.client
from loguru import logger
from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from shards.ipc.pipes import READ_BYTES

_MAX_LINE_BYTES = 1 << 20
"""Longest control line: the INFO of a large cluster lists all its servers."""
_MAX_KNOWN_LINES = 4096
_LINE_END = b"\r\n"
_MESSAGE = re.compile(rb"MSG[ \t]+(\S+)[ \t]+\S+[ \t]+(?:\S+[ \t]+)?([0-9]{1,10})[ \t]*")
_WITH_HEADERS = re.compile(
    rb"HMSG[ \t]+(\S+)[ \t]+\S+[ \t]+(?:\S+[ \t]+)?([0-9]{1,10})[ \t]+([0-9]{1,10})[ \t]*"
)
# nats-py reads 32 KiB at once and has no option; large reads make large batches.
nats.aio.client.DEFAULT_BUFFER_SIZE = READ_BYTES
_Line = tuple[bool, int, int]
"""Whether the message is an event; size of headers; size of headers and payload, in bytes."""


class EventParser(Parser):
    """Passes the events of one subject to `take`, all events of a read at once."""

    def __init__(
        self, client: Client, subject: str, take: Callable[[Sequence[bytes]], None]
    ) -> None:
        self._client = client
        self._subject = subject.encode()
        self._take = take
        self._known: dict[bytes, int] = {}
        """Payload sizes by control line, for events without headers that have been seen."""
        self.received = 0
        """Number of events over all connections."""
        super().__init__(client)

    def reset(self) -> None:
        """Discard an incomplete frame: a new connection begins."""
        super().reset()
        self._chunks: list[bytes] = []
        self._missing = 0

    async def parse(self, data: bytes = b"") -> None:
        """Parse a read from the socket; ProtocolError for invalid frames."""
        for frame in self.take_events(data):
            await self._parse_by_client(frame)

    def take_events(self, data: bytes) -> list[bytes]:
        """Pass on the events of a read from the socket, and return its other frames.

        ProtocolError for invalid frames.
        """
        self._chunks.append(data)
        self._missing -= len(data)
        if self._missing > 0:  # in the middle of a long message: no need to look
            return []
        whole = b"".join(self._chunks) if len(self._chunks) > 1 else data
        events: list[bytes] = []
        others: list[bytes] = []
        try:
            rest, self._missing = self._split_frames(whole, events, others)
        except ValueError as error:  # a number that is none
            raise ProtocolError from error
        finally:  # also the events before an invalid frame
            self._pass_on(events)
        self._chunks = [rest] if rest else []
        return others

    def _split_frames(
        self, data: bytes, events: list[bytes], others: list[bytes]
    ) -> tuple[bytes, int]:
        """Split frames into events and others; returns the rest and its number of missing bytes."""
        known, find, add, length = self._known.get, data.find, events.append, len(data)
        at = 0
        while (end := find(_LINE_END, at)) >= 0:
            size = known(data[at:end])
            if size is not None:  # an event, the usual case
                start = end + 2
                stop = start + size
                after = stop + 2
            else:
                is_event, headers, size = self._read_line(data[at:end])
                start = end + 2 + headers
                stop = end + 2 + size
                after = stop + 2 if size >= 0 else end + 2
                if not is_event and after <= length:
                    others.append(data[at:after])
                    at = after
                    continue
            if after > length:
                return data[at:], after - length
            if data[stop:after] != _LINE_END:
                raise ProtocolError
            add(data[start:stop])
            at = after
        if length - at > _MAX_LINE_BYTES:
            raise ProtocolError
        return data[at:], 0

    def _read_line(self, line: bytes) -> _Line:
        """Parse a control line; a size below 0 means that no payload follows."""
        if message := _MESSAGE.fullmatch(line):
            subject, headers, size = message[1], 0, int(message[2])
        elif message := _WITH_HEADERS.fullmatch(line):
            subject, headers, size = message[1], int(message[2]), int(message[3])
        else:
            return False, 0, -1
        if headers > size or size > self._client.max_payload:
            raise ProtocolError
        is_event = subject == self._subject
        if is_event and not headers:
            if len(self._known) >= _MAX_KNOWN_LINES:
                self._known.clear()
            self._known[line] = size
        return is_event, headers, size

    def _pass_on(self, events: list[bytes]) -> None:
        if not events:
            return
        self.received += len(events)
        try:
            self._take(events)
        except ProtocolError:
            raise
        except Exception as error:
            # The client would log it and stop reading, unnoticed.
            logger.exception("the router failed on an event")
            raise SystemExit(1) from error

    async def _parse_by_client(self, frame: bytes) -> None:
        """Let the client's parser handle a whole frame that is not an event."""
        try:
            await super().parse(frame)
        except ProtocolError:
            raise
        except Exception as error:  # the client's reader would end, and still report connected
            raise ProtocolError from error
        if self.buf or self.state != AWAITING_CONTROL_LINE:
            raise ProtocolError
