"""The supervisor's side of a child process: start, messages, end."""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePath
from typing import Any

import msgspec
from loguru import logger
from multiprocess import reduction
from multiprocess.connection import Connection, Pipe

from shards.ipc.control import TRACEBACK_SIGNAL
from shards.ipc.forked_process import ForkServer
from shards.ipc.framing import decode_from_child
from shards.ipc.messages import FromChild, ToChild
from shards.ipc.pipes import PIPE_LOST, has_room, watch_pipe

_START_CHILD = "shards.ipc.control:start_child"
_TRACEBACK_SECONDS = 0.5
"""Time for a child to write its tracebacks."""
_TRACEBACK_BYTES = 1 << 20
_SHOWN_FRAMES = 12
_FRAME = re.compile(r'  File "(.+)", line ([0-9]+) in (.+)')


class ChildProcess:
    """A child process and the supervisor's end of its control pipe."""

    def __init__(self, fork_server: ForkServer, name: str, target: str, *arguments: Any) -> None:
        """Start the process: `target` gets its end of the control pipe, then the arguments.

        `target` is `module:function`. OSError when the system has no memory, descriptors or
        processes left, or the fork server does not answer.
        """
        self.name = name
        self._tracebacks = Connection(os.memfd_create("tracebacks"), writable=False)
        self._pipe, child_end = Pipe()
        with child_end:
            self._process = fork_server.fork(
                name, _START_CHILD, child_end, self._tracebacks, target, *arguments
            )

    async def handle_until_exit(self, handle: Callable[[FromChild], None]) -> int:
        """Call `handle` with each message of the child until it has exited; returns its exit code.

        The code is the negative signal number if a signal ended the child.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        watch_pipe(self._pipe, self._receive, handle)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
            loop.remove_reader(self._pipe.fileno())
        while self._receive(handle):
            pass
        code = self._process.wait()
        self._pipe.close()
        self._tracebacks.close()
        return code

    def _receive(self, handle: Callable[[FromChild], None]) -> bool:
        """Handle one message; False at the end of the pipe."""
        try:
            message = decode_from_child(self._pipe.recv_bytes())
        except PIPE_LOST:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            return False
        handle(message)
        return True

    def send(self, message: ToChild) -> None:
        """Send a message; no error if the child is gone, which its sentinel reports."""
        with suppress(*PIPE_LOST):
            self._pipe.send_bytes(msgspec.msgpack.encode(message))

    def send_if_room(self, message: ToChild) -> bool:
        """Send a message of at most ROOM_BYTES, unless the child leaves others unread."""
        if not has_room(self._pipe):
            return False
        self.send(message)
        return True

    def send_descriptor(self, message: ToChild, descriptor: int) -> None:
        """Send a message and a file descriptor; a failure kills the child, which waits for it."""
        try:
            self._pipe.send_bytes(msgspec.msgpack.encode(message))
            reduction.send_handle(self._pipe, descriptor, self._process.pid)
        except OSError as error:
            logger.bind(process=self.name, why=error.strerror).error(
                "a descriptor was not handed over"
            )
            self.kill()

    def kill(self) -> None:
        """Kill the process with SIGKILL; no error if it has exited."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def find_position(self) -> str:
        """Where the main thread of the child is, the innermost frame first; "" if unknown.

        A child that has not started its main function yet is ended by this.
        """
        with suppress(OSError, ValueError):  # it has ended meanwhile
            self._process.send_signal(TRACEBACK_SIGNAL)
            await asyncio.sleep(_TRACEBACK_SECONDS)
            written = os.pread(self._tracebacks.fileno(), _TRACEBACK_BYTES, 0)
            return _main_thread_frames(written.decode(errors="replace"))
        return ""


async def end_hung(child: ChildProcess, seconds: float) -> None:
    """Log where a child hangs that has made no progress for so long, and kill it."""
    position = await child.find_position()
    about = {"process": child.name, "seconds": round(seconds), "position": position}
    logger.bind(**about).error("a process makes no progress, and is killed")
    child.kill()


def _main_thread_frames(tracebacks: str) -> str:
    """The frames of the main thread, which faulthandler writes last."""
    frames = _FRAME.findall(tracebacks.rpartition("hread 0x")[2])
    shown = [f"{PurePath(file).name}:{line} {name}" for file, line, name in frames]
    return " < ".join(shown[:_SHOWN_FRAMES])
