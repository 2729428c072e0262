"""Durability of folders."""

import errno
import os
from pathlib import Path

import pytest

from shards.durable import sync_folder


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_folder_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink())
    )
    sync_folder(tmp_path)
    assert synced == [tmp_path]


def test_an_error_names_the_folder_and_leaves_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    before = open_files()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error") as error:
        sync_folder(tmp_path)
    assert error.value.filename == str(tmp_path)
    assert open_files() == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")
