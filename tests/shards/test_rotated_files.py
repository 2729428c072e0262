"""Lines that were appended since a position are found again, however the file was rotated."""

import os
import shutil
import time
from pathlib import Path

import pytest

from shards import rotated_files
from shards.file_position import FilePosition, decode_positions, position_at
from shards.rotated_files import AppendedLines

NAME = "siem_alarms.json"


def append(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)


class World:
    """An alarm file, with a position in it."""

    def __init__(self, folder: Path, *before: bytes) -> None:
        self.path = folder / NAME
        append(self.path, *before)
        age = time.time() - 60
        for old in (self.path.with_name(f"{NAME}.7"), self.path):
            old.touch()
            os.utime(old, (age, age))
        self.at_ns = time.time_ns()
        with self.path.open("rb") as file:
            self.since = position_at(file.fileno(), self.path.stat().st_size)

    def rotate(self, name: str = f"{NAME}.1") -> Path:
        """Rename the file, and begin a new one."""
        target = self.path.with_name(name)
        if target.exists():
            target.rename(target.with_name(f"{NAME}.2"))
        self.path.rename(target)
        self.path.touch()
        return target

    def copy_and_truncate(self) -> Path:
        target = self.path.with_name(f"{NAME}.1")
        shutil.copyfile(self.path, target)
        os.truncate(self.path, 0)
        return target

    def read(self) -> tuple[list[bytes], str]:
        lines = AppendedLines(self.path, self.since, self.at_ns)
        return sorted(lines), lines.why


@pytest.fixture
def world(tmp_path: Path) -> World:
    append(tmp_path / f"{NAME}.7", b"much earlier")
    return World(tmp_path, b"before", b"before 2")


def test_without_rotation_the_lines_after_the_position_are_read(world: World) -> None:
    assert world.read() == ([], "")
    append(world.path, b"a", b"b", b"a")
    assert world.read() == ([b"a", b"a", b"b"], "")


def test_lines_are_found_after_two_rotations(world: World) -> None:
    append(world.path, b"a")
    world.rotate()
    append(world.path, b"b")
    world.rotate()
    append(world.path, b"c")
    assert world.read() == ([b"a", b"b", b"c"], "")


def test_a_renamed_file_is_found_by_its_inode_under_any_name(world: World) -> None:
    append(world.path, b"a")
    world.rotate("old-alarms")
    append(world.path, b"b")
    assert world.read() == ([b"a", b"b"], "")


def test_of_a_file_that_was_copied_and_truncated_the_copy_is_read_too(world: World) -> None:
    append(world.path, b"a")
    world.copy_and_truncate()
    append(world.path, b"b")
    assert world.read() == ([b"a", b"b"], "")


def test_a_truncated_file_that_has_grown_beyond_the_position_is_read_whole(world: World) -> None:
    copy = world.copy_and_truncate()
    append(world.path, b"b" * 100, b"c" * 100)
    assert world.read() == ([b"b" * 100, b"c" * 100], "")
    copy.unlink()
    found, why = world.read()
    assert found == [b"b" * 100, b"c" * 100]
    assert "gone" in why


def test_a_copy_that_somebody_made_is_not_read_twice(world: World) -> None:
    append(world.path, b"a")
    shutil.copyfile(world.path, world.path.with_name(f"{NAME}.backup"))
    assert world.read() == ([b"a"], "")


def test_another_file_that_has_got_the_inode_is_read_whole(world: World) -> None:
    world.since = FilePosition(world.since.inode, 3, world.since.tail)
    assert world.read()[0] == [b"before", b"before 2"]


@pytest.mark.parametrize("how", ["removed", "compressed"])
@pytest.mark.parametrize("before", [(b"before",), ()], ids=["with lines", "empty"])
def test_a_file_that_is_gone_is_reported(
    how: str, before: tuple[bytes, ...], tmp_path: Path
) -> None:
    world = World(tmp_path, *before)
    append(world.path, b"a")
    old = world.rotate()
    if how == "removed":
        held = old.open("rb")  # so that no other file gets its inode
        old.unlink()
    else:
        held = old.open("rb")
        old.rename(old.with_name(f"{NAME}.1.gz"))
    with held:
        append(world.path, b"b")
        found, why = world.read()
    assert found == [b"b"]
    assert "gone, or compressed" in why


def test_a_torn_last_line_is_left_out_and_a_complete_one_is_not(world: World) -> None:
    append(world.path, b'{"a":1}')
    with world.path.open("ab") as file:
        file.write(b'{"b":')
    assert world.read() == ([b'{"a":1}'], "")
    with world.path.open("ab") as file:
        file.write(b"2}")
    assert world.read() == ([b'{"a":1}', b'{"b":2}'], "")


def test_a_line_without_an_end_is_not_held_in_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotated_files, "MAX_LINE_BYTES", 100)
    append(world.path, b"a", b"b" * 99, b"c" * 100, b"d" * 12345, b"e")
    assert world.read() == ([b"a", b"b" * 99, b"e"], "")


def test_what_is_no_file_is_not_read(world: World) -> None:
    os.mkfifo(world.path.with_name(f"{NAME}.1"))
    world.path.with_name(f"{NAME}.2").mkdir()
    world.path.with_name(f"{NAME}.3").symlink_to("nowhere")
    append(world.path, b"a")
    assert world.read() == ([b"a"], "")


def test_a_folder_that_is_gone_is_reported(world: World) -> None:
    shutil.rmtree(world.path.parent)
    assert world.read() == ([], "No such file or directory")


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x93\x01\x93\x01\xff\x01\x93\x01\x01\x01", b"\x90"],
)
def test_what_holds_no_positions_gives_none(data: bytes) -> None:
    assert decode_positions(data) is None
