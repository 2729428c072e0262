"""Being told to stop before there is anything to stop, which is as early as at the first import.

May live here: which signals those are, and a handler that ends the start. What may not: how a
service that runs is stopped (supervisor.py), and any import that takes time.
"""

import signal
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """Asked to stop before there was anything to stop.

    No Exception, as KeyboardInterrupt is none: a library that tries an import must not swallow it.
    """


def heed_at_once() -> None:
    """Stop at a signal until the supervisor sees to them: as PID 1 it would be deaf without."""

    def stop(*_: object) -> NoReturn:
        raise Stopped

    for number in SIGNALS:
        signal.signal(number, stop)
