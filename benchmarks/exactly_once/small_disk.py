"""A folder on a file system of its own (tmpfs) that can be filled up; only root can mount one."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_FILLER = "filler"
_PAGE_BYTES = 4096


class MountError(OSError):
    """The file system cannot be mounted, for instance without root."""


class SmallDisk:
    """A mounted folder; `unmount` leaves its files in a plain folder of the same name."""

    def __init__(self, folder: Path, size: int) -> None:
        """Make the folder with so many bytes of room. MountError if that is not possible."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        _mount_command("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder))

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Meanwhile nothing can be written to the folder."""
        path = self._folder / _FILLER
        try:
            with path.open("wb") as file:
                _fill(file.fileno(), shutil.disk_usage(self._folder).free)
            yield
        finally:
            path.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Copy the files, and unmount, if it is mounted. OSError if a process uses a file."""
        if not self._folder.is_mount():
            return
        kept = self._folder.with_name(f"{self._folder.name}.kept")
        shutil.copytree(self._folder, kept)
        _mount_command("umount", str(self._folder))
        self._folder.rmdir()
        kept.rename(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.unmount()


def _fill(descriptor: int, free: int) -> None:
    """Allocate all room, in ever smaller pieces, since others take some of it meanwhile."""
    end, piece = 0, free
    while piece >= _PAGE_BYTES:
        try:
            os.posix_fallocate(descriptor, end, piece)
            end += piece
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            piece //= 2


def _mount_command(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MountError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise MountError(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
