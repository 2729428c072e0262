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
from multiprocess import reduction, resource_tracker
from multiprocess.connection import Connection

from shards.ipc.control import SUPERVISOR_SIGNALS, TRACEBACK_SIGNAL, start_child
from shards.ipc.framing import decode_from_child
from shards.ipc.messages import FromChild, ToChild
from shards.ipc.pipes import CONTEXT, PIPE_LOST, has_room, watch_pipe

_TRACEBACK_SECONDS = 0.5
"""Time for a child to write its tracebacks."""
_TRACEBACK_BYTES = 1 << 20
_SHOWN_FRAMES = 12
_FRAME = re.compile(r'  File "(.+)", line ([0-9]+) in (.+)')


class ChildProcess:
    """A child process and the supervisor's end of its control pipe."""

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        """Start the process: `target` gets its end of the control pipe, then the arguments.

        OSError when the system has no memory, descriptors or processes left.
        """
        self.name = name
        self._tracebacks = Connection(os.memfd_create("tracebacks"), writable=False)
        self._pipe, child_end = CONTEXT.Pipe()
        self._process = CONTEXT.Process(
            target=start_child, args=(child_end, self._tracebacks, target, *arguments), name=name
        )
        resource_tracker.ensure_running()  # its start later would unblock the signals
        # The child ignores these signals once it runs; until then they are blocked.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_SIGNALS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        child_end.close()

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
        self._process.join()
        code = int(self._process.exitcode)
        self._process.close()
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
                "a data pipe was not handed over"
            )
            self.kill()

    def kill(self) -> None:
        """Kill the process with SIGKILL; no error if it has exited."""
        with suppress(ValueError):  # the process object is closed
            self._process.kill()

    async def find_position(self) -> str:
        """Where the main thread of the child is, the innermost frame first; "" if unknown.

        A child that has not started its main function yet is ended by this.
        """
        with suppress(ValueError, OSError):  # it has ended meanwhile
            os.kill(self._process.pid, TRACEBACK_SIGNAL)
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
