"""Logging with loguru to stderr, and a rate limit for repeated lines.

Each process logs on its own; a leaf, so that every folder may use it.
"""

import json
import logging
import sys
import traceback
from collections import Counter, deque
from datetime import UTC
from typing import TYPE_CHECKING, Any

from loguru import logger

from shards.safe_text import escape_control, excerpt

if TYPE_CHECKING:
    from loguru import Message, Record


def configure_logging(level: str, *, as_json: bool) -> None:
    """Log to stderr from now on; `level` is a name of loguru's, such as INFO."""
    format_line = _json_line if as_json else _text_line

    def write(message: "Message") -> None:
        # One write a record, so that lines of several processes do not mix.
        sys.stderr.write(format_line(message.record) + "\n")

    logger.remove()
    logger.add(write, level=level, format="{message}", backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)


class _LibraryHandler(logging.Handler):
    """Logs the records of libraries; their warnings are for developers and become DEBUG."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record of a library."""
        is_fault = record.levelno >= logging.ERROR and not _is_closed_transport(record)
        level = "ERROR" if is_fault else "DEBUG"
        about = logger.bind(library=record.name).opt(exception=record.exc_info)
        about.log(level, "{}", record.getMessage())


def _is_closed_transport(record: logging.LogRecord) -> bool:
    """Whether uvloop reports a write to a connection that the peer has closed.

    A server that closes a connection before the TLS handshake begins makes uvloop raise this in a
    callback of its own (https://github.com/MagicStack/uvloop/issues/506). It is no fault of this
    program, and who uses the connection sees its end and logs it.
    """
    exception = record.exc_info[1] if record.exc_info else None
    return isinstance(exception, RuntimeError) and str(exception).endswith(
        "; the handler is closed"
    )


class RateLimit:
    """Allows at most `most` calls within any `seconds`, for each key on its own."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._passed: dict[str, deque[float]] = {}
        self.suppressed: Counter[str] = Counter()
        """Refused calls by key, until the caller reports and removes them."""

    def allow(self, key: str, now: float) -> bool:
        """Whether a call is within the limit; `now` in seconds of a monotonic clock."""
        passed = self._passed.setdefault(key, deque(maxlen=self._most))
        if len(passed) == self._most and now - passed[0] < self._seconds:
            self.suppressed[key] += 1
            return False
        passed.append(now)
        return True


class InvalidEventLog:
    """Logs invalid events: at most 5 in 10 s for each reason, then how many were suppressed."""

    def __init__(self) -> None:
        self._limit = RateLimit(most=5, seconds=10)

    def log(self, reason: str, raw: bytes, now: float, place: str = "") -> None:
        """Log an invalid event or count it as suppressed; `now`: monotonic seconds.

        `place`: where it is recorded, if it is.
        """
        if self._limit.allow(reason, now):
            self._log_suppressed(reason)
            where = {"place": place} if place else {}
            logger.bind(reason=reason, **where, event=excerpt(raw)).warning("invalid event")

    def close(self) -> None:
        """Log the number of suppressed events."""
        for reason in sorted(self._limit.suppressed):
            self._log_suppressed(reason)

    def _log_suppressed(self, reason: str) -> None:
        if count := self._limit.suppressed.pop(reason, 0):
            logger.bind(reason=reason, suppressed=count).warning("more invalid events")


def _time(record: "Record") -> str:
    utc = record["time"].astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json_line(record: "Record") -> str:
    own = {"time": _time(record), "level": record["level"].name, "message": record["message"]}
    if failure := _failure(record):
        own["exception"] = failure
    return json.dumps(own | record["extra"] | own, default=str)


def _text_line(record: "Record") -> str:
    fields = "".join(f" {key}={_field(value)}" for key, value in record["extra"].items())
    head = f"{_time(record)} {record['level'].name:<8} {escape_control(record['message'])}{fields}"
    return "\n".join([head, *map(escape_control, _failure(record).splitlines())])


def _field(value: Any) -> str:
    text = escape_control(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text


def _failure(record: "Record") -> str:
    exception = record["exception"]
    if exception is None or exception.value is None:
        return ""
    return "".join(traceback.format_exception(exception.value)).rstrip()
