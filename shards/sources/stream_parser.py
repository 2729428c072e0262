"""A parser for the messages of a JetStream stream: as nats_parser, with their sequences and times.

They stand in the reply subject of each message. Those of the first and the last message of a read
are enough if the messages between them are contiguous and of the same second.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from nats.aio.client import Client
from nats.errors import ProtocolError

from shards.sources.nats_parser import EventParser

_MESSAGE = re.compile(
    rb"H?MSG[ \t]+(\S+)[ \t]+\S+[ \t]+\$JS\.ACK\.\S+[ \t]+"
    rb"(?:([0-9]{1,10})[ \t]+)?([0-9]{1,10})[ \t]*"
)
_PLACE = re.compile(
    rb" \$JS\.ACK\.(?:[^. ]+\.[^. ]+\.)?[^. ]+\.[^. ]+\.[0-9]+"
    rb"\.([1-9][0-9]{0,13})\.[0-9]+\.([0-9]{1,19})\.([0-9]{1,20})(?:\.[^. ]+)? "
)
"""`$JS.ACK.[domain.account.]stream.consumer.delivered.sequence.of_consumer.time.pending[.random]`.

A sequence has to fit in a position: see positions.py.
"""
_USUAL_END = rb"[^ ]+ ([0-9]{1,10})\r\n"
"""Of the control line of an event, after the consumer: the rest of the reply subject, the size."""
_LINE_END = b"\r\n"
_NANOSECONDS = 1_000_000_000


class StreamMessages(NamedTuple):
    """Messages of a stream with contiguous sequences, all stored in the same second.

    `time`: in seconds since the epoch. `events`: of all of them, or of none if they are of another
    subject.
    """

    first: int
    last: int
    time: int
    events: list[bytes]


_Match = Callable[[bytes, int], "re.Match[bytes] | None"]


class _Place(NamedTuple):
    """Where a message is in its stream; `pending`: messages after it that are to be delivered."""

    sequence: int
    time: int
    pending: int


class StreamParser(EventParser):
    """Passes the messages of each read to `take_messages`, and other frames to the client."""

    def __init__(
        self,
        client: Client,
        subject: str,
        take_messages: Callable[[Sequence[StreamMessages]], None],
    ) -> None:
        # No subject: what is not of the consumer is the client's, which drops what is left of an
        # earlier one.
        super().__init__(client, "", self._take_payloads)
        self._subject_of_events = subject.encode()
        self._take_messages = take_messages
        self._consumer = b"\0"
        """The consumer whose messages are taken, between dots: nothing before there is one."""
        self._match_usual: _Match | None = None
        """Matches the control line of an event without headers, once one has come."""
        self.lag = 0
        """Messages that the server has not delivered yet, as of the last one."""

    def use_consumer(self, name: str) -> None:
        """Take the messages of this consumer from now on, and of no other one."""
        self._consumer = b".%b." % name.encode()
        self._match_usual = None

    def _split_frames(
        self, data: bytes, events: list[bytes], others: list[bytes]
    ) -> tuple[bytes, int]:
        self._lines: list[bytes] = []
        """The control lines of the messages of this read."""
        self._others: set[int] = set()
        """Of these, the indexes of messages of another subject."""
        at = self._split_usual(data, self._match_usual, events) if self._match_usual else 0
        return super()._split_frames(data[at:], events, others)

    def _split_usual(self, data: bytes, match: _Match, events: list[bytes]) -> int:
        """Split events without headers up to the first other frame; returns where that begins."""
        at = 0
        add_event, add_line = events.append, self._lines.append
        while found := match(data, at):
            start = found.end()
            stop = start + int(found[1])
            if data[stop : stop + 2] != _LINE_END:
                break  # an invalid frame, or one whose end has not arrived
            add_line(data[at : start - 2])
            add_event(data[start:stop])
            at = stop + 2
        return at

    def _read_line(self, line: bytes) -> tuple[bool, int, int]:
        """As in EventParser; messages of any subject of the stream count as events at first."""
        message = _MESSAGE.fullmatch(line)
        if message is None or self._consumer not in line:
            return super()._read_line(line)
        headers, size = int(message[2] or 0), int(message[3])
        if headers > size or size > self._client.max_payload:
            raise ProtocolError
        if message[1] != self._subject_of_events:
            self._others.add(len(self._lines))
        elif not headers and self._match_usual is None:
            start = line[: line.index(self._consumer)] + self._consumer
            self._match_usual = re.compile(re.escape(start) + _USUAL_END).match
        self._lines.append(line)
        return True, headers, size

    def _take_payloads(self, payloads: Sequence[bytes]) -> None:
        lines, others = self._lines, self._others
        del lines[len(payloads) :]  # of a message whose end has not arrived
        first, last = _place(lines[0]), _place(lines[-1])
        self.lag = last.pending
        is_uniform = last.sequence - first.sequence == len(lines) - 1 and first.time == last.time
        if is_uniform and not others:
            whole = StreamMessages(first.sequence, last.sequence, first.time, list(payloads))
            self._take_messages([whole])
        else:
            self._take_messages(list(_group(lines, payloads, others)))


def _group(
    lines: Sequence[bytes], payloads: Sequence[bytes], others: set[int]
) -> Iterator[StreamMessages]:
    """Split the messages of a read where second or subject change, or a sequence is missing."""
    first = last = time = 0
    events: list[bytes] = []
    for index, line in enumerate(lines):
        place, is_event = _place(line), index not in others
        fits = place.sequence == last + 1 and place.time == time and is_event == bool(events)
        if not fits:
            if first:
                yield StreamMessages(first, last, time, events)
            first, time, events = place.sequence, place.time, []
        last = place.sequence
        if is_event:
            events.append(payloads[index])
    yield StreamMessages(first, last, time, events)


def _place(line: bytes) -> _Place:
    """Read the reply subject in a control line; ProtocolError."""
    found = _PLACE.search(line)
    if found is None:
        raise ProtocolError
    return _Place(int(found[1]), int(found[2]) // _NANOSECONDS, int(found[3]))
