"""The start of `serve`: alarm files, checkpoint and configuration, before workers and router.

The configuration is read by a process of its own, which takes longest: it begins before all else,
and before the supervisor imports most of its code.
"""

import asyncio
import os
import resource
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress

import uvloop
from loguru import logger

from shards.alarm_files import AlarmFiles
from shards.checkpoint import database_file
from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.readable import wait_until_readable
from shards.checkpoint.store import CheckpointStore
from shards.config.folder_watcher import FolderWatcher
from shards.config.generation import LoadRequest
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH
from shards.ipc.forked_process import ForkServer
from shards.ops.reload_outcome import log_problems
from shards.settings.schema import Origin, UsageError
from shards.settings.settings import Settings
from shards.supervisor.config_loading import ConfigLoading, Loaded
from shards.supervisor.connection_settings import check_connections
from shards.supervisor.former_run import read_former_run
from shards.supervisor.generations import Generation
from shards.supervisor.service_lock import LockedError, service_lock
from shards.supervisor.shutdown import Shutdown


class _StartError(Exception):
    """The service cannot start; the text is for the user, or "" if it has been logged."""

    def __init__(self, exit_code: int, text: str = "") -> None:
        super().__init__(text)
        self.exit_code = exit_code


def run(settings: Settings, fork_server: ForkServer, origins: Mapping[str, Origin]) -> int:
    """Serve until a signal ends it; returns the exit code: 0, or 1 if the service gave up.

    `origins`: where the values of settings come from.

    StartInterrupted for a signal during the start.
    """
    _raise_descriptor_limit()
    try:
        with _service_lock(settings):
            check_connections(settings, os.environ)
            with FirstLoad(settings, fork_server) as load:
                return _run(settings, fork_server, origins, load)
    except (_StartError, UsageError) as error:
        if text := str(error):
            logger.error(text)
        return error.exit_code


def _raise_descriptor_limit() -> None:
    """Allow as many open files as the system permits; the usual limit of 1024 is for select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a sandbox may forbid it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def _service_lock(settings: Settings) -> Iterator[None]:
    """Hold the lock of the service, before anything in a folder is changed."""
    with ExitStack() as stack:
        try:
            stack.enter_context(service_lock(settings))
        except LockedError as error:
            raise _StartError(INVALID, str(error)) from error
        except OSError as error:
            raise _StartError(NO_PATH, f"{error.filename}: {error.strerror}") from error
        yield


class FirstLoad(ConfigLoading):
    """The first configuration, and what asks for another one while it is read."""

    def __init__(self, settings: Settings, fork_server: ForkServer) -> None:
        self.has_hangup = False
        signal.signal(signal.SIGHUP, self.note_hangup)
        self.watcher = FolderWatcher(settings.config_dir) if settings.watch else None
        download = settings.mode == "cluster-backend"
        request = LoadRequest(download, is_start=True, wait_seconds=settings.frontend_wait)
        super().__init__(fork_server, settings, request, None)

    def note_hangup(self, *_: object) -> None:
        """Note a SIGHUP: the files may have been read before."""
        self.has_hangup = True


def _run(
    settings: Settings,
    fork_server: ForkServer,
    origins: Mapping[str, Origin],
    load: FirstLoad,
) -> int:
    """Do what needs no configuration, then serve; returns the exit code."""
    from shards.supervisor.supervisor import Supervisor  # noqa: PLC0415 - the loader runs meanwhile

    files = _open_alarm_files(settings)
    _prepare_checkpoint(settings)
    former = read_former_run(settings, files)

    async def make_supervisor() -> Supervisor | None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, load.note_hangup)
        loaded = await _finish_unless_stopped(load)
        if loaded is None:
            return None
        result, parts = loaded
        log_problems(result)
        if result.summary is None or parts is None:
            raise _StartError(result.exit_code, result.error)
        first = Generation(1, parts, result.summary)
        supervisor = Supervisor(settings, first, files, fork_server, former, origins)
        supervisor.watcher = load.watcher
        if load.has_hangup:
            supervisor.reloader.request("SIGHUP")
        return supervisor

    async def serve() -> int:
        supervisor = await make_supervisor()
        return 0 if supervisor is None else await supervisor.serve()

    return uvloop.run(serve())


async def _finish_unless_stopped(load: ConfigLoading) -> Loaded | None:
    """The configuration, once it has been loaded; None after a stop signal."""
    shutdown = Shutdown()
    shutdown.handle_signals(lambda: None)
    loading = asyncio.create_task(load.finish())
    stopping = asyncio.create_task(shutdown.requested.wait())
    await asyncio.wait([loading, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not shutdown.is_requested:
        return await loading
    loading.cancel()
    await asyncio.wait([loading])
    return None


def _open_alarm_files(settings: Settings) -> AlarmFiles:
    try:
        return AlarmFiles(settings.log_dir)
    except PathError as error:
        raise _StartError(NO_PATH, str(error)) from error
    except OSError as error:
        raise _StartError(NO_PATH, f"{error.filename}: {error.strerror}") from error


def _prepare_checkpoint(settings: Settings) -> None:
    """Create or check the checkpoint file; on trouble the service starts, and workers retry.

    Without --reload-backlogs an existing file is set aside: its backlogs are not restored.
    """
    try:
        database_file.prepare_database(checkpoint_path(settings), reuse=settings.reload_backlogs)
    except CheckpointError as error:
        logger.error(f"no crash checkpoint for now: {error}")
    if settings.source_keeps_events:
        with closing(CheckpointStore(checkpoint_path(settings))) as store:
            wait_until_readable(store)
