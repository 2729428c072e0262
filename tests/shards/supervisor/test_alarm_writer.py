"""The alarm writer: order, whole lines, and retries while the disk is full."""

import asyncio
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from shards.alarm_files import AlarmFiles
from shards.ipc.messages import WorkerReport
from shards.supervisor import alarm_writer
from shards.supervisor.alarm_writer import AlarmWriter
from tests.support.reports import worker_report

FULL = OSError(errno.ENOSPC, "No space left on device", "logs/siem_alarms.json")


class Files(AlarmFiles):
    """Alarm files of which a script says what comes of each flush; they keep what was flushed."""

    def __init__(self, *script: OSError | None) -> None:
        self._script = list(script)
        self._waiting = b""
        self.flushed = b""
        self.on_flush: Callable[[int], None] = lambda flushes: None
        self.flushes = 0
        self.rotation: OSError | None = None
        self.is_closed = False
        self.sync_script: list[OSError | None] = []
        self.on_sync: Callable[[], None] = lambda: None
        self.syncs = 0

    async def sync(self) -> None:
        self.syncs += 1
        self.on_sync()
        if self.sync_script and (error := self.sync_script.pop(0)):
            raise error

    @property
    def unwritten(self) -> int:
        return len(self._waiting)

    def add(self, alarm_events: bytes, alarms: bytes) -> None:
        self._waiting += alarm_events + alarms

    def flush(self) -> None:
        self.flushes += 1
        self.on_flush(self.flushes)
        if self._script and (error := self._script.pop(0)):
            raise error
        self.flushed += self._waiting
        self._waiting = b""

    def reopen_if_renamed(self) -> None:
        if self.rotation:
            raise self.rotation

    def close(self) -> None:
        self.is_closed = True
        self.flush()


def report(alarm_events: bytes, alarms: bytes = b"") -> WorkerReport:
    return worker_report(alarm_events=alarm_events, alarms=alarms)


