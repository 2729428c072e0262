"""Runs the console and its history beside the other parts of the supervisor."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shards.checkpoint.paths import service_suffix
from shards.file_position import FilePositions
from shards.history.history import History
from shards.ops.overview import Overview
from shards.ops.reload_outcome import ReloadOutcome
from shards.periodic import run_every
from shards.settings.schema import Origin
from shards.settings.settings import Settings
from shards.supervisor.children import Children
from shards.supervisor.history_recorder import HistoryRecorder

if TYPE_CHECKING:  # its libraries are large
    from shards.ops.http_server import Pages

TICK_SECONDS = 1.0


class ConsoleRunner:
    """The console of one service. The history exists from the start, and keeps what comes early."""

    def __init__(
        self, settings: Settings, origins: Mapping[str, Origin], alarm_events: Path
    ) -> None:
        """`origins`: where the values of settings come from; `alarm_events`: that alarm file."""
        self._settings = settings
        self._origins = origins
        self._alarm_events = alarm_events
        name = f"history{service_suffix(settings)}.sqlite"  # services may share a log folder
        self.history = History(settings.log_dir / name)

    @asynccontextmanager
    async def running(
        self,
        children: Children,
        overview: Callable[[], Overview],
        reload: Callable[[], Awaitable[ReloadOutcome]],
        ends: Callable[[], FilePositions | None],
    ) -> "AsyncIterator[Pages]":
        """Run the console while the context is active; gives its pages.

        `ends`: where the alarm files end now.
        """
        from shards.ops.console.backend import ConsoleBackend  # noqa: PLC0415 - large libraries
        from shards.ops.console.console import Console, is_console_path  # noqa: PLC0415
        from shards.ops.http_server import Pages  # noqa: PLC0415

        requests = children.explain_requests
        backend = ConsoleBackend(
            settings=self._settings,
            origins=self._origins,
            run=children.run,
            overview=overview,
            ask=children.queries.ask,
            worker_of=requests.worker_of,
            explain=requests.explain,
            reload=reload,
            history=self.history,
            alarm_events=self._alarm_events,
        )
        console = Console(backend)
        recorder = HistoryRecorder(self.history, ends, self._settings.hold_duration, console.tell)

        def tick() -> None:
            now = overview()
            recorder.note(now)
            console.tick(now)

        self.history.start(console.announce)
        recorder.begin(overview())
        try:
            async with run_every(TICK_SECONDS, tick):
                yield Pages(is_console_path, console.respond, console.close_streams)
        finally:
            recorder.end()
            self.history.close()
