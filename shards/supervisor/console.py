"""Runs the console and its history beside the other parts of the supervisor."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shards.checkpoint.paths import service_suffix
from shards.file_position import FilePositions
from shards.history.history import History
from shards.periodic import run_every
from shards.settings.settings import Settings
from shards.supervisor.history_recorder import HistoryRecorder

if TYPE_CHECKING:  # its libraries are large
    from shards.ops.console.backend import ConsoleBackend
    from shards.ops.http_server import Pages

TICK_SECONDS = 1.0


def make_history(settings: Settings) -> History:
    """The history of a service; services that share a log folder have one each."""
    return History(settings.log_dir / f"history{service_suffix(settings)}.sqlite")


@asynccontextmanager
async def run_console(
    backend: "ConsoleBackend", ends: Callable[[], FilePositions | None]
) -> "AsyncIterator[Pages]":
    """Run the console while the context is active; gives its pages.

    `ends`: where the alarm files end now.
    """
    from shards.ops.console.console import Console, is_console_path  # noqa: PLC0415
    from shards.ops.http_server import Pages  # noqa: PLC0415

    console = Console(backend)
    history, settings = backend.history, backend.settings
    recorder = HistoryRecorder(history, ends, settings.hold_duration, console.tell)

    def tick() -> None:
        overview = backend.overview()
        recorder.note(overview)
        console.tick(overview)

    history.start(console.announce)
    recorder.begin(backend.overview().version)
    try:
        async with run_every(TICK_SECONDS, tick):
            yield Pages(is_console_path, console.respond, console.close_streams)
    finally:
        recorder.end()
        history.close()
