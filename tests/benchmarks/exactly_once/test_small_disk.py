"""The disk that the chaos program fills up."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.exactly_once.small_disk import MountError, SmallDisk

SIZE = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def disk(folder: Path) -> Iterator[SmallDisk]:
    try:
        disk = SmallDisk(folder, SIZE)
    except MountError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    with disk:
        yield disk


def test_nothing_can_be_written_while_it_is_full(disk: SmallDisk, folder: Path) -> None:
    file = folder / "file"
    file.write_bytes(b"before")
    with disk.filled(), pytest.raises(OSError, match="space") as error:
        (folder / "other").write_bytes(b"x")
    assert error.value.errno == errno.ENOSPC
    file.write_bytes(bytes(SIZE // 2))
    assert file.read_bytes() == bytes(SIZE // 2)


def test_files_stay_when_it_is_unmounted(folder: Path, disk: SmallDisk) -> None:
    (folder / "file").write_bytes(b"kept")
    disk.unmount()
    assert not folder.is_mount()
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_disk_that_cannot_be_mounted_is_an_error(folder: Path) -> None:
    with pytest.raises(MountError):
        SmallDisk(folder, -1)
