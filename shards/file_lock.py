"""Locks on files and folders: flock, with errors that say which file and what would help.

A leaf of its own, since the alarm files, the checkpoint and the lock of a service use it.
"""

import errno
import fcntl
from pathlib import Path

_NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL))


def lock_file(handle: int, operation: int, path: Path) -> None:
    """Lock or unlock an open file (`fcntl.LOCK_EX` and the like), or an open folder.

    OSError with its name; BlockingIOError if another process has the lock.
    """
    try:
        fcntl.flock(handle, operation)
    except OSError as error:
        reason = error.strerror
        if error.errno in _NO_LOCKS:
            reason = f"{reason}: files cannot be locked there (flock), use a local disk"
        raise OSError(error.errno, reason, str(path)) from error
