"""Preparations before large imports: modes of new files, stop signals and a temporary folder.

It imports nothing that takes time, since a signal may arrive at once.
"""

import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StartInterrupted(BaseException):
    """A stop signal arrived during the start.

    Like KeyboardInterrupt not an Exception, so that no library swallows it.
    """


def interrupt_start_on_signal() -> None:
    """Raise StartInterrupted at a stop signal, until the supervisor installs its handlers.

    PID 1 ignores signals without handlers. SIGHUP asks for a reload, and the configuration is still
    to be read.
    """

    def stop(*_: object) -> NoReturn:
        raise StartInterrupted

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, lambda *_: None)


def keep_new_files_from_others() -> None:
    """Let all files that this process and its children create have mode 0640, folders 0750.

    They hold alarms and events. Less is left as it is; files that exist keep their modes.
    """
    os.umask(os.umask(0o027) | 0o027)


def ensure_temporary_folder(folder: Path) -> None:
    """Use this folder for temporary files if the system has none, in child processes too.

    The multiprocess library needs one at its import, and a read-only root has none.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        with suppress(OSError):  # its first user reports the error
            folder.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder.absolute())
