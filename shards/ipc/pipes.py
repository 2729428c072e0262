"""Pipes between processes: creation, asynchronous reading and writing."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import multiprocess
from multiprocess.connection import Connection

CONTEXT = multiprocess.get_context("spawn")
"""Children are spawned: a forked one would inherit signal handlers and pipe ends of its parent."""
PIPE_LOST = (EOFError, OSError)
"""Exceptions of a pipe whose other end is gone, in the middle of a message or between two."""
READ_BYTES = 1 << 18
"""Read-ahead buffer of a pipe; frames may be larger."""
PIPE_BYTES = 1 << 18
"""Capacity of a data pipe: one whole batch, so that its reader wakes up once for it."""
BATCH_DELAY_SECONDS = 0.005
"""Delay between two small batches or reports: a wake-up costs as much as several events."""


def data_pipe() -> tuple[Connection, Connection]:
    """A one-way pipe: its reading and its writing end."""
    reader, writer = CONTEXT.Pipe(duplex=False)
    with suppress(OSError):  # more than a user may have of them: then it is a small one
        fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reader, writer


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


def watch_pipe(pipe: Connection, receive: Callable[..., Any], handle: Callable[..., None]) -> None:
    """Call `receive(handle)` whenever there is something to read.

    Watching makes a descriptor non-blocking, and a message may come in two pieces: undo that.
    """
    asyncio.get_running_loop().add_reader(pipe.fileno(), receive, handle)
    os.set_blocking(pipe.fileno(), True)