def write(out: AlarmWriter, *reports: WorkerReport) -> None:
    """Write reports at the same time, as the collectors of several workers do."""

    async def run() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for one in reports:
                group.create_task(out.write(one))

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_writer, "RETRY_SECONDS", 0)


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Level and text of all that is logged."""
    lines: list[str] = []

    def keep(message: Any) -> None:
        lines.append(f"{message.record['level'].name} {message.record['message']}")

    handler = logger.add(keep)
    yield lines
    logger.remove(handler)


def test_lines_are_written_before_write_returns(log: list[str]) -> None:
    files = Files()
    write(AlarmWriter(files), report(b"e1\n", b"a1\n"), report(b"e2\n"))
    assert files.flushed == b"e1\na1\ne2\n"
    assert log == []


def test_a_full_disk_is_tried_again_until_there_is_room(log: list[str]) -> None:
    files = Files(FULL, FULL, FULL)
    out = AlarmWriter(files)
    troubles: list[str] = []
    files.on_flush = lambda _: troubles.append(out.trouble)
    write(out, report(b"e1\n"))
    trouble = "logs/siem_alarms.json: No space left on device"
    assert troubles == ["", trouble, trouble, trouble]
    assert (files.flushed, out.trouble) == (b"e1\n", "")
    assert log == [
        f"ERROR alarms cannot be written, workers wait: {trouble}",
        "INFO alarms are written again",
    ]


def test_a_different_error_is_logged_too(log: list[str]) -> None:
    files = Files(FULL, OSError(errno.EIO, "Input/output error", "x"))
    write(AlarmWriter(files), report(b"e1\n"))
    assert [line.rpartition(": ")[2] for line in log] == [
        "No space left on device",
        "Input/output error",
        "INFO alarms are written again",
    ]


def test_what_several_workers_say_while_the_disk_is_full_keeps_its_order() -> None:
    files = Files(*[FULL] * 7)
    write(AlarmWriter(files), report(b"e1\n"), report(b"e2\n"), report(b"e3\n"))
    assert files.flushed == b"e1\ne2\ne3\n"


def test_after_giving_up_nothing_waits_and_the_lost_bytes_are_logged(log: list[str]) -> None:
    files = Files(*[FULL] * 100)
    out = AlarmWriter(files)
    files.on_flush = lambda flushes: out.give_up() if flushes == 3 else None
    write(out, report(b"e1\n"))
    write(out, report(b"e2\n"))
    out.close()
    assert files.is_closed
    assert files.flushed == b""
    assert log[-1] == (
        "ERROR 6 bytes of alarm lines are lost: logs/siem_alarms.json: No space left on device"
    )


def test_what_can_be_written_at_the_end_is(log: list[str]) -> None:
    files = Files(FULL, FULL)
    out = AlarmWriter(files)
    out.give_up()
    write(out, report(b"e1\n"))
    write(out, report(b"e2\n"))
    assert files.flushed == b""
    out.close()
    assert files.flushed == b"e1\ne2\n"
    assert "lost" not in "".join(log)


def test_a_failed_rotation_is_logged_and_raises_nothing(log: list[str]) -> None:
    files = Files()
    files.rotation = OSError(errno.EACCES, "Permission denied", "logs/siem_alarms.json")
    out = AlarmWriter(files)
    for _ in range(3):
        out.reopen_if_renamed()
    assert out.trouble == "logs/siem_alarms.json: Permission denied"
    assert len(log) == 1
    files.rotation = None
    out.reopen_if_renamed()
    write(out, report(b"e1\n"))
    assert out.trouble == ""


def test_a_rotation_that_fails_repeatedly_is_logged_once(
    log: list[str],
) -> None:
    """Lines go on into the old files meanwhile: nobody waits, and nothing is over."""
    files = Files()
    files.rotation = FileNotFoundError(errno.ENOENT, "No such file or directory", "logs/x.json")
    out = AlarmWriter(files)
    for _ in range(3):
        out.reopen_if_renamed()
        write(out, report(b"e1\n"))
        assert "No such file" in out.trouble
    assert len(log) == 1
    assert "wait" not in log[0]
    files.rotation = None
    out.reopen_if_renamed()
    write(out, report(b"e1\n"))
    assert out.trouble == ""


def test_it_writes_into_real_files(tmp_path: Path) -> None:
    out = AlarmWriter(AlarmFiles(tmp_path))
    write(out, report(b'{"e":1}\n', b'{"a":1}\n'), report(b'{"e":2}\n'))
    out.close()
    assert (tmp_path / "siem_alarm_events.json").read_bytes() == b'{"e":1}\n{"e":2}\n'
    assert (tmp_path / "siem_alarms.json").read_bytes() == b'{"a":1}\n'


def sync(out: AlarmWriter) -> bool:
    async def run() -> bool:
        async with asyncio.timeout(10):
            return await out.sync()

    return asyncio.run(run())


def test_a_sync_that_fails_is_tried_again_and_logged_once_while_lines_are_written(
    log: list[str],
) -> None:
    """Lines of other workers that can be written meanwhile do not end the trouble."""
    files = Files()
    error = OSError(errno.EIO, "Input/output error", "logs/siem_alarms.json")
    files.sync_script = [error] * 3
    out = AlarmWriter(files)
    troubles: list[str] = []

    def write_meanwhile() -> None:
        out._flush()
        troubles.append(out.trouble)

    files.on_sync = write_meanwhile
    assert sync(out)
    trouble = "logs/siem_alarms.json: Input/output error"
    assert troubles == ["", trouble, trouble, trouble]
    assert (files.syncs, out.errors, out.trouble) == (4, 3, "")
    assert log == [
        f"ERROR alarms cannot be written, workers wait: {trouble}",
        "INFO alarms are written again",
    ]


def test_after_giving_up_nothing_is_on_the_disk() -> None:
    files = Files()
    files.sync_script = [FULL] * 100
    out = AlarmWriter(files)
    files.on_sync = lambda: out.give_up() if files.syncs == 3 else None
    assert not sync(out)
    assert files.syncs == 3
