"""Watches the config folder of a service for changes of its files.

It looks once a second, as the system's notifications are not enough: they can run out, and miss
changes on network file systems and behind symbolic links.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

FileState = tuple[object, ...]


def file_states(path: Path) -> list[FileState]:
    """The state of a file, or of the files of a folder that are or look like configuration.

    Hidden files are not among them: editors and downloads write some.
    """
    return list(_file_states(path))


def _file_states(path: Path) -> Iterator[FileState]:
    try:
        files = sorted(file for file in path.iterdir() if _may_be_config(file.name))
    except OSError:  # it is a file, or missing, or closed to us
        yield _state(path)
        return
    for file in files:
        yield file.name, *_state(file)


def _may_be_config(name: str) -> bool:
    return ".js" in name.lower() and not name.startswith(".")


def _state(path: Path) -> FileState:
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno,)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


_LOOK_SECONDS = 1.0
_QUIET_SECONDS = 0.5
"""How long files have to stay as they are, so that they are not read half written."""
_MAX_QUIET_LOOKS = 10
"""How often that is looked for: files that are always being written are read at last."""


class FolderWatcher:
    """Reports changes of the configuration files of a folder since it was made.

    The folder may be a symbolic link, and be missing for a time; its files may be links, as in a
    volume of Kubernetes, where one link is swapped to replace all.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = file_states(folder)

    async def run(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` after each change, in the event loop, until this is cancelled."""
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()
        stop = threading.Event()

        def report() -> None:
            if not stop.is_set():
                on_change()

        def watch() -> None:
            with suppress(RuntimeError):  # the event loop is closed
                try:
                    for _ in self.changes(stop.wait):
                        loop.call_soon_threadsafe(report)
                except Exception as error:
                    loop.call_soon_threadsafe(failed.set_exception, error)

        # A network file system can block it: neither the event loop nor the end of the process.
        threading.Thread(target=watch, name="config-folder", daemon=True).start()
        try:
            await failed
        finally:
            stop.set()

    def changes(self, wait: Callable[[float], bool]) -> Iterator[None]:
        """Yields after each change; `wait` waits for so many seconds, and is True at the end."""
        while not wait(_LOOK_SECONDS):
            if file_states(self._folder) != self._seen:
                self._seen = self._settled_states(wait)
                yield

    def _settled_states(self, wait: Callable[[float], bool]) -> list[FileState]:
        """The states once they stay as they are and the folder is there, or it takes too long."""
        states = file_states(self._folder)
        for _ in range(_MAX_QUIET_LOOKS):
            if wait(_QUIET_SECONDS):
                break
            before, states = states, file_states(self._folder)
            if states == before and self._folder.is_dir():
                break
        return states
