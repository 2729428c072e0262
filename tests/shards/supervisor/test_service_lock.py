"""The lock of a service: one for each log folder, node and part."""

import errno
import fcntl
import os
import re
from pathlib import Path
from typing import Any

import pytest

from shards.settings.settings import Settings
from shards.supervisor.service_lock import LockedError, service_lock


def test_a_second_service_is_told_who_has_the_folder(tmp_path: Path) -> None:
    settings = Settings(log_dir=tmp_path / "logs", node="n1", cluster_size=3, cluster_index="2")
    with service_lock(settings):
        with pytest.raises(LockedError) as caught, service_lock(settings):
            pass
        who = rf"pid {os.getpid()} on host '.+' \(node 'n1', part 2, since \d{{4}}-.* UTC\)"
        assert re.search(who, str(caught.value))
        assert f"{tmp_path}/logs/.service-n1.2.lock" in str(caught.value)
    with service_lock(settings):  # it ends with the context
        pass


@pytest.mark.parametrize("other", [{"node": "n2"}, {"cluster_index": "1"}, {"node": ""}])
def test_services_of_other_nodes_and_parts_may_share_the_folder(
    other: dict[str, Any], tmp_path: Path
) -> None:
    fields: dict[str, Any] = {"node": "n1", "cluster_size": 2, "cluster_index": "0"}
    with (
        service_lock(Settings(log_dir=tmp_path, **fields)),
        service_lock(Settings(log_dir=tmp_path, **fields | other)),
    ):
        pass


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"x" * 100_000])
def test_a_holder_that_has_not_said_who_it_is_is_a_process(content: bytes, tmp_path: Path) -> None:
    settings = Settings(log_dir=tmp_path)
    path = tmp_path / ".service.lock"
    path.write_bytes(content)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="a process has locked"), service_lock(settings):
            pass
    with service_lock(settings):
        assert path.stat().st_size < 300


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error_that_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts
    with (
        pytest.raises(OSError, match="cannot be locked there") as caught,
        service_lock(Settings(log_dir=tmp_path)),
    ):
        pass
    assert caught.value.filename == f"{tmp_path}/.service.lock"
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_no_other_program_inherits_the_lock(tmp_path: Path) -> None:
    with service_lock(Settings(log_dir=tmp_path)):
        links = {fd: fd.resolve() for fd in Path("/proc/self/fd").iterdir()}
        [lock] = [fd.name for fd, target in links.items() if target.name == ".service.lock"]
        assert not os.get_inheritable(int(lock))
