"""`serve --watch`: files that are written, replaced, or swapped by a link are loaded at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.reload_pool import variant
from tests.support.reload_service import (
    ReloadableService,
    documents,
    replace_file,
    write_files,
)
from tests.support.reload_traffic import scenario_event
from tests.support.serving import directives_of, wait_until

FIRST, SECOND = directives_of(0, 2)
GOES_ON = "the configuration is not reloaded"


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[ReloadableService]:
    with ReloadableService(tmp_path, "http", "--watch") as service:
        yield service


def files(number: int) -> dict[str, bytes]:
    return documents([variant(FIRST, number)])


def changed(service: ReloadableService) -> list[int]:
    """The directives that the last reload has changed, if it was one by --watch."""
    last = service.ops.status()["config"]["last_reload"]
    assert last["trigger"] == "watch"
    found: list[int] = last["directives"]["changed"]["ids"]
    return found


def test_a_file_that_is_written_slowly_counts_once_it_is_complete(
    watching: ReloadableService, tmp_path: Path
) -> None:
    watching.put(files(0))
    service = watching.start()
    content = files(1)["directives_a.json"]
    with (tmp_path / "conf" / "directives_a.json").open("wb", buffering=0) as file:
        file.write(content[: len(content) // 2])
        service.wait_for_log(GOES_ON)
        assert watching.ops.generation == 1
        file.write(content[len(content) // 2 :])
    watching.ops.wait_for_generation(2)
    assert changed(watching) == [FIRST]


def test_files_that_are_added_replaced_and_removed(
    watching: ReloadableService, tmp_path: Path
) -> None:
    folder = tmp_path / "conf"
    watching.put(files(0))
    service = watching.start()
    replace_file(folder / "directives_b.json", documents([variant(SECOND, 0)])["directives_a.json"])
    watching.ops.wait_for_generation(2)
    (folder / "directives_b.json").unlink()
    watching.ops.wait_for_generation(3)
    (folder / "notes.txt").write_text("nothing that counts")
    replace_file(folder / "directives_a.json", files(2)["directives_a.json"])
    watching.ops.wait_for_generation(4)
    assert changed(watching) == [FIRST]
    assert service.stop().code == 0


def swap(link: Path, target: str) -> None:
    """Let a link point to something else, at once."""
    new = link.with_name(f"{link.name}.new")
    new.symlink_to(target)
    new.replace(link)


def test_a_volume_of_kubernetes_that_is_swapped_by_a_link(
    watching: ReloadableService, tmp_path: Path
) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    for number in range(4):
        write_files(folder / f"..{number}", files(number))
    (folder / "..data").symlink_to("..0")
    for name in files(0):
        (folder / name).symlink_to(f"..data/{name}")
    watching.start()
    for number in range(1, 4):
        swap(folder / "..data", f"..{number}")
        watching.ops.wait_for_generation(number + 1)
        assert changed(watching) == [FIRST]


def test_the_folder_itself_is_a_link_that_is_swapped(
    watching: ReloadableService, tmp_path: Path
) -> None:
    for number in range(3):
        write_files(tmp_path / f"release-{number}", files(number))
    (tmp_path / "conf").symlink_to("release-0")
    watching.start()
    for number in (1, 2):
        swap(tmp_path / "conf", f"release-{number}")
        watching.ops.wait_for_generation(number + 1)
        assert changed(watching) == [FIRST]
    replace_file(tmp_path / "release-2" / "directives_a.json", files(3)["directives_a.json"])
    watching.ops.wait_for_generation(4)


def test_many_changes_in_a_row_end_with_the_last_one(
    watching: ReloadableService, tmp_path: Path
) -> None:
    watching.put(files(0))
    service = watching.start()
    path = tmp_path / "conf" / "directives_a.json"
    for number in range(60):
        replace_file(path, documents([variant(FIRST, number % 5)])["directives_a.json"])
    replace_file(path, files(5)["directives_a.json"])
    events = (scenario_event(7, FIRST, 1, 5) | {"event_id": f"e{number}"} for number in range(1000))

    def last_version_runs() -> bool:
        watching.send(next(events))
        return f"directive {FIRST}, variant 5, 100.0.0.7" in watching.titles()

    wait_until(last_version_runs, "an alarm of the last version")
    assert watching.ops.generation < 60
    assert service.stop().code == 0
