"""What all kinds of process share: how a child is started, told things, and how it ends.

Children are spawned, never forked. A child ignores SIGINT and SIGTERM, since the supervisor
decides; it ends when told to, or when its control pipe to the supervisor reaches its end.
"""

import asyncio
import os
import select
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import multiprocess
import uvloop
from multiprocess import reduction
from multiprocess.connection import Connection

from shards import logs
from shards.settings import Settings
from shards.wire import Attach, FromChild, ToChild

CONTEXT = multiprocess.get_context("spawn")
LOST = (EOFError, OSError)
"""What a pipe raises when the other side is gone, in the middle of a message or not."""
READ_BYTES = 1 << 18
"""How much is read ahead of a pipe; no frame has to fit in it."""
ORPHANED = 1
"""The exit code of a child that has lost its supervisor."""
_from_child = msgspec.msgpack.Decoder(FromChild, dec_hook=lambda kind, counts: Counter(counts))
_to_child = msgspec.msgpack.Decoder(ToChild)


class Control:
    """A child's end of its control pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, message: FromChild) -> None:
        """Tell the supervisor."""
        try:
            self._pipe.send_bytes(msgspec.msgpack.encode(message))
        except LOST:
            os._exit(ORPHANED)

    def send_if_room(self, message: FromChild) -> None:
        """Tell the supervisor, unless it has not read for long: then it can wait for the next."""
        if select.select([], [self._pipe], [], 0)[1]:
            self.send(message)

    def on_message(self, handle: Callable[[ToChild, int | None], None]) -> None:
        """Call `handle` with each message, and the file descriptor that came with it.

        When the supervisor is gone, this process ends at once: nobody wants its work.
        """
        _watch(self._pipe, self._receive, handle)

    def _receive(self, handle: Callable[[ToChild, int | None], None]) -> None:
        try:
            message = _to_child.decode(self._pipe.recv_bytes())
            with_descriptor = isinstance(message, Attach)
            descriptor = int(reduction.recv_handle(self._pipe)) if with_descriptor else None
        except LOST:
            os._exit(ORPHANED)
        handle(message, descriptor)


class Child:
    """A child process, as the supervisor has it."""

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        """Start it: the target gets its end of the control pipe, then the arguments."""
        self.name = name
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=target, args=(theirs, *arguments), name=name)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid)

    async def attend(self, handle: Callable[[FromChild], None]) -> int:
        """Call `handle` with each message of the child until it has ended; returns its exit code.

        The code is negative for the signal that ended it.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        _watch(self._pipe, self._receive, handle)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
            loop.remove_reader(self._pipe.fileno())
        while self._receive(handle):
            pass
        self._process.join()
        self._pipe.close()
        return int(self._process.exitcode)

    def _receive(self, handle: Callable[[FromChild], None]) -> bool:
        """Handle one message; False when there will be none any more."""
        try:
            message = _from_child.decode(self._pipe.recv_bytes())
        except LOST:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            return False
        handle(message)
        return True

    def send(self, message: ToChild) -> None:
        """Tell it; a child that is gone is not an error here, its sentinel says so."""
        with suppress(*LOST):
            self._pipe.send_bytes(msgspec.msgpack.encode(message))

    def send_descriptor(self, message: ToChild, descriptor: int) -> None:
        """Tell it, and hand it a file descriptor."""
        with suppress(*LOST):
            self._pipe.send_bytes(msgspec.msgpack.encode(message))
            reduction.send_handle(self._pipe, descriptor, self.pid)

    def kill(self) -> None:
        """End it at once, stopped or not."""
        self._process.kill()


def _watch(pipe: Connection, receive: Callable[..., Any], handle: Callable[..., None]) -> None:
    """Call `receive(handle)` whenever there is something to read.

    Watching makes a descriptor non-blocking, and a message may come in two pieces: undo that.
    """
    asyncio.get_running_loop().add_reader(pipe.fileno(), receive, handle)
    os.set_blocking(pipe.fileno(), True)


def data_pipe() -> tuple[Connection, Connection]:
    """A one-way pipe: its reading and its writing end."""
    reader, writer = CONTEXT.Pipe(duplex=False)
    return reader, writer


def run_child(settings: Settings, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a child's main coroutine to its end, with logging and signals as children have them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logs.setup(settings)
    uvloop.run(main())


async def open_reader(descriptor: int) -> asyncio.StreamReader:
    """Read from a pipe; takes the descriptor over."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", 0))
    return reader


async def open_writer(descriptor: int) -> asyncio.StreamWriter:
    """Write to a pipe; takes the descriptor over."""
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    pipe = os.fdopen(descriptor, "wb", 0)
    transport, _ = await loop.connect_write_pipe(lambda: protocol, pipe)
    return asyncio.StreamWriter(transport, protocol, None, loop)


@asynccontextmanager
async def regularly(seconds: float, act: Callable[[], None]) -> AsyncIterator[None]:
    """Call `act` every so many seconds meanwhile; what it raises ends the whole."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            act()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(repeat())
        try:
            yield
        finally:
            task.cancel()
