"""The lock of a service: one for each log folder, node and part.

Two services would write the same checkpoint, and the alarms of the same directives. The lock is on
an open file, so it ends with the process, however it dies; the file stays.
"""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from shards.checkpoint.paths import service_suffix
from shards.file_lock import lock_file
from shards.settings.settings import Settings

_MAX_BYTES = 4096


class LockedError(Exception):
    """Another service has the lock; the text says which, and what would help."""


class _Holder(Struct):
    """The service that has the lock, for people; `since`: its start."""

    pid: int
    host: str
    node: str
    part: int
    since: datetime


@contextmanager
def service_lock(settings: Settings) -> Iterator[None]:
    """Hold the lock while the context is active; children do not inherit it.

    LockedError if another service holds it. OSError with a file name if the folder or the file
    cannot be created or locked.
    """
    path = settings.log_dir / f".service{service_suffix(settings)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        _lock(handle, path)
        now = datetime.now(UTC).replace(microsecond=0)
        holder = _Holder(os.getpid(), platform.node(), settings.node, settings.cluster_part, now)
        os.ftruncate(handle, 0)
        os.pwrite(handle, msgspec.json.encode(holder), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        lock_file(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
    except BlockingIOError:
        raise LockedError(
            f"another service uses this log folder: {_describe_holder(handle)} has locked {path}; "
            "end it, or set another --log-dir, --node or --cluster-index"
        ) from None


def _describe_holder(handle: int) -> str:
    try:
        holder = msgspec.json.decode(os.pread(handle, _MAX_BYTES, 0), type=_Holder)
    except ValueError:  # it has only just locked the file
        return "a process"
    node = f"node {holder.node!r}" if holder.node else "no node"
    return (
        f"pid {holder.pid} on host {holder.host!r} ({node}, part {holder.part}, "
        f"since {holder.since:%Y-%m-%d %H:%M:%S} UTC)"
    )
