"""Waits for changes of configuration files and folders, for `validate --watch`.

The system's notifications wake it at once, and it looks by itself once a second: then nothing is
missed on file systems without notifications, behind symbolic links, or while files were read.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from watchfiles import watch

from shards.config.folder_watcher import FileState, file_states

_LOOK_SECONDS = 1
_QUIET_MS = 50
"""Milliseconds without a further notification until the files are read."""
_MAX_LINKS = 40
"""Number of symbolic links that are followed from one path, as Linux does."""


def changes_of(paths: Sequence[Path]) -> Iterator[None]:
    """Yields at once, and then after each change of these files, or of JSON files in these folders.

    A path may be missing for a time, and it may be a symbolic link that is replaced. There is no
    end.
    """
    while True:
        seen = _state_of_all(paths)
        yield
        while _state_of_all(paths) == seen:
            _wait(paths)


def _wait(paths: Sequence[Path]) -> None:
    """Wait for a change in any of the folders, at most a second."""
    try:
        folders = {folder for path in paths for folder in _folders(path.absolute())}
    except OSError:  # a path in a closed folder, or one that is too long
        time.sleep(_LOOK_SECONDS)
        return
    notifications = watch(
        *folders,
        watch_filter=None,
        step=_QUIET_MS,
        rust_timeout=_LOOK_SECONDS * 1000,
        yield_on_timeout=True,
        recursive=False,
    )
    try:
        next(notifications)
    except (OSError, RuntimeError):  # a folder has gone, or the system has no more watches
        time.sleep(_LOOK_SECONDS)
    finally:
        notifications.close()


def _folders(path: Path, links: int = _MAX_LINKS) -> Iterator[Path]:
    """The existing folders in which a change can make the path another one."""
    yield next(parent for parent in (path, *path.parents) if parent.is_dir())
    if not path.is_dir() or path.is_symlink():
        yield next(parent for parent in path.parents if parent.is_dir())
    for link in (path, *path.parents) if links else ():
        if link.is_symlink():
            yield link.parent
            yield from _folders(link.parent / link.readlink(), links - 1)


def _state_of_all(paths: Sequence[Path]) -> list[FileState]:
    return [state for path in paths for state in file_states(path)]
