"""The supervisor's side of a child process: start, messages, end."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from multiprocess import reduction, resource_tracker

from shards.ipc.control import SUPERVISOR_SIGNALS
from shards.ipc.framing import decode_from_child
from shards.ipc.messages import FromChild, ToChild
from shards.ipc.pipes import CONTEXT, PIPE_LOST, watch_pipe


class ChildProcess:
    """A child process and the supervisor's end of its control pipe."""

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        """Start the process: `target` gets its end of the control pipe, then the arguments.

        OSError when the system has no memory, descriptors or processes left.
        """
        self.name = name
        self._pipe, child_end = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=target, args=(child_end, *arguments), name=name)
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

    def send_descriptor(self, message: ToChild, descriptor: int) -> None:
        """Send a message and a file descriptor; no error if the child is gone."""
        with suppress(*PIPE_LOST):
            self._pipe.send_bytes(msgspec.msgpack.encode(message))
            reduction.send_handle(self._pipe, descriptor, self._process.pid)

    def kill(self) -> None:
        """Kill the process with SIGKILL; no error if it has exited."""
        with suppress(ValueError):  # the process object is closed
            self._process.kill()
