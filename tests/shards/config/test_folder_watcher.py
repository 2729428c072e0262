"""Watching a config folder: which changes are reported, and when."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from shards.config import folder_watcher
from shards.config.downloaded_files import DownloadedFiles
from shards.config.folder_watcher import FolderWatcher, file_states
from shards.config.problem import ProblemList

SECONDS = 20
NAME = "directives_a.json"
Step = Callable[[], object]


def reports(folder: Path, *steps: Step) -> list[int]:
    """After how many of these steps changes are reported; there is one each time it waits.

    In the end nothing happens any more, so that what has changed is reported.
    """
    done = 0

    def wait(seconds: float) -> bool:  # noqa: ARG001 - a step stands for it
        nonlocal done
        if done == len(steps) + 15:
            return True
        if done < len(steps):
            steps[done]()
        done += 1
        return False

    return [done for _ in FolderWatcher(folder).changes(wait)]


def nothing() -> None:
    """A step in which nothing happens."""


def write(path: Path, text: str = "{}") -> Step:
    return lambda: path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config folder with one file."""
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / NAME).write_text("{}")
    return folder


# Which changes.


def test_without_a_change_nothing_is_reported(folder: Path) -> None:
    assert reports(folder, nothing, nothing) == []


def test_files_that_are_written_added_renamed_or_removed_are_changes(folder: Path) -> None:
    path, other = folder / NAME, folder / "assets_b.json"
    changes: list[Step] = [
        write(path, "{ }"),
        write(other),
        lambda: other.rename(folder / "assets_c.json"),
        path.unlink,
    ]
    for change in changes:
        assert reports(folder, nothing, change) == [3]  # once it was quiet


def test_another_file_of_the_same_size_and_time_is_a_change(folder: Path) -> None:
    status = (folder / NAME).stat()

    def replace() -> None:
        (folder / "new").write_text("[]")
        os.utime(folder / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
        (folder / "new").rename(folder / NAME)

    assert reports(folder, replace) == [2]


def test_a_volume_of_kubernetes_whose_link_is_swapped_is_a_change(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    for version in ("..1", "..2"):
        (folder / version).mkdir(parents=True)
        (folder / version / NAME).write_text("{}")
    (folder / "..data").symlink_to("..1")
    (folder / NAME).symlink_to(f"..data/{NAME}")

    def swap() -> None:
        (folder / "..data_tmp").symlink_to("..2")
        (folder / "..data_tmp").rename(folder / "..data")
        shutil.rmtree(folder / "..1")

    assert reports(folder, nothing, swap) == [3]


def test_a_folder_that_is_a_link_that_is_swapped_is_a_change(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / NAME).write_text("{}")
    folder = tmp_path / "conf"
    folder.symlink_to("1")

    def swap() -> None:
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").rename(folder)

    assert reports(folder, swap) == [2]


def test_what_a_download_leaves_in_hidden_files_is_no_change(folder: Path) -> None:
    files = {"assets_a.json": b"{}", NAME: b"{}"}
    downloaded = DownloadedFiles(folder)

    def download() -> None:
        downloaded.replace(files.items(), "http://f", lambda _: ProblemList())

    download()
    before = file_states(folder)
    download()  # the same set: its manifest is written
    for name in (".incoming", ".arrived", ".faulty"):
        (folder / name).mkdir()
        (folder / name / NAME).write_text("{}")
    (folder / ".directives_a.json.swp").write_text("")
    (folder / "notes.txt").write_text("")
    assert file_states(folder) == before


# When.


def test_several_changes_at_once_are_one(folder: Path) -> None:
    others = [write(folder / f"assets_{number}.json") for number in range(5)]
    assert reports(folder, *others) == [6]


def test_a_file_that_is_being_written_is_waited_for(folder: Path) -> None:
    path = folder / NAME
    parts = [write(path, '{"directives": [' + " " * size) for size in range(4)]
    assert reports(folder, *parts, write(path, '{"directives": []}')) == [6]


def test_files_that_are_always_being_written_are_read_at_last_and_again(folder: Path) -> None:
    parts = [write(folder / NAME, " " * size) for size in range(30)]
    first, second, *_ = reports(folder, *parts)
    assert (first, second) == (11, 22)


def test_a_folder_that_is_missing_for_a_moment_is_waited_for(folder: Path) -> None:
    away = folder.with_name("away")

    def replace() -> None:
        (away / NAME).write_text("{ }")
        away.rename(folder)

    assert reports(folder, lambda: folder.rename(away), nothing, nothing, replace) == [5]


def test_a_folder_that_stays_missing_is_reported_and_so_is_its_return(folder: Path) -> None:
    away = folder.with_name("away")
    steps: list[Step] = [lambda: folder.rename(away), *[nothing] * 14, lambda: away.rename(folder)]
    assert reports(folder, *steps) == [11, 17]


def test_a_folder_that_comes_later_is_a_change(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    assert reports(folder, folder.mkdir, write(folder / NAME)) == [3]


# In a service.


@pytest.fixture
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watcher, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(folder_watcher, "_QUIET_SECONDS", 0.01)


@pytest.mark.integration
@pytest.mark.usefixtures("_fast")
def test_a_service_is_told_of_each_change_in_its_event_loop(folder: Path) -> None:
    async def run() -> None:
        changed, threads = asyncio.Event(), set[threading.Thread]()

        def on_change() -> None:
            threads.add(threading.current_thread())
            changed.set()

        watcher = FolderWatcher(folder)
        (folder / NAME).write_text("changed before it runs")
        watching = asyncio.create_task(watcher.run(on_change))
        async with asyncio.timeout(SECONDS):
            await changed.wait()
            for number in range(3):
                changed.clear()
                (folder / NAME).write_text(f"{number}")
                await changed.wait()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        assert threads == {threading.current_thread()}

    asyncio.run(run())
    end_watch()


@pytest.mark.integration
def test_a_watch_that_is_cancelled_ends_at_once(folder: Path) -> None:
    async def run() -> None:
        watching = asyncio.create_task(FolderWatcher(folder).run(lambda: None))
        await asyncio.sleep(0)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    asyncio.run(run())
    end_watch()


@pytest.mark.integration
@pytest.mark.usefixtures("_fast")
def test_a_watch_that_fails_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> list[folder_watcher.FileState]:
        raise ZeroDivisionError(str(path))

    async def run() -> None:
        watcher = FolderWatcher(folder)
        monkeypatch.setattr(folder_watcher, "file_states", failing)
        async with asyncio.timeout(SECONDS):
            await watcher.run(lambda: None)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())
    end_watch()


def end_watch() -> None:
    """Check that the thread of a watch ends."""
    for thread in threading.enumerate():
        if thread.name == "config-folder":
            thread.join(SECONDS)
            assert not thread.is_alive()
