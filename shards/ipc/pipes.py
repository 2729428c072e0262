"""Pipes between processes: creation, asynchronous reading and writing."""

import asyncio
import fcntl
import os
import select
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from multiprocess.connection import Connection, Pipe

PIPE_LOST = (EOFError, OSError)
"""Exceptions of a pipe whose other end is gone, in the middle of a message or between two."""
READ_BYTES = 1 << 18
"""Read-ahead buffer of a pipe; frames may be larger."""
PIPE_BYTES = 1 << 18
"""Capacity of a data pipe: one whole batch, so that its reader wakes up once for it."""
ROOM_BYTES = 1 << 16
"""Longest message that a control pipe with room takes without blocking its sender: Linux calls a
Unix socket writable while a quarter of its buffer is used at most, and the buffer has 208 KiB."""


def make_pipe() -> tuple[Connection, Connection]:
    """A new one-way pipe of PIPE_BYTES: its reading end and its writing end."""
    reader, writer = Pipe(duplex=False)
    with suppress(OSError):  # the user's limit of pipe memory is reached: it keeps its size
        fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reader, writer


@asynccontextmanager
async def open_reader(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """A stream that reads from a pipe; owns the descriptor."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = os.fdopen(descriptor, "rb", 0)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, pipe)
    try:
        yield reader
    finally:
        transport.close()  # end of file does not close it


async def open_writer(descriptor: int) -> asyncio.StreamWriter:
    """A stream that writes to a pipe; owns the descriptor."""
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    pipe = os.fdopen(descriptor, "wb", 0)
    transport, _ = await loop.connect_write_pipe(lambda: protocol, pipe)
    return asyncio.StreamWriter(transport, protocol, None, loop)


def watch_pipe(pipe: Connection, receive: Callable[..., Any], handle: Callable[..., None]) -> None:
    """Call `receive(handle)` whenever the pipe is readable.

    The descriptor stays blocking, since a message may arrive in two pieces.
    """
    asyncio.get_running_loop().add_reader(pipe.fileno(), receive, handle)
    os.set_blocking(pipe.fileno(), True)


def has_room(pipe: Connection) -> bool:
    """Whether a control pipe takes a message of ROOM_BYTES at once."""
    writable = select.poll()  # select() fails for descriptors from 1024 up
    writable.register(pipe, select.POLLOUT)
    return bool(writable.poll(0))
