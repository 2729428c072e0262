"""The alarm files on a full disk or without a folder: whole lines, each of them once."""

import errno
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from shards.alarm_files import ALARM_EVENTS, ALARMS, AlarmFiles
from tests.support.disk import no_file_longer_than

LINES = [json.dumps({"line": n, "text": "x" * (n % 13)}).encode() + b"\n" for n in range(12)]
ENDS = [sum(map(len, LINES[:n])) for n in range(len(LINES) + 1)]


@pytest.fixture(autouse=True)
def _deadline() -> Iterator[None]:
    """Whatever tries again and again without a pause fails here, and does not hang."""

    def too_long(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler
        pytest.fail("it tries for ever")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(2)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@contextmanager
def opened(folder: Path) -> Iterator[AlarmFiles]:
    files = AlarmFiles(folder)
    try:
        yield files
    finally:
        files.close()


def flush_until_full(files: AlarmFiles, most: int) -> OSError:
    with no_file_longer_than(most), pytest.raises(OSError, match=r"too large|No space") as caught:
        files.flush()
    return caught.value


@pytest.mark.parametrize("end", range(1, len(LINES)))
@pytest.mark.parametrize("beyond", [0, 1, 7, -1])
def test_what_fits_is_there_whole_and_the_rest_once_there_is_room(
    end: int, beyond: int, tmp_path: Path
) -> None:
    most = ENDS[end] + beyond
    whole = sum(e <= most for e in ENDS) - 1
    path = tmp_path / ALARM_EVENTS
    with opened(tmp_path) as files:
        files.add(b"".join(LINES), b"")
        for _ in range(3):  # trying again changes nothing
            error = flush_until_full(files, most)
            assert error.filename == str(path)
            assert error.errno in (errno.EFBIG, errno.ENOSPC)
            assert path.read_bytes() == b"".join(LINES[:whole])
        assert files.unwritten == ENDS[-1] - ENDS[whole]
        files.flush()
        assert path.read_bytes() == b"".join(LINES)
        assert files.unwritten == 0


def test_a_line_for_which_there_is_no_room_at_all(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        files.add(LINES[0], LINES[1])
        flush_until_full(files, 5)
        assert (tmp_path / ALARM_EVENTS).read_bytes() == b""
        files.flush()
    assert (tmp_path / ALARM_EVENTS).read_bytes() == LINES[0]
    assert (tmp_path / ALARMS).read_bytes() == LINES[1]


def test_room_comes_back_little_by_little(tmp_path: Path) -> None:
    path = tmp_path / ALARM_EVENTS
    with opened(tmp_path) as files:
        files.add(b"".join(LINES), b"")
        for most in range(0, ENDS[-1], 3):
            flush_until_full(files, most)
            assert path.read_bytes() == b"".join(LINES[: sum(e <= most for e in ENDS) - 1])
        files.flush()
    assert path.read_bytes() == b"".join(LINES)


def test_where_others_write_too_nothing_is_cut_off_but_a_torn_line_is_ended(
    tmp_path: Path,
) -> None:
    """Who is not alone may not shorten the file: what another writes there would go too."""
    path = tmp_path / ALARM_EVENTS
    theirs = b'{"whose":"theirs"}\n'
    with opened(tmp_path) as other, opened(tmp_path) as files:
        files.add(b"".join(LINES), b"")
        flush_until_full(files, ENDS[4] + 5)
        assert path.stat().st_size == ENDS[4] + 5
        files.flush()
        other.add(theirs, b"")
        other.flush()
    torn = LINES[4][:5] + b"\n"
    assert path.read_bytes() == b"".join([*LINES[:4], torn, *LINES[4:], theirs])


def test_an_end_for_a_torn_line_that_finds_no_room_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / ALARM_EVENTS
    with opened(tmp_path), opened(tmp_path) as files:
        files.add(LINES[0], b"")
        for _ in range(3):
            error = flush_until_full(files, 5)
            assert error.filename == str(path)
        files.flush()
    assert path.read_bytes() == LINES[0][:5] + b"\n" + LINES[0]


def test_a_torn_line_of_the_old_file_leaves_no_trace_in_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / ALARM_EVENTS
    with opened(tmp_path), opened(tmp_path) as files:
        files.add(LINES[0], b"")
        flush_until_full(files, 5)
        path.rename(tmp_path / "rotated")
        files.reopen_if_renamed()
        files.flush()
    assert path.read_bytes() == LINES[0]


def test_a_torn_line_in_a_shared_folder_is_ended_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / ALARM_EVENTS
    with opened(tmp_path):
        path.write_bytes(LINES[0] + b'{"line":')
        with opened(tmp_path) as second:
            second.add(LINES[1], b"")
            second.flush()
    assert path.read_bytes() == LINES[0] + b'{"line":\n' + LINES[1]


# Rotation.


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_after_a_rotation_it_goes_on_in_a_new_file(how: str, tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        for number, name in enumerate((ALARM_EVENTS, ALARMS)):
            files.add(LINES[0], LINES[0])
            files.flush()
            if how == "renamed":
                (tmp_path / name).rename(tmp_path / f"{number}")
            else:
                (tmp_path / name).unlink()
            files.reopen_if_renamed()
            files.add(LINES[1], LINES[1])
            files.flush()
    assert (tmp_path / ALARM_EVENTS).read_bytes() == b"".join(LINES[i] for i in (1, 0, 1))
    assert (tmp_path / ALARMS).read_bytes() == LINES[1]


def test_without_a_rotation_nothing_is_reopened_and_nothing_leaks(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        before = os.listdir("/proc/self/fd")  # noqa: PTH208 - only their number counts
        for number in range(20):
            files.reopen_if_renamed()
            if number % 2:
                (tmp_path / ALARMS).rename(tmp_path / f"{number}")
                (tmp_path / ALARM_EVENTS).unlink()
        files.reopen_if_renamed()
        assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208


def test_while_the_folder_is_gone_the_old_files_stay_open(tmp_path: Path) -> None:
    folder, away = tmp_path / "logs", tmp_path / "away"
    with opened(folder) as files:
        folder.rename(away)
        with pytest.raises(FileNotFoundError) as caught:
            files.reopen_if_renamed()
        assert str(caught.value.filename).startswith(str(folder))
        files.add(LINES[0], LINES[0])
        files.flush()
        assert (away / ALARMS).read_bytes() == LINES[0]
        folder.mkdir()
        files.reopen_if_renamed()
        files.add(LINES[1], LINES[1])
        files.flush()
    assert (folder / ALARMS).read_bytes() == (folder / ALARM_EVENTS).read_bytes() == LINES[1]


def test_a_file_that_cannot_be_opened_anew_is_no_reason_to_keep_the_other(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        for name in (ALARMS, ALARM_EVENTS):
            (tmp_path / name).rename(tmp_path / f"old {name}")
        (tmp_path / ALARM_EVENTS).mkdir()  # the one that is opened first
        with pytest.raises(IsADirectoryError):
            files.reopen_if_renamed()
        files.add(LINES[0], LINES[1])
        files.flush()
    assert (tmp_path / f"old {ALARM_EVENTS}").read_bytes() == LINES[0]
    assert (tmp_path / ALARMS).read_bytes() == LINES[1]


# Locks.


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO])
def test_rotations_that_cannot_be_locked_leave_no_descriptors_and_the_old_files(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Growth: a rotation is tried again every second, for as long as it fails."""

    def flock(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    with opened(tmp_path) as files:
        for name in (ALARMS, ALARM_EVENTS):
            (tmp_path / name).rename(tmp_path / f"old {name}")
        before = open_descriptors()
        with monkeypatch.context() as patched:
            patched.setattr(fcntl, "flock", flock)
            for _ in range(2000):
                with pytest.raises(OSError, match=os.strerror(number)) as caught:
                    files.reopen_if_renamed()
        assert open_descriptors() == before
        assert caught.value.filename == str(tmp_path / ALARM_EVENTS)
        files.add(LINES[0], LINES[0])
        files.flush()
        assert (tmp_path / f"old {ALARMS}").read_bytes() == LINES[0]
        files.reopen_if_renamed()
        files.add(LINES[1], LINES[1])
    assert (tmp_path / ALARMS).read_bytes() == LINES[1]
    assert open_descriptors() == before - 2


def test_a_torn_line_that_cannot_be_read_names_the_file_and_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pread(*_: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / ALARMS).write_bytes(b"{")
    before = open_descriptors()
    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(OSError, match="Input/output error") as caught:
        AlarmFiles(tmp_path)
    assert caught.value.filename == str(tmp_path / ALARMS)
    assert open_descriptors() == before


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="files cannot be locked there") as caught:
        AlarmFiles(tmp_path)
    assert caught.value.filename == str(tmp_path / ALARMS)


# Modes.


def test_new_files_are_not_readable_by_all_and_others_keep_their_modes(tmp_path: Path) -> None:
    (tmp_path / ALARMS).touch()
    (tmp_path / ALARMS).chmod(0o604)
    with opened(tmp_path):
        modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in (ALARMS, ALARM_EVENTS)}
    assert modes == {ALARMS: 0o604, ALARM_EVENTS: 0o640}
