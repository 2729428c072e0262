"""The NATS protocol as the router reads it: events in bulk, all else by the client's own parser.

The client's own way costs 5 to 8 µs a message: a queue, a task, an object for each. Here the
events of a whole read are cut out of it in one go. What may live here: framing. What may not:
connections (nats_source.py), and what an event is. Nothing is awaited before all events of a read
are handed on: the client cancels its reader when a connection breaks.
"""

import re
from collections.abc import Callable, Sequence

from loguru import logger
from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

_LONGEST_LINE = 1 << 20
"""Bytes of a control line: the INFO of a large cluster lists all of its servers."""
_MOST_KNOWN = 4096
_END = b"\r\n"
_MESSAGE = re.compile(rb"MSG[ \t]+(\S+)[ \t]+\S+[ \t]+(?:\S+[ \t]+)?([0-9]{1,10})[ \t]*")
_WITH_HEADERS = re.compile(
    rb"HMSG[ \t]+(\S+)[ \t]+\S+[ \t]+(?:\S+[ \t]+)?([0-9]{1,10})[ \t]+([0-9]{1,10})[ \t]*"
)
_Line = tuple[bool, int, int]
"""Whether the message is an event; bytes of headers; bytes of headers and payload."""


class EventParser(Parser):
    """Hands the events of one subject to `take`, as many as there are in a read."""

    def __init__(
        self, client: Client, subject: str, take: Callable[[Sequence[bytes]], None]
    ) -> None:
        self._client = client
        self._subject = subject.encode()
        self._take = take
        self._known: dict[bytes, int] = {}
        """Control lines of events without headers that have been seen: the size of the payload."""
        self.received = 0
        """Events, over all connections."""
        super().__init__(client)

    def reset(self) -> None:
        """Forget what was not whole: a new connection begins."""
        super().reset()
        self._chunks: list[bytes] = []
        self._missing = 0

    async def parse(self, data: bytes = b"") -> None:
        """Take a read from the socket; ProtocolError for what is none."""
        self._chunks.append(data)
        self._missing -= len(data)
        if self._missing > 0:  # in the middle of a long message: no need to look
            return
        whole = b"".join(self._chunks) if len(self._chunks) > 1 else data
        events: list[bytes] = []
        others: list[bytes] = []
        try:
            rest, self._missing = self._split(whole, events, others)
        finally:  # what was good before something that was not
            self._hand_on(events)
        self._chunks = [rest] if rest else []
        for frame in others:
            await self._leave_to_client(frame)

    def _split(self, data: bytes, events: list[bytes], others: list[bytes]) -> tuple[bytes, int]:
        """Sort out frames; returns what is left of the last one, and how much of it is missing."""
        known, find, add, length = self._known.get, data.find, events.append, len(data)
        at = 0
        while (end := find(_END, at)) >= 0:
            size = known(data[at:end])
            if size is not None:  # an event, as nearly all are
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
            if data[stop:after] != _END:
                raise ProtocolError
            add(data[start:stop])
            at = after
        if length - at > _LONGEST_LINE:
            raise ProtocolError
        return data[at:], 0

    def _read_line(self, line: bytes) -> _Line:
        """What a control line announces; a size below 0: no message."""
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
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[line] = size
        return is_event, headers, size

    def _hand_on(self, events: list[bytes]) -> None:
        if not events:
            return
        self.received += len(events)
        try:
            self._take(events)
        except Exception as error:
            # The client would log it and read no more, and nobody would notice.
            logger.exception("an event has broken the router")
            raise SystemExit(1) from error

    async def _leave_to_client(self, frame: bytes) -> None:
        """Let the client handle one whole frame that is no event."""
        try:
            await super().parse(frame)
        except ProtocolError:
            raise
        except Exception as error:  # its reader would end, and it would still say connected
            raise ProtocolError from error
        if self.buf or self.state != AWAITING_CONTROL_LINE:
            raise ProtocolError
