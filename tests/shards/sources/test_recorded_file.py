"""Recorded files: what can be opened, how far they are read, and in which order they are."""

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from shards.errors import PathError
from shards.sources.recorded_event import RecordedEvent
from shards.sources.recorded_file import RecordedFile
from tests.support.recordings import as_json, seconds_of
from tests.support.zstandard import zstd


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.ndjson"


def read(path: Path) -> list[RecordedEvent]:
    return list(RecordedFile(str(path)).events())


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress])
@pytest.mark.parametrize("form", [b"%s\n%s\n", b"%s%s", b"[%s,%s]", b"\xef\xbb\xbf%s\r\n%s"])
def test_the_events_of_a_file_in_every_form(
    form: bytes, compress: Callable[[bytes], bytes], file: Path
) -> None:
    file.write_bytes(compress(form % (as_json(1), as_json(2))))
    assert seconds_of(read(file)) == [1, 2]


def test_invalid_events_are_given_with_their_places(file: Path) -> None:
    file.write_bytes(as_json(1) + b"\nbroken\n" + as_json(2) + b"{}")
    events = read(file)
    assert [event.key is not None for event in events] == [True, False, True, False]
    place = f"{file}, line 3, column {len(as_json(2)) + 1}"
    assert [events[1].place, events[3].place] == [f"{file}, line 2", place]


@pytest.mark.parametrize("name", ["none", "", ".", "none/none"])
def test_a_file_that_cannot_be_opened_is_an_error_at_once(name: str, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="cannot be read"):
        RecordedFile(str(tmp_path / name))


def test_a_file_that_is_gone_when_it_is_read_is_an_error(file: Path) -> None:
    file.touch()
    recorded_file = RecordedFile(str(file))
    file.unlink()
    with pytest.raises(PathError, match="cannot be read to its end"):
        next(recorded_file.events())


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_file_gives_its_events_and_then_an_error(
    kept: float, compress: Callable[[bytes], bytes], file: Path
) -> None:
    noise = Random(1)
    expected = [b'{"%s": %d}' % (noise.randbytes(50).hex().encode(), n) for n in range(20_000)]
    packed = compress(b"\n".join(expected))
    file.write_bytes(packed[: int(len(packed) * kept)])
    found: list[bytes] = []

    def read_all() -> None:
        for event in RecordedFile(str(file)).events():
            found.append(event.raw)  # noqa: PERF401 - extend keeps nothing when it fails

    with pytest.raises(PathError, match=r"events\.ndjson cannot be read to its end"):
        read_all()
    assert found == expected[: len(found)]
    assert 0 < len(found) < 20_000


def test_size_and_position_are_of_what_is_stored(file: Path) -> None:
    file.write_bytes(gzip.compress(b"line\n" * 10_000))
    recorded_file = RecordedFile(str(file))
    assert recorded_file.size == file.stat().st_size
    assert recorded_file.position == 0
    events = recorded_file.events()
    next(events)
    assert 0 < recorded_file.position <= recorded_file.size
    assert sum(1 for _ in events) == 9_999
    assert recorded_file.position == recorded_file.size


def test_a_pipe_is_read_once_and_has_no_size(file: Path) -> None:
    os.mkfifo(file)
    recorded_file = RecordedFile(str(file))
    assert (recorded_file.is_stream, recorded_file.size) == (True, 0)
    writer = threading.Thread(target=file.write_bytes, args=(zstd.compress(as_json(4)),))
    writer.start()
    assert seconds_of(recorded_file.events()) == [4]
    assert recorded_file.position == 0
    writer.join()


@pytest.mark.parametrize(
    ("seconds", "is_newest_first"),
    [
        ([], False),
        ([1], False),
        ([1, 1, 1], False),
        ([1, 2, 3, 2, 4], False),
        ([3, 2, None, 1], True),
        ([9, 8, 8, 7, 8, 6, 5], True),
        ([1, 5, 2, 6, 3, 7], False),
    ],
)
def test_a_file_with_the_newest_events_first_is_noticed(
    seconds: list[float | None], is_newest_first: bool, file: Path
) -> None:
    file.write_bytes(b"\n".join(map(as_json, seconds)))
    recorded_file = RecordedFile(str(file))
    for _ in recorded_file.events():
        pass
    assert recorded_file.is_newest_first is is_newest_first
