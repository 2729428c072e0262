"""What all kinds of process share: how a child is started, told things, and how it ends.

Children are spawned, never forked. A child ignores SIGINT, SIGTERM and SIGHUP: the supervisor
decides. It ends when told to, or when its control pipe to the supervisor reaches its end.
"""

import asyncio
import fcntl
import os
import pickle
import select
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import multiprocess
import uvloop
from loguru import logger
from multiprocess import reduction, resource_tracker
from multiprocess.connection import Connection

from shards import logs
from shards.settings import Settings
from shards.wire import Attach, FromChild, ToChild

CONTEXT = multiprocess.get_context("spawn")
LOST = (EOFError, OSError)
"""What a pipe raises when the other side is gone, in the middle of a message or not."""
READ_BYTES = 1 << 18
"""How much is read ahead of a pipe; no frame has to fit in it."""
PIPE_BYTES = 1 << 18
"""What a data pipe holds: a batch in one go, so that its reader wakes up once for it."""
GATHER_SECONDS = 0.005
"""Between two messages of a stream, when they are small: one costs as much as several events."""
ORPHANED = 1
"""The exit code of a child that has lost its supervisor."""
_LEFT_TO_SUPERVISOR = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
        resource_tracker.ensure_running()  # its own start would let the signals through again
        # A child ignores these, but not before it runs: until then they must wait.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_SUPERVISOR)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

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
        code = int(self._process.exitcode)
        self._process.close()
        self._pipe.close()
        return code

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
            reduction.send_handle(self._pipe, descriptor, self._process.pid)

    def kill(self) -> None:
        """End it at once, stopped or not."""
        with suppress(ValueError):  # it has ended, and been seen off
            self._process.kill()


def _watch(pipe: Connection, receive: Callable[..., Any], handle: Callable[..., None]) -> None:
    """Call `receive(handle)` whenever there is something to read.

    Watching makes a descriptor non-blocking, and a message may come in two pieces: undo that.
    """
    asyncio.get_running_loop().add_reader(pipe.fileno(), receive, handle)
    os.set_blocking(pipe.fileno(), True)


class Parcel:
    """Something large for children, packed once, in memory that they can all read.

    As an argument it would go through a pipe, and who writes into the pipe of a child that has
    died before it read it, while it holds the other end itself, waits for ever.
    """

    def __init__(self, content: object) -> None:
        descriptor = os.memfd_create("setup")
        with os.fdopen(os.dup(descriptor), "wb") as file:
            pickle.dump(content, file, protocol=pickle.HIGHEST_PROTOCOL)
        self._handle = Connection(descriptor, writable=False)  # which knows how to be handed over

    def unpack(self) -> Any:
        """The content, in the child; the parcel is then gone there."""
        # Opened anew, since those who share a descriptor share the position in it too.
        with Path(f"/proc/self/fd/{self._handle.fileno()}").open("rb") as file:
            content = pickle.load(file)
        self._handle.close()
        return content


def data_pipe() -> tuple[Connection, Connection]:
    """A one-way pipe: its reading and its writing end."""
    reader, writer = CONTEXT.Pipe(duplex=False)
    with suppress(OSError):  # more than a user may have of them: then it is a small one
        fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reader, writer


def run_child(settings: Settings, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a child's main coroutine to its end, with logging and signals as children have them."""
    for number in _LEFT_TO_SUPERVISOR:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEFT_TO_SUPERVISOR)
    logs.setup(settings)
    try:
        uvloop.run(main())
    except Exception:
        logger.exception("a process has failed")
        sys.exit(1)


@asynccontextmanager
async def open_reader(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """Read from a pipe meanwhile; takes the descriptor over."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = os.fdopen(descriptor, "rb", 0)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, pipe)
    try:
        yield reader
    finally:
        transport.close()  # the end of file does not close it


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
