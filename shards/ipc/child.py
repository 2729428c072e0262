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
    """A child process, as the supervisor has it."""

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        """Start it: the target gets its end of the control pipe, then the arguments."""
        self.name = name
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=target, args=(theirs, *arguments), name=name)
        resource_tracker.ensure_running()  # its own start would let the signals through again
        # A child ignores these, but not before it runs: until then they must wait.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_SIGNALS)
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
        """Handle one message; False when there will be none any more."""
        try:
            message = decode_from_child(self._pipe.recv_bytes())
        except PIPE_LOST:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            return False
        handle(message)
        return True

    def send(self, message: ToChild) -> None:
        """Tell it; a child that is gone is not an error here, its sentinel says so."""
        with suppress(*PIPE_LOST):
            self._pipe.send_bytes(msgspec.msgpack.encode(message))

    def send_descriptor(self, message: ToChild, descriptor: int) -> None:
        """Tell it, and hand it a file descriptor."""
        with suppress(*PIPE_LOST):
            self._pipe.send_bytes(msgspec.msgpack.encode(message))
            reduction.send_handle(self._pipe, descriptor, self._process.pid)

    def kill(self) -> None:
        """End it at once, stopped or not."""
        with suppress(ValueError):  # it has ended, and been seen off
            self._process.kill()
