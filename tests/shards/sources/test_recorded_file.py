"""Reading recorded events: lines of any length and form, from files and gzip files."""

import gzip
from contextlib import closing
from pathlib import Path

import pytest

from engine.event import MAX_EVENT_BYTES
from shards.errors import PathError
from shards.sources.recorded_file import RecordedFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.ndjson"


def lines(path: Path) -> list[bytes]:
    with closing(RecordedFile(str(path))) as recording:
        return list(recording.lines())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"\n\na\n\n \n\t\r\n\nb\n\n", [b"a", b"b"]),
        (b" a \n", [b" a "]),
        (b"\xff\x00\x1b\n", [b"\xff\x00\x1b"]),
        (b"a\x0bb\x0cc\x85d\xe2\x80\xa8e\rf\n", [b"a\x0bb\x0cc\x85d\xe2\x80\xa8e\rf"]),
    ],
)
def test_lines_end_with_a_line_feed_and_blank_ones_are_none(
    content: bytes, expected: list[bytes], file: Path
) -> None:
    file.write_bytes(content)
    assert lines(file) == expected
    file.write_bytes(gzip.compress(content))
    assert lines(file) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_longest_event_is_read_whole(end: bytes, file: Path) -> None:
    longest = b"x" * MAX_EVENT_BYTES
    file.write_bytes(longest + end)
    assert lines(file) == [longest]


@pytest.mark.parametrize("more", [1, 2, 3, 4, MAX_EVENT_BYTES, 3 * MAX_EVENT_BYTES])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_that_is_too_long_is_one_line_too_long_and_the_next_is_whole(
    more: int, end: bytes, file: Path
) -> None:
    file.write_bytes(b"a" + end + b"x" * (MAX_EVENT_BYTES + more) + end + b"b" + end)
    before, long, after = lines(file)
    assert (before, after) == (b"a", b"b")
    assert MAX_EVENT_BYTES < len(long) < MAX_EVENT_BYTES + 4


def test_a_long_line_does_not_count_as_blank_for_how_it_begins(file: Path) -> None:
    file.write_bytes(b" " * (MAX_EVENT_BYTES + 10) + b"{}\n")
    assert len(lines(file)) == 1


def test_gzip_is_known_by_its_content_and_may_have_several_members(file: Path) -> None:
    file.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n"))
    assert lines(file) == [b"a", b"bc", b"d"]


@pytest.mark.parametrize("name", ["none", "", ".", "none/none"])
def test_a_file_that_cannot_be_opened_is_an_error_at_once(name: str, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="cannot be read"):
        RecordedFile(str(tmp_path / name))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_gzip_file_gives_its_events_and_then_an_error(kept: float, file: Path) -> None:
    expected = [b"line %d" % number for number in range(200_000)]
    packed = gzip.compress(b"\n".join(expected))
    file.write_bytes(packed[: int(len(packed) * kept)])
    found: list[bytes] = []

    def read() -> None:
        with closing(RecordedFile(str(file))) as recording:
            for line in recording.lines():
                found.append(line)  # noqa: PERF402 - extend keeps nothing when it fails

    with pytest.raises(PathError, match=r"events\.ndjson cannot be read to its end"):
        read()
    assert found == expected[: len(found)]
    assert kept * 150_000 < len(found) < 200_000


def test_a_damaged_gzip_file_is_an_error(file: Path) -> None:
    packed = bytearray(gzip.compress(b"line\n" * 1000))
    packed[len(packed) // 2] ^= 0xFF
    for content in (bytes(packed), gzip.compress(b"a\n") + b"junk", b"\x1f\x8b", b"\x1f\x8bxxx"):
        file.write_bytes(content)
        with pytest.raises(PathError, match="cannot be read to its end"):
            lines(file)


def test_size_and_position_are_of_what_is_stored(file: Path) -> None:
    file.write_bytes(gzip.compress(b"line\n" * 100_000))
    with closing(RecordedFile(str(file))) as recording:
        assert recording.size == file.stat().st_size
        assert recording.position() == 0
        assert sum(1 for _ in recording.lines()) == 100_000
        assert recording.position() == recording.size
