"""What serve does before there is any other process: config, alarm files, the crash checkpoint.

What may live here: that, and the exit codes of what can go wrong in it. What may not: processes.
"""

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future

import uvloop
from loguru import logger

from shards import checkpoint_file
from shards.checkpoint_file import CheckpointError
from shards.config import Config, PathError, load
from shards.keeper import checkpoint_path
from shards.settings import Settings
from shards.sink import AlarmFiles
from shards.stopping import SIGNALS, Stopped, heed_at_once
from shards.supervisor import Supervisor
from shards.validate import line_of

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
    config, problems = load(settings)
    for problem in problems:
        (logger.warning if problem.finding.warning else logger.error)(line_of(problem))
    if config is None:
        raise _Refused(INVALID)
    return config


def _check_nats(settings: Settings) -> None:
    from shards import nats_client  # noqa: PLC0415 - standalone needs no NATS

    try:
        nats_client.check(settings)
    except nats_client.NatsFault as fault:
        raise _Refused(USAGE, str(fault)) from fault


def _check_lookups(settings: Settings, config: Config) -> None:
    """See to the way to the sources, if there are any."""
    if not config.sources:
        return
    from shards.exchange import Way  # noqa: PLC0415 - most places have no lookups
    from shards.lookups.fetcher import wrong_with  # noqa: PLC0415

    if wrong := wrong_with(Way(settings.lookup_proxy, settings.lookup_ca)):
        raise _Refused(USAGE, wrong)


def _download(settings: Settings) -> None:
    """Bring the config folder up to date; signals are heard meanwhile."""
    from shards import frontend  # noqa: PLC0415 - standalone has none

    stop = threading.Event()
    try:
        done = _heeding_signals(
            lambda: frontend.fetch(settings, settings.frontend_wait, stop), stop.set
        )
    except PathError as error:
        raise _Refused(NO_PATH, str(error)) from error
    if not done:
        raise Stopped


def _heeding_signals(work: Callable[[], bool], stop: Callable[[], None]) -> bool:
    """Do it in a thread that nobody waits for; a signal stops it, and then this returns False."""
    asked: list[int] = []
    for number in SIGNALS:
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
    heed_at_once()
    return result.result()


def _prepare_checkpoint(settings: Settings) -> None:
    """See to the file; trouble with it is no reason not to start, the workers try it again.

    Backlogs of before that are not wanted must not be taken for those of now.
    """
    try:
        checkpoint_file.prepare(checkpoint_path(settings), wanted=settings.reload_backlogs)
    except CheckpointError as error:
        logger.error(f"no crash checkpoint for now: {error}")
