"""Targets of child processes that tests start; a spawned child imports this module."""

import asyncio
import os

from multiprocess.connection import Connection

from shards.ipc.control import ControlChannel, run_child
from shards.ipc.messages import Ready, Stop, ToChild
from shards.ipc.shared_setup import SharedSetup
from shards.settings.settings import Settings


def obedient(control: Connection, setup: SharedSetup) -> None:
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


def failing(control: Connection) -> None:  # noqa: ARG001 - every target gets it
    """Fail after the start."""

    async def run() -> None:
        raise ValueError("a test")

    run_child(Settings(), run)


def silent(control: Connection) -> None:  # noqa: ARG001
    """Never exit."""

    async def run() -> None:
        await asyncio.Event().wait()

    run_child(Settings(), run)
