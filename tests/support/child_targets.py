"""Targets of child processes that tests start; a spawned child imports this module."""

import asyncio
import os
import sys
import threading
import time
from typing import Any

from multiprocess.connection import Connection

from shards.config.generation import LoadResult
from shards.ipc.control import ControlChannel, run_child
from shards.ipc.messages import Progress, Ready, Stop, ToChild
from shards.ipc.shared_value import SharedValue
from shards.settings.settings import Settings


def obedient(control: Connection, setup: SharedValue) -> None:
    """Report the port in the set-up; write to each descriptor that arrives; exit at Stop."""
    port: int = setup.load()

    async def run() -> None:
        channel, stopping = ControlChannel(control), asyncio.Event()

        def handle(message: ToChild, descriptor: int | None) -> None:
            if descriptor is not None:
                os.write(descriptor, b"it arrived")
                os.close(descriptor)
            if isinstance(message, Stop):
                stopping.set()

        channel.set_handler(handle)
        channel.send(Ready(("127.0.0.1", port)))
        await stopping.wait()

    run_child(Settings(), run)


def hoarding(control: Connection) -> None:
    """Keep every descriptor that arrives, and never exit."""

    async def run() -> None:
        channel = ControlChannel(control)
        channel.set_handler(lambda message, descriptor: None)
        channel.send(Ready())
        await asyncio.Event().wait()

    run_child(Settings(), run)


def failing(control: Connection) -> None:  # noqa: ARG001 - every target gets it
    """Fail after the start."""

    async def run() -> None:
        raise ValueError("a test")

    run_child(Settings(), run)


def hanging(control: Connection) -> None:
    """Report readiness, and never return to the event loop."""

    async def run() -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        ControlChannel(control).send(Ready())
        _hang()

    run_child(Settings(), run)


def _hang() -> None:
    while True:
        pass


def starting_slowly(control: Connection, items: int) -> None:
    """Take that many items in a start that reports progress, then be ready and exit."""

    async def run() -> None:
        channel = ControlChannel(control)
        for _ in channel.track_progress(range(items)):
            pass
        channel.send(Ready())

    run_child(Settings(), run)


def silent(control: Connection) -> None:  # noqa: ARG001
    """Never exit."""

    async def run() -> None:
        await asyncio.Event().wait()

    run_child(Settings(), run)


def exiting(code: int) -> None:
    """Exit with this code."""
    sys.exit(int(code))


def sleeping() -> None:
    """Never exit."""
    threading.Event().wait()


def hanging_loader(control: Connection, *_: object) -> None:  # noqa: ARG001
    """In place of the loader of configurations: never return to the event loop."""

    async def run() -> None:
        _hang()

    run_child(Settings(), run)


def slow_loader(control: Connection, *arguments: Any) -> None:
    """In place of the loader: as long as two hang timeouts of a second, with progress."""

    async def run() -> None:
        channel = ControlChannel(control)
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            channel.send(Progress())
            await asyncio.sleep(0.2)
        arguments[-1].result.write(LoadResult(None, error="a test"))

    run_child(Settings(), run)
