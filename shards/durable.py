"""What a power failure must not undo."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the disk keep which files are in a folder; OSError, which names it, as usual."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        os.close(handle)
