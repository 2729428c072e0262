"""Reading, writing and removing the files of saved backlogs."""

import errno
import json
import math
import os
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest

from engine.dsiem_format.saved_alarm import SavedAlarm, snapshot_from_alarm
from engine.dsiem_format.saved_document import parse_saved_alarms
from engine.options import Options
from shards.checkpoint import saved_folder
from shards.checkpoint.saved_folder import SavedFolder, WrittenFiles
from tests.support.disk import no_file_longer_than
from tests.support.saved_alarms import (
    AT_STAGE_2,
    AT_STAGE_3,
    BRUTE_FORCE,
    Json,
    changed,
    correlator_of,
    directive_of,
    take,
)
from tests.support.saved_backlogs import save_backlogs

LATER = math.inf
"""A deadline that never comes."""
ALARMS = parse_saved_alarms(json.dumps([AT_STAGE_2, AT_STAGE_3]).encode()).alarms


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backlogs"
    made.mkdir()
    return made


def write_file(folder: Path, name: str, content: object) -> Path:
    """Write a file as another program would."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Reading.


def test_files_of_dsiem_backend_are_read_and_their_backlogs_continue(folder: Path) -> None:
    """From the bytes on disk to the last alarm, which keeps its id."""
    write_file(
        folder, "5.json", [AT_STAGE_2, changed(AT_STAGE_3, rule1={"saved_event_ids": ["x1"]})]
    )
    [(directive, file)] = SavedFolder(folder).read([5]).items()
    correlator = correlator_of(BRUTE_FORCE)
    states = [
        snapshot_from_alarm(alarm, directive_of(BRUTE_FORCE), Options()) for alarm in file.alarms
    ]
    assert correlator.restore(states) == []
    assert directive == 5
    [last] = take(correlator, "e6", 3, 50).published
    assert last.alarm.alarm_id == AT_STAGE_3["alarm_id"]
    assert [rule.status for rule in last.alarm.rules] == ["finished"] * 3


def test_the_time_of_the_last_change_is_read_with_the_file(folder: Path) -> None:
    path = write_file(folder, "5.json", [AT_STAGE_2])
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    assert SavedFolder(folder).read([5])[5].mtime_ns == path.stat().st_mtime_ns


def test_only_files_of_these_directives_are_read(folder: Path, logged: list[Json]) -> None:
    others = ["6.json", "05.json", "5.json.tmp", "5.JSON", "x.json", "+5.json", "5.json.bad"]
    for name in others:
        write_file(folder, name, b"not json")
    write_file(folder, "7.json", [])
    found = SavedFolder(folder).read([5, 7])
    assert {directive: file.alarms for directive, file in found.items()} == {7: ()}
    assert names(folder) == sorted([*others, "7.json"])
    assert logged == []


def test_a_missing_folder_has_no_files(tmp_path: Path, logged: list[Json]) -> None:
    assert SavedFolder(tmp_path / "none").read([1, 2]) == {}
    assert logged == []


def test_a_file_in_place_of_the_folder_is_logged(tmp_path: Path, logged: list[Json]) -> None:
    path = write_file(tmp_path, "backlogs", b"")
    assert SavedFolder(path).read([1]) == {}
    assert [(one["file"], one["why"]) for one in logged] == [(str(path), "Not a directory")]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "truncated"), (b"[1", "truncated"), (b"{}", "array"), (b"\xff", "malformed")],
)
def test_an_invalid_document_is_logged_and_set_aside(
    folder: Path, logged: list[Json], content: bytes, why: str
) -> None:
    path = write_file(folder, "5.json", content)
    write_file(folder, "5.json.bad", b"an older one")
    write_file(folder, "6.json", [AT_STAGE_2])
    assert list(SavedFolder(folder).read([5, 6])) == [6]
    assert names(folder) == ["5.json.bad", "6.json"]
    assert (folder / "5.json.bad").read_bytes() == content
    [one] = logged
    assert (one["level"], one["file"]) == ("ERROR", str(path))
    assert one["message"] == "saved backlogs cannot be read, and are set aside as 5.json.bad"
    assert why in one["why"]


def test_the_valid_items_of_a_file_are_read_and_a_copy_of_it_is_kept(
    folder: Path, logged: list[Json]
) -> None:
    path = write_file(folder, "5.json", [AT_STAGE_2, {"alarm_id": 1}, AT_STAGE_3])
    write_file(folder, "5.json.bad", b"an older one")
    saved = SavedFolder(folder)
    assert saved.read([5])[5].alarms == ALARMS
    [one] = logged
    assert one["file"] == str(path)
    assert one["why"].startswith("item 2: Expected `str`, got `int`")
    before = path.read_bytes()
    saved.remove([5])
    assert names(folder) == ["5.json.bad"]
    assert (folder / "5.json.bad").read_bytes() == before


def test_a_file_that_is_too_long_is_set_aside_without_reading_it(
    folder: Path, logged: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(folder, "5.json", [AT_STAGE_2])
    monkeypatch.setattr(saved_folder, "MAX_FILE_BYTES", 100)
    assert SavedFolder(folder).read([5]) == {}
    assert names(folder) == ["5.json.bad"]
    assert "must be at most 100" in logged[0]["why"]


def test_other_files_are_read_if_one_can_neither_be_read_nor_set_aside(
    folder: Path, logged: list[Json]
) -> None:
    write_file(folder, "5.json", b"bad")
    (folder / "5.json.bad").mkdir()
    write_file(folder, "6.json", [AT_STAGE_2])
    assert list(SavedFolder(folder).read([5, 6])) == [6]
    assert [Path(one["file"]).name for one in logged] == ["5.json", "5.json.bad"]
    assert names(folder) == ["5.json", "5.json.bad", "6.json"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_folder_or_pipe_in_place_of_a_file_stays(
    folder: Path, logged: list[Json], make: object
) -> None:
    assert callable(make)
    make(folder / "5.json")
    assert SavedFolder(folder).read([5]) == {}
    assert names(folder) == ["5.json"]
    assert logged[0]["why"] == "it is not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_set_aside(folder: Path, logged: list[Json]) -> None:
    write_file(folder, "5.json", [AT_STAGE_2]).chmod(0)
    assert SavedFolder(folder).read([5]) == {}
    assert names(folder) == ["5.json.bad"]
    assert logged[0]["why"] == "Permission denied"


# Writing.


def test_written_files_are_read_again(tmp_path: Path) -> None:
    saved = SavedFolder(tmp_path / "logs" / "backlogs")
    saved.write({5: ALARMS, 6: ALARMS[:1]}, LATER)
    read = saved.read([5, 6, 7])
    assert {directive: file.alarms for directive, file in read.items()} == {
        5: ALARMS,
        6: ALARMS[:1],
    }
    assert names(tmp_path / "logs" / "backlogs") == ["5.json", "6.json"]


def test_writing_no_files_creates_no_folder(tmp_path: Path) -> None:
    SavedFolder(tmp_path / "backlogs").write({}, LATER)
    assert names(tmp_path) == []


def test_files_have_the_members_that_dsiem_backend_reads(folder: Path) -> None:
    SavedFolder(folder).write({5: ALARMS}, LATER)
    first, second = json.loads((folder / "5.json").read_bytes())
    assert first["created_time"] == 0
    assert first["risk"] == 0
    assert "intel_hits" not in first
    assert [rule.get("saved_event_ids") for rule in first["rules"]] == [["e1"], ["e2", "e3"], None]
    assert first["rules"][1]["saved_sticky_diffdata"] == {
        "sdiff_string": [],
        "sdiff_int": [4001, 4002],
    }
    assert "saved_sticky_diffdata" not in first["rules"][2]
    assert (second["rules"][2]["from"], second["rules"][2]["port_to"]) == ("10.0.0.7", "22")


def test_event_ids_are_saved_of_the_same_stages_as_in_dsiem_backend() -> None:
    """After stage 2 has ended, only the event ids of stage 1 are saved."""
    correlator = correlator_of(BRUTE_FORCE)
    correlator.restore(
        snapshot_from_alarm(alarm, directive_of(BRUTE_FORCE), Options()) for alarm in ALARMS[:1]
    )
    [(_, [before])] = save_backlogs(correlator).items()
    take(correlator, "e4", 2, 55)
    [(_, [after])] = save_backlogs(correlator).items()
    assert isinstance(after, SavedAlarm)
    assert [rule.saved_event_ids for rule in before.rules] == [("e1",), ("e2", "e3"), ()]
    assert [rule.saved_event_ids for rule in after.rules] == [("e1",), (), ()]
    assert [rule.saved_sticky_diffdata for rule in after.rules] == [None, None, None]
    assert before.rules[1].saved_sticky_diffdata == ALARMS[0].rules[1].saved_sticky_diffdata


def test_a_file_that_cannot_be_written_stays_as_it_was(folder: Path) -> None:
    saved = SavedFolder(folder)
    saved.write({5: ALARMS[:1]}, LATER)
    before = (folder / "5.json").read_bytes()
    with no_file_longer_than(500):
        written = saved.write({5: ALARMS, 6: ALARMS[:0]}, LATER)
    assert written == WrittenFiles([6], f"{folder}/5.json: File too large")
    assert (folder / "5.json").read_bytes() == before
    assert names(folder) == ["5.json", "6.json"]


def test_a_file_that_is_not_complete_in_time_is_left_out(folder: Path) -> None:
    """Each part of a long list looks at the clock."""
    now = time.monotonic()

    def endless() -> Iterator[SavedAlarm]:
        yield from repeat(ALARMS[0])

    saved = {5: ALARMS, 6: endless(), 7: ALARMS}
    assert SavedFolder(folder).write(saved, now + 0.2) == WrittenFiles([5])
    assert names(folder) == ["5.json"]


def test_a_long_list_is_written_in_parts_and_is_one_document(folder: Path) -> None:
    number = 1001  # some full parts, and one that is not full
    written = SavedFolder(folder).write({5: repeat(ALARMS[0], number)}, LATER)
    assert written == WrittenFiles([5])
    assert json.loads((folder / "5.json").read_bytes())[number - 1]["rules"]
    assert SavedFolder(folder).read([5])[5].alarms == (ALARMS[0],) * number


def test_files_are_synced_before_they_are_renamed_and_the_folder_after_that(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(fd: int) -> None:
        done.append("sync " + Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"rename {path.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    SavedFolder(folder).write({5: ALARMS, 6: ALARMS}, LATER)
    both = [step for n in (5, 6) for step in (f"sync {n}.json.tmp", f"rename {n}.json.tmp")]
    assert done == [*both, "sync backlogs"]


def test_a_folder_that_cannot_be_synced_is_an_error_with_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112 - a link into nowhere
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    written = SavedFolder(folder).write({5: ALARMS}, LATER)
    assert written == WrittenFiles([], f"{folder}: Input/output error")


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    path = write_file(tmp_path, "backlogs", b"")
    assert SavedFolder(path).write({5: ALARMS}, LATER) == WrittenFiles([], f"{path}: File exists")


# Removing.


def test_only_the_files_of_the_given_directives_are_removed(folder: Path) -> None:
    for name in ("5.json", "6.json", "5.json.bad", "55.json"):
        write_file(folder, name, [])
    SavedFolder(folder).remove([5, 7])
    assert names(folder) == ["5.json.bad", "55.json", "6.json"]


def test_removing_from_a_missing_folder_is_no_error(tmp_path: Path) -> None:
    SavedFolder(tmp_path / "none").remove([5])


def test_a_file_that_cannot_be_removed_is_an_error(folder: Path) -> None:
    (folder / "5.json").mkdir()
    with pytest.raises(OSError, match=r"5\.json"):
        SavedFolder(folder).remove([5])
