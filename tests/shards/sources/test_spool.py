"""The spool: what was answered is read again, whatever fails, dies or is damaged."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.durable import sync_folder
from shards.sources import spool as module


class Spool(module.Spool):
    """One that is closed after its test."""

    def __init__(self, folder: Path, above: int = 0) -> None:
        super().__init__(folder, above)
        _opened.append(self)


_opened: list[Spool] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    close_all()


def close_all() -> None:
    """Close the spools that are open, as the end of a process does."""
    while _opened:
        _opened.pop().close()


def events(first: int, number: int) -> list[bytes]:
    return [b'{"n":%d}' % position for position in range(first, first + number)]


def stored(spool: Spool, after: int = 0) -> list[tuple[int, int, bytes]]:
    """Position, time and event of each event after a position."""
    return [
        (record.first + index, record.now, event)
        for record in spool.read(after)
        for index, event in enumerate(record.events)
    ]


def fill(spool: Spool, *sizes: int) -> None:
    """Append batches; the time is ten times the first position."""
    for size in sizes:
        first = spool.last + 1
        spool.append([(10 * first, events(first, size))])


def expected(first: int, last: int, starts: list[int]) -> list[tuple[int, int, bytes]]:
    """What is stored from `first` to `last` if batches began at these positions."""
    begun = {n: max(start for start in starts if start <= n) for n in range(first, last + 1)}
    return [(n, 10 * begun[n], b'{"n":%d}' % n) for n in range(first, last + 1)]


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    fill(spool, 3, 1, 2)
    for after in range(7):
        assert stored(Spool(tmp_path / "spool"), after) == expected(after + 1, 6, [1, 4, 5])


def test_positions_go_on_after_a_start_and_above_those_that_were_used(tmp_path: Path) -> None:
    fill(Spool(tmp_path), 3)
    spool = Spool(tmp_path)
    assert spool.last == 3
    fill(spool, 1)
    assert Spool(tmp_path).last == 4
    later = Spool(tmp_path, above=10)
    fill(later, 1)
    assert [n for n, *_ in stored(later, 10)] == [11]
    assert later.missing == 0


def test_the_events_of_a_spool_that_is_gone_are_missing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, above=10)
    assert stored(spool, 4) == []
    assert spool.missing == 6


def test_segments_are_bounded_and_go_when_nothing_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 100)
    spool = Spool(tmp_path)
    fill(spool, *[5] * 20)
    assert len(list(tmp_path.iterdir())) == 10
    spool.forget(50)
    assert len(list(tmp_path.iterdir())) == 5
    assert [n for n, *_ in stored(spool, 50)] == list(range(51, 101))
    spool.forget(1000)
    assert len(list(tmp_path.iterdir())) == 1
    assert Spool(tmp_path).last == 100


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_torn_end_is_not_read_and_its_positions_are_used_again(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path)
    fill(spool, 2)
    [path] = tmp_path.iterdir()
    whole = path.stat().st_size
    fill(spool, 3)
    os.truncate(path, min(whole + cut, path.stat().st_size - 1))
    again = Spool(tmp_path)
    assert again.last == 2
    fill(again, 2)
    assert stored(Spool(tmp_path)) == expected(1, 4, [1, 3])
    assert again.missing == 0


def test_damage_in_the_middle_costs_its_record_alone_and_is_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool, 2, 3, 4)
    [path] = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[data.index(b'{"n":4}')] ^= 1
    path.write_bytes(data)
    again = Spool(tmp_path)
    assert stored(again) == expected(1, 2, [1]) + expected(6, 9, [6])
    assert again.missing == 3


def test_what_is_missing_is_counted_once_over_several_readings(tmp_path: Path) -> None:
    fill(Spool(tmp_path), 2, 3, 4)
    [path] = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[data.index(b'{"n":4}')] ^= 1
    path.write_bytes(data)
    for counted, missing in ((0, 3), (3, 2), (5, 0), (9, 0)):
        again = Spool(tmp_path)
        assert len(list(again.read(0, counted))) == 2
        assert again.missing == missing
    gone = Spool(tmp_path / "gone", above=10)
    assert list(gone.read(4, 7)) == []
    assert gone.missing == 3


def test_an_absurd_length_and_other_files_are_no_obstacle(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool, 1)
    [path] = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b"\xff\xfeDS\xff\xff\xff\xff12345678rest")
    (tmp_path / "notes.txt").write_text("not a segment")
    (tmp_path / "12.spool").write_text("not one either")
    (tmp_path / ("0" * 20 + ".spool")).write_bytes(b"short")
    again = Spool(tmp_path)
    fill(again, 1)
    assert stored(again) == expected(1, 2, [1, 2])


def test_an_event_cannot_pretend_to_be_a_record(tmp_path: Path) -> None:
    """It does not know the number that the checksums of a segment begin with."""
    other = Spool(tmp_path / "other")
    other.append([(1, [b"forged"] * 5)])
    [path] = (tmp_path / "other").iterdir()
    forged = path.read_bytes()[16:]
    spool = Spool(tmp_path / "spool")
    spool.append([(10, [forged, b"x" * 100])])
    [path] = (tmp_path / "spool").iterdir()
    os.truncate(path, path.stat().st_size - 50)
    assert stored(Spool(tmp_path / "spool")) == []


def test_a_full_disk_accepts_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    fill(spool, 2)
    write, room = module._write, [20]

    def write_some(descriptor: int, data: bytes) -> None:
        write(descriptor, data[: room[0]])
        if len(data) > room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write", write_some)
    with pytest.raises(OSError, match="No space left") as caught:
        fill(spool, 3)
    assert caught.value.filename == str(tmp_path)
    assert stored(Spool(tmp_path)) == expected(1, 2, [1])
    room[0] = 1 << 20
    fill(spool, 3)
    assert stored(Spool(tmp_path)) == expected(1, 5, [1, 3])


def test_a_write_that_cannot_be_undone_is_void(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be there as a whole, but its sender was told that it is not."""
    spool = Spool(tmp_path)
    fill(spool, 2)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        patch.setattr(os, "ftruncate", fail)
        with pytest.raises(OSError, match="Input/output"):
            spool.append([(7, [b"refused"] * 3)])
    fill(spool, 1)
    assert stored(Spool(tmp_path)) == expected(1, 3, [1, 3])


