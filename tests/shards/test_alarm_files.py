"""The alarm files: whole lines, with other writers and after any earlier content."""

import asyncio
import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from loguru import logger

from engine.alarm import AlarmEvent, AlarmRecord, PublishedAlarm
from engine.correlation.outputs import Outputs
from shards.alarm_files import ALARM_EVENTS, ALARMS, AlarmFiles
from tests.support.paths import ROOT

WRITER = """
import sys
from pathlib import Path
from engine.alarm import AlarmEvent
from engine.correlation.outputs import Outputs
from shards.alarm_files import AlarmFiles
name = sys.argv[1]
files = AlarmFiles(Path(sys.argv[2]))
for number in range(3000):
    files.write(Outputs([AlarmEvent(name, number, "e" * 100)]))
    if number % 7 == 0:
        files.flush()
files.close()
"""


def alarm(alarm_id: str, risk: int = 1) -> PublishedAlarm:
    texts = ("title", "Open", "tag", "k", "c")
    record = AlarmRecord(alarm_id, *texts, 1, 2, risk, "Low", (), ("192.0.2.1",), (), ())
    return PublishedAlarm((1, "e"), record)


def outputs(*names: str) -> Outputs:
    """An event and a publish of each of these alarms."""
    return Outputs([AlarmEvent(name, 1, "e") for name in names], [alarm(name) for name in names])


@contextmanager
def opened(folder: Path) -> Iterator[AlarmFiles]:
    files = AlarmFiles(folder)
    try:
        yield files
    finally:
        files.close()


def alarm_ids(path: Path) -> list[str]:
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line)["alarm_id"] for line in content.splitlines()]


def test_lines_are_appended_in_order_to_files_and_a_folder_made_if_missing(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "logs"
    for names in (("a", "b"), ("c",)):
        with opened(folder) as files:
            assert files.paths == (folder / ALARMS, folder / ALARM_EVENTS)
            files.write(outputs(*names))
    assert alarm_ids(folder / ALARMS) == ["a", "b", "c"]
    assert alarm_ids(folder / ALARM_EVENTS) == ["a", "b", "c"]


def test_a_line_is_exactly_the_record(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        files.write(outputs("é"))
    assert (tmp_path / ALARM_EVENTS).read_bytes() == (
        '{"alarm_id":"é","stage":1,"event_id":"e"}\n'.encode()
    )
    assert (tmp_path / ALARMS).read_bytes() == (
        '{"alarm_id":"é","title":"title","status":"Open","tag":"tag","kingdom":"k","category":"c",'
        '"created_time":1,"update_time":2,"risk":1,"risk_class":"Low","rules":[],'
        '"src_ips":["192.0.2.1"],"dst_ips":[],"networks":[]}\n'
    ).encode()


def test_after_a_flush_all_lines_are_there_and_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        for number in range(5000):
            files.write(outputs(f"{number}" * 20))
            if number % 500 == 0:
                alarm_ids(tmp_path / ALARMS)
                alarm_ids(tmp_path / ALARM_EVENTS)
        files.flush()
        assert len(alarm_ids(tmp_path / ALARMS)) == 5000
        assert len(alarm_ids(tmp_path / ALARM_EVENTS)) == 5000


def test_events_are_written_before_the_alarms_that_they_led_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    write = os.write

    def noted(fd: int, data: bytes) -> int:
        written.append(bytes(data))
        return write(fd, data)

    with opened(tmp_path) as files:
        files.write(outputs("a", "b"))
        monkeypatch.setattr("os.write", noted)
        files.flush()
    events, alarms = written
    assert b'"event_id"' in events
    assert b'"title"' in alarms


def test_nothing_to_write_touches_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        files.write(Outputs())
        files.flush()
    assert (tmp_path / ALARMS).read_bytes() == (tmp_path / ALARM_EVENTS).read_bytes() == b""


@pytest.mark.parametrize(
    "torn", [b'{"alarm_id": "to', b'{"alarm_id":"\xc3', b"\0\0\0", b'{"a":1}{', b"[" * 100_000]
)
@pytest.mark.parametrize("before", [b"", b'{"alarm_id":"x"}\n'])
def test_a_torn_last_line_spoils_nothing_but_itself(
    torn: bytes, before: bytes, tmp_path: Path
) -> None:
    for name in (ALARMS, ALARM_EVENTS):
        (tmp_path / name).write_bytes(before + torn)
    with opened(tmp_path) as files:
        files.write(outputs("a"))
    for name in (ALARMS, ALARM_EVENTS):
        content = (tmp_path / name).read_bytes()
        assert content.startswith(before)
        assert content.endswith(b"\n")
        assert json.loads(content.splitlines()[-1])["alarm_id"] == "a"
        assert len(content.splitlines()) <= len(before.splitlines()) + 2


def test_a_whole_last_line_that_only_lacks_its_end_is_kept(tmp_path: Path) -> None:
    for name in (ALARMS, ALARM_EVENTS):
        (tmp_path / name).write_bytes(b'{"alarm_id":"x"}')
    with opened(tmp_path) as files:
        files.write(outputs("a"))
    assert alarm_ids(tmp_path / ALARMS) == alarm_ids(tmp_path / ALARM_EVENTS) == ["x", "a"]


def test_another_writer_may_append_meanwhile(tmp_path: Path) -> None:
    with opened(tmp_path) as files, (tmp_path / ALARMS).open("ab", buffering=0) as other:
        for number in range(100):
            files.write(outputs(f"ours {number}"))
            files.flush()
            other.write(b'{"alarm_id":"theirs %d"}\n' % number)
    assert alarm_ids(tmp_path / ALARMS) == [
        f"{whose} {number}" for number in range(100) for whose in ("ours", "theirs")
    ]


@pytest.mark.integration
def test_processes_that_write_at_once_keep_each_others_lines(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, str(tmp_path)], env=environment)
        for name in "abc"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    ids = alarm_ids(tmp_path / ALARM_EVENTS)
    assert sorted(ids) == ["a"] * 3000 + ["b"] * 3000 + ["c"] * 3000
    lines = [json.loads(line) for line in (tmp_path / ALARM_EVENTS).read_bytes().splitlines()]
    for name in "abc":
        assert [line["stage"] for line in lines if line["alarm_id"] == name] == list(range(3000))


def test_an_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / ALARMS).mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        AlarmFiles(tmp_path)
    assert str(caught.value.filename) == str(tmp_path / ALARMS)


