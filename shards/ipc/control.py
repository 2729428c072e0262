"""A child's side of its control pipe, and its main function."""

import os
import select
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import uvloop
from loguru import logger
from multiprocess import reduction
from multiprocess.connection import Connection

from shards.ipc.framing import decode_to_child
from shards.ipc.messages import AttachPipe, FromChild, ToChild
from shards.ipc.pipes import PIPE_LOST, watch_pipe
from shards.logs import configure_logging
from shards.settings.settings import Settings

ORPHANED = 1
"""Exit code of a child whose supervisor is gone."""
SUPERVISOR_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that children ignore: the supervisor handles them."""


class ControlChannel:
    """A child's end of its control pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, message: FromChild) -> None:
        """Send a message to the supervisor; ends this process if the supervisor is gone."""
        try:
            self._pipe.send_bytes(msgspec.msgpack.encode(message))
        except PIPE_LOST:
            os._exit(ORPHANED)

    def send_if_room(self, message: FromChild) -> None:
        """Send a message unless the pipe is full; the next report makes up for it."""
        if select.select([], [self._pipe], [], 0)[1]:
            self.send(message)

    def set_handler(self, handle: Callable[[ToChild, int | None], None]) -> None:
        """Call `handle` with each message, and the file descriptor that came with it.

        Ends this process if the supervisor is gone: nobody would read its output.
        """
        watch_pipe(self._pipe, self._receive, handle)

    def _receive(self, handle: Callable[[ToChild, int | None], None]) -> None:
        try:
            message = decode_to_child(self._pipe.recv_bytes())
            with_descriptor = isinstance(message, AttachPipe)
            descriptor = int(reduction.recv_handle(self._pipe)) if with_descriptor else None
        except PIPE_LOST:
            os._exit(ORPHANED)
        handle(message, descriptor)


def run_child(settings: Settings, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a child's main coroutine, with logging set up and the supervisor's signals ignored."""
    for number in SUPERVISOR_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISOR_SIGNALS)
    configure_logging(settings.log_level, as_json=settings.json)
    try:
        uvloop.run(main())
    except Exception:
        logger.exception("a process has failed")
        sys.exit(1)
