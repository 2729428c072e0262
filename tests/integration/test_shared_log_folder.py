"""Services on one log folder, and what others can read there."""

import os
import signal
import stat
from pathlib import Path

import pytest

from tests.support.cluster import OPENS, backend, frontend_of, pair_directive, pair_event
from tests.support.serving import Service, serving, wait_until, write_config

MODES = {stat.S_IFREG | 0o640, stat.S_IFDIR | 0o750}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path, map(pair_directive, (1, 2)))
    return tmp_path


def modes(folder: Path) -> dict[str, int]:
    """The modes of all files and folders below."""
    return {str(path.relative_to(folder)): path.stat().st_mode for path in folder.rglob("*")}


def test_a_second_service_on_the_same_folder_ends_and_says_who_has_it(folder: Path) -> None:
    with serving(folder) as first:
        second = Service(folder, ready=False)
        ended = second.wait_for_exit(0)
        assert ended.code == 1
        [line] = second.logged("another service uses this log folder: ")
        assert f"pid {first.process.pid} on host " in line["message"]
        assert "no node, part 0, since 20" in line["message"]
        assert first.post([pair_event("e", 1, OPENS, 1)]).accepted == 1
        first.send_signal(signal.SIGKILL)
        with serving(folder) as third:  # a killed service leaves no lock, nor do its children
            assert third.stop().code == 0


def test_services_of_another_node_may_share_the_folder(folder: Path) -> None:
    alone = "--mode=standalone"
    with serving(folder, alone, "--node=n1") as one, serving(folder, alone, "--node=n2") as other:
        assert one.stop().code == other.stop().code == 0


def test_downloaded_files_are_not_readable_by_all(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with (
            frontend_of([pair_directive(1)]) as frontend,
            backend(
                tmp_path, frontend, "nats://127.0.0.1:1", connected=False, ready=False
            ) as service,
        ):
            service.wait_for_log("configuration downloaded")
            found = modes(tmp_path / "conf")
        assert {"directives_n1_a.json", ".downloaded.json"} <= set(found), found
        assert {(tmp_path / "conf").stat().st_mode, *found.values()} == MODES, found
    finally:
        os.umask(before)


def test_nothing_that_a_service_creates_is_readable_by_all(folder: Path) -> None:
    folder.chmod(0o755)
    before = os.umask(0o022)
    try:
        with serving(folder, "--checkpoint-interval=1") as service:
            assert service.post([pair_event("e", 1, OPENS, n) for n in range(9)]).accepted == 9
            backlogs = folder / "logs/backlogs"
            wal, shm = "backlogs/checkpoint.sqlite-wal", "backlogs/checkpoint.sqlite-shm"
            wait_until((folder / "logs" / wal).exists, "a log")
            found = modes(folder / "logs")
            assert {wal, shm} <= set(found)
            assert {(folder / "logs").stat().st_mode, *found.values()} == MODES, found
            assert service.stop().code == 0
        (backlogs / "2.json").write_bytes(b"broken")
        (backlogs / "2.json").chmod(0o604)
        (folder / "logs/siem_alarms.json").chmod(0o644)  # what exists keeps its mode
        with serving(folder) as service:
            assert service.stop().code == 0
        found = modes(folder / "logs")
        assert found.pop("siem_alarms.json") == stat.S_IFREG | 0o644
        assert found.pop("backlogs/2.json.bad") == stat.S_IFREG | 0o604
        assert "backlogs/1.json" in found
        assert set(found.values()) == MODES, found
    finally:
        os.umask(before)
