"""The loader: a process that loads a configuration, and writes the part of each other process.

So it takes neither time nor memory of the supervisor. It can be killed at any moment: what it has
begun to download is finished or undone by the next one.
"""

import os
import threading
import time
from typing import Any

from multiprocess.connection import Connection

from shards.config.config_files import FilesByKind
from shards.config.downloaded_files import (
    Download,
    DownloadedFiles,
    FaultyConfigError,
    describe_disk_error,
)
from shards.config.generation import (
    ConfigChanges,
    ConfigParts,
    ConfigSummary,
    LoadRequest,
    LoadResult,
    RunningConfig,
)
from shards.config.known_directives import KnownDirectives
from shards.config.packed_config import PackedConfig
from shards.config.problem import ProblemList
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH, USAGE
from shards.ipc.control import PROGRESS_SECONDS, ControlChannel, run_child
from shards.ipc.fork_server import FAILED
from shards.ipc.memory import return_large_blocks
from shards.ipc.messages import Progress
from shards.ipc.pipes import PIPE_LOST
from shards.settings.settings import Settings


def main(
    control: Connection,
    settings: Settings,
    request: LoadRequest,
    running: RunningConfig | None,
    parts: ConfigParts,
) -> None:
    """Load a configuration and write the parts, the result last; with a fault, only the result.

    `running`: the configuration that runs, None at the start.
    """

    return_large_blocks()

    async def run() -> None:  # in the main thread, where a hang is looked for
        loader = _Loader(settings, request, running, _ProgressReporter(control))
        parts.result.write(loader.load(parts))

    run_child(settings, run)


class _ProgressReporter:
    """Reports progress to the supervisor, and ends the process when that is gone."""

    def __init__(self, control: Connection) -> None:
        self._control = control
        self._channel = ControlChannel(control)
        self._until = 0.0
        self.track_progress = self._channel.track_progress
        threading.Thread(target=self._run, name="control", daemon=True).start()

    def expect(self, seconds: float) -> None:
        """Report progress for so many seconds, which the next step may take."""
        self._until = time.monotonic() + seconds

    def _run(self) -> None:
        while True:
            if self._control.poll(PROGRESS_SECONDS):
                self._receive()
            elif time.monotonic() < self._until:
                self._channel.send_if_room(Progress())

    def _receive(self) -> None:
        try:
            self._control.recv_bytes()  # nothing that concerns a loader
        except PIPE_LOST:
            os._exit(FAILED)


class _LoadError(Exception):
    """The configuration cannot be used; the text says why, or is "" if problems say it."""

    def __init__(self, exit_code: int, text: str = "") -> None:
        super().__init__(text)
        self.exit_code = exit_code


class _Loader:
    """Loads a configuration, once."""

    def __init__(
        self,
        settings: Settings,
        request: LoadRequest,
        running: RunningConfig | None,
        progress: _ProgressReporter,
    ) -> None:
        self._settings = settings
        self._request = request
        self._running = running
        self._progress = progress
        self._known = KnownDirectives(running)
        self._config = PackedConfig(settings, self._known)
        """The configuration that was read last."""
        self._problems: list[ProblemList] = []

    def load(self, parts: ConfigParts) -> LoadResult:
        """Load it, and write all parts but the result, which is returned."""
        try:
            trouble = self._load()
        except _LoadError as error:
            return self._result(error=str(error), exit_code=error.exit_code)
        except PathError as error:
            return self._result(error=str(error), exit_code=NO_PATH)
        self._config.write(parts, self._running)
        before = self._running.parts.result.load().summary if self._running else None
        summary = self._config.summary(trouble)
        return self._result(summary, changes=ConfigChanges.between(before, summary))

    def _result(self, summary: ConfigSummary | None = None, **more: Any) -> LoadResult:
        listed = [problem for problems in self._problems for problem in problems.listed]
        documents = [problem.as_document() | {"text": str(problem)} for problem in listed]
        unlisted = "; ".join(filter(None, (problems.unlisted for problems in self._problems)))
        return LoadResult(summary, problems=documents, unlisted=unlisted, **more)

    def _load(self) -> str:
        """Read the configuration; returns why it is not the newest one, or ""."""
        folder = self._settings.config_dir
        if self._request.download:
            download = self._download()
        else:
            self._finish_download()
            download = Download(is_new=False)
        if download.is_new:  # it was read before it was moved to its place
            self._config.reader.warn_of_unread_files(folder)
        else:
            self._new_config().reader.read_folder(folder)
        self._problems.append(self._config.reader.problems)
        if self._config.reader.faulty:
            raise _LoadError(INVALID)
        self._check_lookup_transport()
        return download.trouble

    def _new_config(self) -> PackedConfig:
        self._progress.expect(0)  # reading reports its own
        self._config = PackedConfig(self._settings, self._known, self._progress.track_progress)
        return self._config

    def _download(self) -> Download:
        from shards.config.frontend_client import DownloadError, download_config  # noqa: PLC0415 - standalone needs no HTTP client

        def check(files: FilesByKind) -> ProblemList:
            reader = self._new_config().reader
            reader.read_files(files, self._settings.config_dir)
            return reader.problems

        try:
            download = download_config(
                self._settings,
                self._request,
                check,
                track_progress=self._progress.track_progress,
                expect=self._progress.expect,
            )
        except FaultyConfigError as error:
            self._problems.append(error.problems)
            raise _LoadError(INVALID, str(error)) from error
        except DownloadError as error:
            raise _LoadError(INVALID, str(error)) from error
        if download.problems is not None:
            self._problems.append(download.problems)
        return download

    def _finish_download(self) -> None:
        """Finish what a loader had begun to install that was killed: two sets may be mixed."""
        if self._settings.mode != "cluster-backend":
            return
        folder = self._settings.config_dir
        try:
            DownloadedFiles(folder).recover()
        except OSError as error:
            raise _LoadError(NO_PATH, describe_disk_error(error, folder)) from error

    def _check_lookup_transport(self) -> None:
        """Check the proxy and the certificates of lookups, if there are lookup sources."""
        if not self._config.reader.sources:
            return
        from shards.http_client import TransportOptions  # noqa: PLC0415 - most places have no lookups
        from shards.lookups.fetcher import find_transport_error  # noqa: PLC0415

        options = TransportOptions(self._settings.lookup_proxy, self._settings.lookup_ca)
        if fault := find_transport_error(options):
            raise _LoadError(USAGE, fault)