# Syncs.


class Fsync:
    """Replaces os.fsync: notes the inodes, and fails as a script says; `hold` makes it wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inodes: list[int] = []
        self.script: list[int] = []
        self.entered = threading.Event()
        self.hold: threading.Event | None = None
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, fd: int) -> None:
        self.inodes.append(os.fstat(fd).st_ino)
        self.entered.set()
        if self.hold is not None:
            assert self.hold.wait(10)
        if self.script and (number := self.script.pop(0)):
            raise OSError(number, os.strerror(number))


@pytest.fixture
def fsync(monkeypatch: pytest.MonkeyPatch) -> Fsync:
    return Fsync(monkeypatch)


def add(files: AlarmFiles, *, alarm_events: bytes = b"", alarms: bytes = b"") -> None:
    files.add(alarm_events, alarms)
    files.flush()


def rotate(folder: Path, files: AlarmFiles, number: int = 0) -> int:
    """Rotate the alarms; returns the inode of the old file."""
    inode = (folder / ALARMS).stat().st_ino
    (folder / ALARMS).rename(folder / f"old {number}")
    files.reopen_if_renamed()
    return inode


def test_what_was_appended_is_synced_once(tmp_path: Path, fsync: Fsync) -> None:
    with opened(tmp_path) as files:
        asyncio.run(files.sync())
        assert fsync.inodes == []
        add(files, alarms=b"{}\n")
        for _ in range(2):
            asyncio.run(files.sync())
        assert fsync.inodes == [(tmp_path / ALARMS).stat().st_ino]
        add(files, alarm_events=b"{}\n")
        asyncio.run(files.sync())
        assert fsync.inodes[1:] == [(tmp_path / ALARM_EVENTS).stat().st_ino]


def test_a_sync_that_fails_names_the_file_and_is_due_again(tmp_path: Path, fsync: Fsync) -> None:
    with opened(tmp_path) as files:
        add(files, alarms=b"{}\n")
        fsync.script = [errno.EIO, errno.ENOSPC]
        for text in ("Input/output error", "No space"):
            with pytest.raises(OSError, match=text) as caught:
                asyncio.run(files.sync())
            assert caught.value.filename == str(tmp_path / ALARMS)
        asyncio.run(files.sync())
        assert len(fsync.inodes) == 3


def test_without_a_descriptor_nothing_counts_as_synced(
    tmp_path: Path, fsync: Fsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dup(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with opened(tmp_path) as files:
        add(files, alarms=b"{}\n")
        with monkeypatch.context() as patched:
            patched.setattr(os, "dup", dup)
            with pytest.raises(OSError, match="Too many open files") as caught:
                asyncio.run(files.sync())
        assert caught.value.filename == str(tmp_path / ALARMS)
        asyncio.run(files.sync())
        assert len(fsync.inodes) == 1


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EROFS, errno.ENOTSUP])
def test_where_files_cannot_be_synced_they_count_as_synced_and_that_is_logged_once(
    number: int, tmp_path: Path, fsync: Fsync
) -> None:
    records: list[str] = []
    handler = logger.add(lambda message: records.append(message.record["message"]))
    with opened(tmp_path) as files:
        for _ in range(3):
            add(files, alarms=b"{}\n")
            fsync.script = [number]
            asyncio.run(files.sync())
    logger.remove(handler)
    path = tmp_path / ALARMS
    assert records == [f"alarms may be lost if the machine fails: {path}: {os.strerror(number)}"]


def test_a_second_sync_waits_for_the_first_one(tmp_path: Path, fsync: Fsync) -> None:
    """Of two workers: the lines of both are on the disk only when it has ended."""

    async def run() -> None:
        fsync.hold = threading.Event()
        first = asyncio.create_task(files.sync())
        await asyncio.to_thread(fsync.entered.wait, 10)
        second = asyncio.create_task(files.sync())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not second.done()
        fsync.hold.set()
        await asyncio.gather(first, second)

    with opened(tmp_path) as files:
        add(files, alarms=b"{}\n")
        asyncio.run(run())
        assert len(fsync.inodes) == 1


def test_the_lines_of_a_rotated_file_are_synced_too(tmp_path: Path, fsync: Fsync) -> None:
    with opened(tmp_path) as files:
        add(files, alarms=b"{}\n")
        old = rotate(tmp_path, files)
        fsync.script = [errno.EIO]
        with pytest.raises(OSError, match="Input/output error"):
            asyncio.run(files.sync())
        add(files, alarms=b"{}\n")
        for _ in range(2):
            asyncio.run(files.sync())
        assert fsync.inodes == [old, old, (tmp_path / ALARMS).stat().st_ino]


def test_a_rotation_while_a_sync_fails_leaves_the_old_file_to_be_synced(
    tmp_path: Path, fsync: Fsync
) -> None:
    async def run() -> int:
        fsync.hold = threading.Event()
        fsync.script = [errno.EIO]
        syncing = asyncio.create_task(files.sync())
        await asyncio.to_thread(fsync.entered.wait, 10)
        old = rotate(tmp_path, files)
        fsync.hold.set()
        with pytest.raises(OSError, match="Input/output error"):
            await syncing
        await files.sync()
        return old

    with opened(tmp_path) as files:
        add(files, alarms=b"{}\n")
        old = asyncio.run(run())
        assert fsync.inodes[:2] == [old, old]


def test_rotations_that_nobody_syncs_leave_a_few_descriptors(tmp_path: Path) -> None:
    """Growth: without checkpoints no sync is asked for."""
    with opened(tmp_path) as files:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts
        for number in range(50):
            add(files, alarms=b"{}\n")
            rotate(tmp_path, files, number)
        assert len(os.listdir("/proc/self/fd")) <= before + 4  # noqa: PTH208
    assert len(os.listdir("/proc/self/fd")) == before - 2  # noqa: PTH208
