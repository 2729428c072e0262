"""Being told to stop before there is anything to stop, which is as early as at the first import.

May live here: which signals those are, and a handler that ends the start. What may not: how a
service that runs is stopped (supervisor.py), and any import that takes time.
"""

import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StartInterrupted(BaseException):
    """Asked to stop before there was anything to stop.

    No Exception, as KeyboardInterrupt is none: a library that tries an import must not swallow it.
    """


def interrupt_start_on_signal() -> None:
    """Stop at a signal until the supervisor sees to them: as PID 1 it would be deaf without."""

    def stop(*_: object) -> NoReturn:
        raise StartInterrupted

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def ensure_temporary_folder(folder: Path) -> None:
    """See to it that there is one, this folder if need be; for child processes too."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        with suppress(OSError):  # whoever needs it will say what is wrong with it
            folder.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder.absolute())