class _Crash(BaseException):
    """The machine fails."""


class _Disk:
    """Forgets at a crash what was not synced: ends of files, and files of an unsynced folder.

    `dies_at`: the number of the step before which it crashes.
    """

    def __init__(self, folder: Path, dies_at: int, random: Random) -> None:
        self._folder = folder
        self._dies_at = dies_at
        self._random = random
        self._steps = 0
        self._durable: dict[int, int] = {}
        """Bytes by inode."""
        self._listed: set[str] = set()
        self._real = module._write, os.fdatasync, sync_folder

    def _step(self) -> None:
        self._steps += 1
        if self._steps == self._dies_at:
            raise _Crash

    def write(self, descriptor: int, data: bytes) -> None:
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            self._step()
            self._real[0](descriptor, part)
        self._step()

    def sync(self, descriptor: int) -> None:
        self._step()
        self._real[1](descriptor)
        status = os.fstat(descriptor)
        self._durable[status.st_ino] = status.st_size
        self._step()

    def sync_folder(self, folder: Path) -> None:
        self._step()
        self._real[2](folder)
        if folder == self._folder:
            self._listed = {path.name for path in folder.iterdir()}
        self._step()

    def crash(self) -> None:
        """Each file keeps what was synced, and perhaps a part of the rest."""
        for path in self._folder.iterdir():
            if path.name not in self._listed and self._random.random() < 0.5:
                path.unlink()
                continue
            status = path.stat()
            durable = self._durable.get(status.st_ino, 0)
            os.truncate(path, self._random.randint(durable, status.st_size))


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=8), seed=st.integers(0, 1 << 32))
@settings(max_examples=25)
def test_after_a_crash_at_any_step_all_that_was_answered_is_there(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int
) -> None:
    random = Random(seed)
    for dies_at in range(1, 6 * len(sizes) + 20):
        folder = tmp_path_factory.mktemp("crash") / "spool"
        folder.mkdir()
        answered = _crash_once(folder, sizes, dies_at, random)
        again = Spool(folder)
        found = stored(again)
        assert [n for n, *_ in found] == list(range(1, len(found) + 1))
        assert [event for _, _, event in found[: len(answered)]] == answered
        fill(again, 2)
        assert len(stored(Spool(folder))) == len(found) + 2
        close_all()


def _crash_once(folder: Path, sizes: list[int], dies_at: int, random: Random) -> list[bytes]:
    """Append, and crash at a step; returns the events whose append has returned."""
    disk, answered = _Disk(folder, dies_at, random), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_write", disk.write)
        patch.setattr(os, "fdatasync", disk.sync)
        patch.setattr(module, "sync_folder", disk.sync_folder)
        patch.setattr(module, "SEGMENT_BYTES", 100)
        try:
            spool = Spool(folder)
            for size in sizes:
                new = events(spool.last + 1, size)
                spool.append([(1, new)])
                answered += new
        except _Crash:
            close_all()
            disk.crash()
    return answered
