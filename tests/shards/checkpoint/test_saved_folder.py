"""The folder of saved backlogs: whole files, what is not ours left alone, what is bad set aside."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from engine.dsiem_format.saved_alarm import SavedAlarm, save_backlogs, snapshot_from_alarm
from engine.dsiem_format.saved_document import parse_saved_alarms
from engine.options import Options
from shards.checkpoint import saved_folder
from shards.checkpoint.saved_folder import SavedFolder
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

ALARMS = parse_saved_alarms(json.dumps([AT_STAGE_2, AT_STAGE_3]).encode()).alarms


@pytest.fixture
def said() -> Iterator[list[Json]]:
    """What is logged: message, file and why."""
    records: list[Json] = []
    sink = logger.add(
        lambda line: records.append(
            {"message": line.record["message"], "level": line.record["level"].name}
            | line.record["extra"]
        ),
        level="DEBUG",
        format="{message}",
    )
    yield records
    logger.remove(sink)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backlogs"
    made.mkdir()
    return made


def leave(folder: Path, name: str, content: object) -> Path:
    """A file as somebody else has written it."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Reading.


def test_a_folder_as_a_peer_leaves_it_is_gone_on_with(folder: Path) -> None:
    """From the bytes on disk to the last alarm, under the id that it always had."""
    leave(folder, "5.json", [AT_STAGE_2, changed(AT_STAGE_3, rule1={"saved_event_ids": ["x1"]})])
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


def test_the_time_of_a_file_is_read_with_it(folder: Path) -> None:
    path = leave(folder, "5.json", [AT_STAGE_2])
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    assert SavedFolder(folder).read([5])[5].mtime_ns == path.stat().st_mtime_ns


def test_only_files_of_these_directives_are_read(folder: Path, said: list[Json]) -> None:
    others = ["6.json", "05.json", "5.json.tmp", "5.JSON", "x.json", "+5.json", "5.json.bad"]
    for name in others:
        leave(folder, name, b"not json")
    leave(folder, "7.json", [])
    found = SavedFolder(folder).read([5, 7])
    assert {directive: file.alarms for directive, file in found.items()} == {7: ()}
    assert names(folder) == sorted([*others, "7.json"])
    assert said == []


def test_no_folder_is_as_good_as_an_empty_one(tmp_path: Path, said: list[Json]) -> None:
    assert SavedFolder(tmp_path / "none").read([1, 2]) == {}
    assert said == []


def test_a_folder_that_is_none_is_said_and_nothing_is_read(
    tmp_path: Path, said: list[Json]
) -> None:
    path = leave(tmp_path, "backlogs", b"")
    assert SavedFolder(path).read([1]) == {}
    assert [(one["file"], one["why"]) for one in said] == [(str(path), "Not a directory")]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "truncated"), (b"[1", "truncated"), (b"{}", "array"), (b"\xff", "malformed")],
)
def test_what_is_no_document_is_set_aside_with_an_error(
    folder: Path, said: list[Json], content: bytes, why: str
) -> None:
    path = leave(folder, "5.json", content)
    leave(folder, "5.json.bad", b"an older one")
    leave(folder, "6.json", [AT_STAGE_2])
    assert list(SavedFolder(folder).read([5, 6])) == [6]
    assert names(folder) == ["5.json.bad", "6.json"]
    assert (folder / "5.json.bad").read_bytes() == content
    [one] = said
    assert (one["level"], one["file"]) == ("ERROR", str(path))
    assert one["message"] == "saved backlogs cannot be read, and are set aside as 5.json.bad"
    assert why in one["why"]


def test_of_a_file_with_one_bad_item_the_others_are_read_and_a_copy_is_kept(
    folder: Path, said: list[Json]
) -> None:
    path = leave(folder, "5.json", [AT_STAGE_2, {"alarm_id": 1}, AT_STAGE_3])
    leave(folder, "5.json.bad", b"an older one")
    shelf = SavedFolder(folder)
    assert shelf.read([5])[5].alarms == ALARMS
    [one] = said
    assert one["file"] == str(path)
    assert one["why"].startswith("item 2: Expected `str`, got `int`")
    before = path.read_bytes()
    shelf.remove([5])
    assert names(folder) == ["5.json.bad"]
    assert (folder / "5.json.bad").read_bytes() == before


