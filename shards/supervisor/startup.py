"""The start of `serve`: configuration, alarm files and checkpoint, before any child process."""

import resource
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TypeVar

import uvloop
from loguru import logger
from msgspec.structs import replace

from shards.alarm_files import AlarmFiles
from shards.bootstrap import STOP_SIGNALS, StartInterrupted, interrupt_start_on_signal
from shards.checkpoint import database_file
from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.readable import wait_until_readable
from shards.checkpoint.store import CheckpointStore
from shards.config.config_files import FilesByKind
from shards.config.config_folder import Config, load_config
from shards.config.config_reader import ConfigReader
from shards.config.downloaded_files import FaultyConfigError
from shards.config.generation import LoadRequest
from shards.config.problem import ProblemList
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH, USAGE
from shards.ipc.forked_process import ForkServer
from shards.settings.settings import Settings
from shards.supervisor.former_run import read_former_run
from shards.supervisor.service_lock import LockedError, service_lock
from shards.supervisor.supervisor import Supervisor

T = TypeVar("T")

_POLL_SECONDS = 0.05


class _StartError(Exception):
    """The service cannot start; the text is for the user, or "" if it has been logged."""

    def __init__(self, exit_code: int, text: str = "") -> None:
        super().__init__(text)
        self.exit_code = exit_code


def run(settings: Settings, fork_server: ForkServer) -> int:
    """Serve until a signal ends it; returns the exit code: 0, or 1 if the service gave up.

    StartInterrupted for a signal during the start.
    """
    _raise_descriptor_limit()
    try:
        with _service_lock(settings):
            return uvloop.run(_make_supervisor(settings, fork_server).serve())
    except _StartError as error:
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


def _make_supervisor(settings: Settings, fork_server: ForkServer) -> Supervisor:
    trouble = ""
    if settings.mode == "cluster-backend":
        _check_nats(settings)
        trouble = _download_config(settings)
    try:
        config = replace(_load_config(settings), trouble=trouble)
        files = AlarmFiles(settings.log_dir)
    except PathError as error:
        raise _StartError(NO_PATH, str(error)) from error
    except OSError as error:
        raise _StartError(NO_PATH, f"{error.filename}: {error.strerror}") from error
    _check_lookup_transport(settings, config)
    _prepare_checkpoint(settings)
    former = read_former_run(checkpoint_path(settings), files)
    return Supervisor(settings, config, files, fork_server, former)


def _load_config(settings: Settings) -> Config:
    config, problems = load_config(settings)
    problems.log()
    if config is None:
        raise _StartError(INVALID)
    return config


def _check_nats(settings: Settings) -> None:
    from shards.sources import nats_connection  # noqa: PLC0415 - standalone needs no NATS

    try:
        nats_connection.check_settings(settings)
    except nats_connection.NatsSettingsError as error:
        raise _StartError(USAGE, str(error)) from error


def _check_lookup_transport(settings: Settings, config: Config) -> None:
    """Check the proxy and the certificates of lookups, if there are lookup sources."""
    if not config.sources:
        return
    from shards.http_client import TransportOptions  # noqa: PLC0415 - most places have no lookups
    from shards.lookups.fetcher import find_transport_error  # noqa: PLC0415

    if fault := find_transport_error(TransportOptions(settings.lookup_proxy, settings.lookup_ca)):
        raise _StartError(USAGE, fault)


def _download_config(settings: Settings) -> str:
    """Download the configuration from the frontend; StartInterrupted on a signal meanwhile.

    Returns why the last download is used instead, or "".
    """
    from shards.config import frontend_client  # noqa: PLC0415 - standalone has none

    def check(files: FilesByKind) -> ProblemList:
        reader = ConfigReader(settings)
        reader.read_files(files, settings.config_dir)
        return reader.problems

    request = LoadRequest(download=True, is_start=True, wait_seconds=settings.frontend_wait)
    try:
        download = _run_interruptibly(
            lambda: frontend_client.download_config(settings, request, check)
        )
    except FaultyConfigError as error:
        error.problems.log()
        raise _StartError(INVALID, str(error)) from error
    except PathError as error:
        raise _StartError(NO_PATH, str(error)) from error
    if download is None:
        raise StartInterrupted
    if download.problems is not None:
        download.problems.log()
    return download.trouble


def _run_interruptibly(work: Callable[[], T]) -> T | None:
    """Run `work` in a daemon thread; on a signal, return None at once."""
    received: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: received.append(number))
    result: Future[T] = Future()

    def run_work() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=run_work, daemon=True)
    thread.start()
    while thread.is_alive() and not received:
        thread.join(_POLL_SECONDS)
    if received:
        return None
    interrupt_start_on_signal()
    return result.result()


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
