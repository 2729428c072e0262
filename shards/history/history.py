"""The history of the last day: a thread that alone uses its file.

Nothing here waits for the file: what is added is kept in memory for a moment, within bounds, and
counted when it is too much. So a slow or full disk costs history, and never an event.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from loguru import logger

from shards.file_position import FilePosition
from shards.history import alarm_filter, alarm_rows, database, limits, service_rows
from shards.history.alarm_queries import highest_sequence
from shards.history.alarm_rows import WrittenLine
from shards.history.limits import HistoryLimits
from shards.history.pending_rows import PendingRows
from shards.history.service_rows import Incident, Sample
from shards.ipc.queries import AlarmAbout

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

FLUSH_SECONDS = 0.25
"""Shortest interval between two transactions."""
MAX_JOBS = 32
"""Reads that wait; there are fewer connections than twice as many."""
READ_SECONDS = 3.0
"""Longest time of a read."""
PRUNE_SECONDS = 10.0
"""Interval of deleting what is beyond the bounds."""
_REOPEN_SECONDS = 10.0
_INTERRUPT_STEPS = 20_000
"""Steps of SQLite's virtual machine between looks at the time: a millisecond or so."""


class HistoryError(Exception):
    """The history cannot be read now; the text says why."""


class History:
    """The history for coroutines; methods but for `read` return at once."""

    def __init__(
        self,
        path: Path,
        bounds: HistoryLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`bounds`: those of the file; `clock`: seconds since the epoch."""
        self._path = path
        self._bounds = bounds or HistoryLimits()
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._reopen_at = self._flush_at = self._prune_at = 0.0
        self._lock = threading.Lock()
        self._pending = PendingRows()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_closing = False
        self._on_change: Callable[[int], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self.prune_seconds = PRUNE_SECONDS
        self.trouble = ""
        """Why the file cannot be written, or ""."""
        self.skipped = 0
        """Lines that are not in the history, since there were too many, or it could not write."""
        self.sequence = 0
        """The highest sequence of an alarm."""
        self.since = clock()
        """The history has no alarms that changed last before this time."""

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._pending)

    def start(self, on_change: Callable[[int], None]) -> None:
        """Start the thread; `on_change` is called in this event loop with each new sequence."""
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self, seconds: float = 2.0) -> None:
        """Write what waits, and end the thread, if that takes no longer than this."""
        if self._thread.is_alive():
            self._is_closing = True
            self._jobs.put(None)
            self._thread.join(seconds)

    def add_lines(self, lines: bytes, about: Mapping[str, AlarmAbout]) -> None:
        """Add lines of alarms that have just been written, and what is known of alarms."""
        with self._adding() as pending:
            self.skipped += pending.add_lines(lines, about, self._clock())

    def add_samples(self, samples: list[Sample]) -> None:
        """Add samples of a minute."""
        with self._adding() as pending:
            pending.add_samples(samples)

    def add_incident(self, incident: Incident) -> None:
        """Add an incident."""
        with self._adding() as pending:
            pending.add_incident(incident)

    def add_position(self, position: FilePosition) -> None:
        """Note where the alarm events file ends now."""
        with self._adding() as pending:
            pending.position = self._clock(), position

    @contextmanager
    def _adding(self) -> Iterator[PendingRows]:
        """The rows that wait to be written, to add to; wakes the thread for the first ones."""
        with self._lock:
            is_first = not self._pending
            yield self._pending
        if is_first:
            self._jobs.put(_nothing)

    async def read(self, job: Job[T]) -> T:
        """The result of a job in the thread; HistoryError if it cannot be had now."""
        if self._jobs.qsize() >= MAX_JOBS or self._is_closing:
            raise HistoryError("too many requests at one time")
        result: Future[T] = Future()
        self._jobs.put(lambda: self._run_job(job, result))
        return await asyncio.wrap_future(result)

    # In the thread.

    def _run(self) -> None:
        self._open()
        while not self._is_closing:
            try:
                job = self._jobs.get(timeout=self._seconds_to_flush())
            except queue.Empty:
                job = _nothing
            if job is not None:
                job()
            if self._pending and (time.monotonic() >= self._flush_at or self._is_closing):
                self._flush_at = time.monotonic() + FLUSH_SECONDS
                self._flush()
        if self._connection is not None:
            self._connection.close()

    def _seconds_to_flush(self) -> float | None:
        return max(0.0, self._flush_at - time.monotonic()) if self._pending else None

    def _run_job(self, job: Job[T], result: Future[T]) -> None:
        if not result.set_running_or_notify_cancel():
            return
        try:
            if self._connection is None:
                self._open()
            if self._connection is None:
                raise HistoryError(f"the history cannot be read: {self.trouble}")
            until = time.monotonic() + READ_SECONDS
            self._connection.set_progress_handler(
                lambda: time.monotonic() > until, _INTERRUPT_STEPS
            )
            try:
                result.set_result(job(self._connection))
            finally:
                self._connection.set_progress_handler(None, 0)
        except sqlite3.Error as error:
            result.set_exception(HistoryError(f"the history cannot be read: {error}"))
            self._handle(error)
        except BaseException as error:  # that of the caller
            result.set_exception(error)

    def _open(self) -> None:
        """Open the file if it is not open, not too often."""
        if self._connection is not None or time.monotonic() < self._reopen_at:
            return
        self._reopen_at = time.monotonic() + _REOPEN_SECONDS
        try:
            connection = database.open_history(self._path)
            alarm_filter.add_functions(connection)
            self.sequence = highest_sequence(connection)
            [since] = connection.execute("SELECT min(written) FROM change").fetchone()
        except (sqlite3.Error, OSError) as error:
            self._note_trouble(error)
            return
        self._connection = connection
        self.since = self.since if since is None else since

    def _flush(self) -> None:
        """Write what waits, in one transaction."""
        with self._lock:
            pending, self._pending = self._pending, PendingRows()
        self._open()
        lines, skipped = pending.last_lines()
        self.skipped += skipped
        if self._connection is None:
            self.skipped += len(lines)
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            sequence = self._write(self._connection, pending, lines)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.skipped += len(lines)
            self._handle(error)
            return
        self._end_trouble()
        if sequence:
            self.sequence = sequence
            self._announce(sequence)

    def _write(
        self, connection: sqlite3.Connection, pending: PendingRows, lines: list[WrittenLine]
    ) -> int:
        sequence = alarm_rows.write_alarms(connection, lines, pending.about)
        service_rows.write_samples(connection, pending.samples)
        service_rows.write_incidents(connection, pending.incidents)
        if pending.position is not None:
            service_rows.write_position(connection, *pending.position)
        if time.monotonic() >= self._prune_at:
            complete = limits.prune(connection, self._clock(), self._bounds)
            self._prune_at = time.monotonic() + (self.prune_seconds if complete else 0.0)
            [since] = connection.execute("SELECT min(written) FROM change").fetchone()
            self.since = since or self.since
        return sequence

    def _announce(self, sequence: int) -> None:
        if self._loop is not None and self._on_change is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._on_change, sequence)

    def _handle(self, error: sqlite3.Error) -> None:
        """Undo the transaction; a damaged file is renamed, and the next call begins a new one."""
        connection = self._connection
        if connection is None:
            return
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if not database.is_damage(error):
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
                self._note_trouble(error)
            return
        self._connection = None
        connection.close()
        self._reopen_at = 0.0
        try:
            database.set_aside(self._path, str(error))
        except OSError as fault:
            self._note_trouble(fault)

    def _note_trouble(self, error: Exception) -> None:
        text = f"{self._path}: {getattr(error, 'strerror', None) or error}"
        if text != self.trouble:
            logger.error(f"the history cannot be written: {text}")
        self.trouble = text

    def _end_trouble(self) -> None:
        if self.trouble:
            logger.info("the history is written again")
            self.trouble = ""


def _nothing() -> None:
    pass