def test_a_file_that_is_too_large_is_set_aside_unread(
    folder: Path, said: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(folder, "5.json", [AT_STAGE_2])
    monkeypatch.setattr(saved_folder, "MAX_FILE_BYTES", 100)
    assert SavedFolder(folder).read([5]) == {}
    assert names(folder) == ["5.json.bad"]
    assert "must be at most 100" in said[0]["why"]


def test_a_file_that_can_neither_be_read_nor_set_aside_does_not_stop_the_rest(
    folder: Path, said: list[Json]
) -> None:
    leave(folder, "5.json", b"bad")
    (folder / "5.json.bad").mkdir()
    leave(folder, "6.json", [AT_STAGE_2])
    assert list(SavedFolder(folder).read([5, 6])) == [6]
    assert [Path(one["file"]).name for one in said] == ["5.json", "5.json.bad"]
    assert names(folder) == ["5.json", "5.json.bad", "6.json"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_regular_file_is_left_alone(
    folder: Path, said: list[Json], make: object
) -> None:
    assert callable(make)
    make(folder / "5.json")
    assert SavedFolder(folder).read([5]) == {}
    assert names(folder) == ["5.json"]
    assert said[0]["why"] == "it is not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_set_aside(folder: Path, said: list[Json]) -> None:
    leave(folder, "5.json", [AT_STAGE_2]).chmod(0)
    assert SavedFolder(folder).read([5]) == {}
    assert names(folder) == ["5.json.bad"]
    assert said[0]["why"] == "Permission denied"


# Writing.


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    shelf = SavedFolder(tmp_path / "logs" / "backlogs")
    shelf.write({5: ALARMS, 6: ALARMS[:1]})
    read = shelf.read([5, 6, 7])
    assert {directive: file.alarms for directive, file in read.items()} == {
        5: ALARMS,
        6: ALARMS[:1],
    }
    assert names(tmp_path / "logs" / "backlogs") == ["5.json", "6.json"]


def test_nothing_to_write_makes_no_folder(tmp_path: Path) -> None:
    SavedFolder(tmp_path / "backlogs").write({})
    assert names(tmp_path) == []


def test_the_members_that_a_peer_looks_for_are_there(folder: Path) -> None:
    SavedFolder(folder).write({5: ALARMS})
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


def test_an_engine_saves_what_a_peer_would_have_saved() -> None:
    """At stage 1 the ids are still there, of stage 2 only the times."""
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


def test_a_directive_is_written_whole_or_as_it_was(folder: Path) -> None:
    shelf = SavedFolder(folder)
    shelf.write({5: ALARMS[:1]})
    before = (folder / "5.json").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limit[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            shelf.write({5: ALARMS})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.filename == str(folder / "5.json")
    assert (folder / "5.json").read_bytes() == before
    assert names(folder) == ["5.json"]


def test_the_files_are_on_disk_before_their_names_and_the_names_before_it_returns(
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
    SavedFolder(folder).write({5: ALARMS, 6: ALARMS})
    both = [step for n in (5, 6) for step in (f"sync {n}.json.tmp", f"rename {n}.json.tmp")]
    assert done == [*both, "sync backlogs"]


def test_a_folder_that_cannot_be_synced_is_an_error_that_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112 - a link into nowhere
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error") as caught:
        SavedFolder(folder).write({5: ALARMS})
    assert caught.value.filename == str(folder)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    path = leave(tmp_path, "backlogs", b"")
    with pytest.raises(OSError, match="exists") as caught:
        SavedFolder(path).write({5: ALARMS})
    assert caught.value.filename == str(path)


# Removing.


def test_files_of_these_directives_are_removed_if_they_are_there(folder: Path) -> None:
    for name in ("5.json", "6.json", "5.json.bad", "55.json"):
        leave(folder, name, [])
    SavedFolder(folder).remove([5, 7])
    assert names(folder) == ["5.json.bad", "55.json", "6.json"]


def test_removing_from_no_folder_is_nothing(tmp_path: Path) -> None:
    SavedFolder(tmp_path / "none").remove([5])


def test_what_cannot_be_removed_is_an_error(folder: Path) -> None:
    (folder / "5.json").mkdir()
    with pytest.raises(OSError, match=r"5\.json"):
        SavedFolder(folder).remove([5])
