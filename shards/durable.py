"""Durability of files over power failures.

A leaf of its own, since config/ and checkpoint/ both replace files durably.
"""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that created, renamed and removed files in it are durable.

    OSError with the folder's name if that fails.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        os.close(handle)
