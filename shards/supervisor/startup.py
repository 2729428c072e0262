"""What serve does before there is any other process: config, alarm files, the crash checkpoint.

What may live here: that, and the exit codes of what can go wrong in it. What may not: processes.
"""

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future

import uvloop
from loguru import logger

from shards.alarm_files import AlarmFiles
from shards.bootstrap import STOP_SIGNALS, StartInterrupted, interrupt_start_on_signal
from shards.checkpoint import database_file
from shards.checkpoint.checkpointer import checkpoint_path
from shards.checkpoint.database_file import CheckpointError
from shards.config.config_folder import Config, load_config
from shards.errors import PathError
from shards.settings.settings import Settings
from shards.supervisor.supervisor import Supervisor

INVALID, NO_PATH, USAGE = 1, 2, 3
_LOOK_SECONDS = 0.05


class _Refused(Exception):
    """It cannot start; the text is for the user, and has been logged if it is empty."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(text)
        self.code = code


def run(settings: Settings) -> int:
    """Serve until a signal ends it; returns the exit code: 0, or 1 when serving gave up.

    Raises Stopped for a signal while it starts, as stopping.heed_at_once() has it.
    """
    try:
        return uvloop.run(_prepared(settings).serve())
    except _Refused as refused:
        if text := str(refused):
            logger.error(text)
        return refused.code


def _prepared(settings: Settings) -> Supervisor:
    if settings.mode == "cluster-backend":
        _check_nats(settings)
        _download(settings)
    try:
        config = _config(settings)
        files = AlarmFiles(settings.log_dir)
    except PathError as error:
        raise _Refused(NO_PATH, str(error)) from error
    except OSError as error:
        raise _Refused(NO_PATH, f"{error.filename}: {error.strerror}") from error
    _check_lookups(settings, config)
    _prepare_checkpoint(settings)
    return Supervisor(settings, config, files)


def _config(settings: Settings) -> Config:
    config, problems = load_config(settings)
    for problem in problems:
        (logger.warning if problem.finding.warning else logger.error)(str(problem))
    if config is None:
        raise _Refused(INVALID)
    return config


def _check_nats(settings: Settings) -> None:
    from shards.sources import nats_connection  # noqa: PLC0415 - standalone needs no NATS

    try:
        nats_connection.check_settings(settings)
    except nats_connection.NatsSettingsError as fault:
        raise _Refused(USAGE, str(fault)) from fault


def _check_lookups(settings: Settings, config: Config) -> None:
    """See to the way to the sources, if there are any."""
    if not config.sources:
        return
    from shards.http_client import TransportOptions  # noqa: PLC0415 - most places have no lookups
    from shards.lookups.fetcher import transport_fault  # noqa: PLC0415

    if wrong := transport_fault(TransportOptions(settings.lookup_proxy, settings.lookup_ca)):
        raise _Refused(USAGE, wrong)


def _download(settings: Settings) -> None:
    """Bring the config folder up to date; signals are heard meanwhile."""
    from shards.config import frontend_client  # noqa: PLC0415 - standalone has none

    stop = threading.Event()
    try:
        done = _heeding_signals(
            lambda: frontend_client.download_config(settings, settings.frontend_wait, stop),
            stop.set,
        )
    except PathError as error:
        raise _Refused(NO_PATH, str(error)) from error
    if not done:
        raise StartInterrupted


def _heeding_signals(work: Callable[[], bool], stop: Callable[[], None]) -> bool:
    """Do it in a thread that nobody waits for; a signal stops it, and then this returns False."""
    asked: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: asked.append(number))
    result: Future[bool] = Future()

    def settle() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=settle, daemon=True)
    thread.start()
    while thread.is_alive() and not asked:
        thread.join(_LOOK_SECONDS)
    if asked:
        stop()
        return False
    interrupt_start_on_signal()
    return result.result()


def _prepare_checkpoint(settings: Settings) -> None:
    """See to the file; trouble with it is no reason not to start, the workers try it again.

    Backlogs of before that are not wanted must not be taken for those of now.
    """
    try:
        database_file.prepare_database(checkpoint_path(settings), reuse=settings.reload_backlogs)
    except CheckpointError as error:
        logger.error(f"no crash checkpoint for now: {error}")
