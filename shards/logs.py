"""Logging with loguru to stderr, and a rate limit for repeated lines.

Each process logs on its own; a leaf, so that every folder may use it.
"""

import json
import logging
import sys
import traceback
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from loguru import logger

from engine.errors import InvalidEventError
from engine.event import NormalizedEvent
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


MAX_KINDS = 100
"""Kinds of records that are logged on their own."""


class KindLog:
    """Logs many records in few lines: the first of each kind, and how many like it there are."""

    def __init__(self, level: str, message: str) -> None:
        """`level` and `message` of the lines."""
        self._level = level
        self._message = message
        self._first: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._counts: Counter[tuple[Any, ...]] = Counter()
        self._others = 0

    def add(self, kind: tuple[Any, ...], about: Mapping[str, Any]) -> None:
        """Add a record; records of one kind differ only in what does not matter."""
        if kind in self._first or len(self._first) < MAX_KINDS:
            self._first.setdefault(kind, dict(about))
            self._counts[kind] += 1
        else:
            self._others += 1

    def flush(self) -> None:
        """Log what was added."""
        for kind, about in self._first.items():
            more = self._counts[kind] - 1
            logger.bind(**about, **({"more_like_it": more} if more else {})).log(
                self._level, self._message
            )
        if self._others:
            logger.bind(more=self._others).log(self._level, self._message)
        self._first, self._counts, self._others = {}, Counter(), 0


class EventLog:
    """Logs events that are invalid or were repaired: at most 5 in 10 s for each reason and field.

    Then it logs how many lines were suppressed.
    """

    def __init__(self) -> None:
        self._limit = RateLimit(most=5, seconds=10)

    def log_invalid(
        self, error: InvalidEventError, raw: bytes, now: float, place: str = ""
    ) -> None:
        """Log an invalid event and why it is; `now`: monotonic seconds.

        `place`: where it is recorded, if it is.
        """
        about = {"reason": error.reason, "why": error.detail}
        if place:
            about["place"] = place
        self._log("invalid event", f"{error.reason} {error.field}", about, raw, now)

    def log_repaired(self, fields: Sequence[str], raw: bytes, now: float) -> None:
        """Log an event with fields that were damaged or could not be used."""
        about = {"fields": ", ".join(fields)}
        self._log("an event was repaired", f"repaired {fields[0]}", about, raw, now)

    def log_reused(self, event: NormalizedEvent, now: float) -> None:
        """Log an event whose id another one with other content had."""
        if self._limit.allow("id_reused", now):
            self._log_suppressed("id_reused")
            logger.bind(event_id=event.event_id[:64], sensor=event.sensor[:64]).warning(
                "an event_id is used by different events: each counts"
            )

    def _log(
        self, message: str, key: str, about: Mapping[str, str], raw: bytes, now: float
    ) -> None:
        if self._limit.allow(key, now):
            self._log_suppressed(key)
            logger.bind(**about, event=excerpt(raw)).warning(message)

    def close(self) -> None:
        """Log the numbers of suppressed lines."""
        for key in sorted(self._limit.suppressed):
            self._log_suppressed(key)

    def _log_suppressed(self, key: str) -> None:
        if count := self._limit.suppressed.pop(key, 0):
            reason, _, field = key.partition(" ")
            logger.bind(reason=reason, field=field, suppressed=count).warning("more such events")


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
