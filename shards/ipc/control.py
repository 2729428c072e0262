"""A child's side of its control pipe, and its main function."""

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import uvloop
from loguru import logger
from multiprocess import reduction
from multiprocess.connection import Connection

from shards.ipc.fork_server import FAILED, find_target
from shards.ipc.framing import decode_to_child
from shards.ipc.messages import WITH_DESCRIPTOR, FromChild, Progress, ToChild
from shards.ipc.pipes import PIPE_LOST, has_room, watch_pipe
from shards.logs import configure_logging
from shards.settings.settings import Settings

T = TypeVar("T")

TRACEBACK_SIGNAL = signal.SIGUSR2
"""Signal at which a child writes the tracebacks of its threads, also while it hangs."""
PROGRESS_SECONDS = 1.0
"""Shortest interval between two reports of progress during the start."""


class ControlChannel:
    """A child's end of its control pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, message: FromChild) -> None:
        """Send a message to the supervisor; ends this process if the supervisor is gone."""
        try:
            self._pipe.send_bytes(msgspec.msgpack.encode(message))
        except PIPE_LOST:
            os._exit(FAILED)

    def send_if_room(self, message: FromChild) -> bool:
        """Send a message of at most ROOM_BYTES, unless the pipe is full; whether it was sent."""
        if not self.has_room:
            return False
        self.send(message)
        return True

    @property
    def has_room(self) -> bool:
        """Whether a message of at most ROOM_BYTES would be sent at once."""
        return has_room(self._pipe)

    def track_progress(self, items: Iterable[T], /) -> Iterator[T]:
        """The items of a long start; reports progress whenever one is taken, once a second."""
        next_report = 0.0
        for item in items:
            if time.monotonic() >= next_report:
                self.send_if_room(Progress())
                next_report = time.monotonic() + PROGRESS_SECONDS
            yield item

    def set_handler(self, handle: Callable[[ToChild, int | None], None]) -> None:
        """Call `handle` with each message, and the file descriptor that came with it.

        Ends this process if the supervisor is gone: nobody would read its output. Also if a
        descriptor does not arrive: without its data pipe the process would get no events.
        """
        watch_pipe(self._pipe, self._receive, handle)

    def _receive(self, handle: Callable[[ToChild, int | None], None]) -> None:
        try:
            message = decode_to_child(self._pipe.recv_bytes())
            with_descriptor = isinstance(message, WITH_DESCRIPTOR)
            descriptor = int(reduction.recv_handle(self._pipe)) if with_descriptor else None
        except PIPE_LOST:
            os._exit(FAILED)
        except RuntimeError:  # of recv_handle: this process may open no more files
            logger.error("a descriptor was not received")
            os._exit(FAILED)
        handle(message, descriptor)


def start_child(control: Connection, tracebacks: Connection, target: str, *arguments: Any) -> None:
    """The main function of every child: call its target with the control pipe and the arguments.

    `tracebacks`: a file that gets the tracebacks of all threads at TRACEBACK_SIGNAL.
    """
    faulthandler.register(TRACEBACK_SIGNAL, file=os.dup(tracebacks.fileno()))
    tracebacks.close()
    find_target(target)(control, *arguments)


def run_child(settings: Settings, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a child's main coroutine, with logging set up."""
    configure_logging(settings.log_level, as_json=settings.json)
    try:
        uvloop.run(main())
    except Exception:
        logger.exception("a process has failed")
        sys.exit(1)
