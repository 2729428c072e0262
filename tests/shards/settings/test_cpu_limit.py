"""The number of CPUs, with the files of a system in a folder."""

import os
from pathlib import Path

import pytest

from shards.settings.cpu_limit import usable_cpus


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def system(root: Path, cgroup: str, **files: str) -> Path:
    """A root folder: the content of /proc/self/cgroup, and files below /sys/fs/cgroup."""
    for name, content in {"proc/self/cgroup": cgroup, **files}.items():
        path = root / (name if name.startswith("proc") else f"sys/fs/cgroup/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 3),
        ("50000 100000", 1),
        ("6400000 100000", 8),
        ("", 8),
        ("nonsense", 8),
        ("100000 0", 8),
        ("-1 100000", 8),
    ],
)
def test_the_quota_of_a_container(quota: str, cpus: int, tmp_path: Path) -> None:
    assert usable_cpus(system(tmp_path, "0::/\n", **{"cpu.max": quota})) == cpus


def test_the_lowest_quota_of_a_group_and_those_above_it_counts(tmp_path: Path) -> None:
    files = {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000", "cpu.max": "max 100000"}
    assert usable_cpus(system(tmp_path, "0::/a/b\n", **files)) == 3


def test_a_group_outside_the_container_is_seen_as_the_root(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/kubepods/pod1/abc\n", **{"cpu.max": "200000 100000"})
    assert usable_cpus(root) == 2


def test_a_quota_of_the_first_version_of_control_groups(tmp_path: Path) -> None:
    files = {"cpu/x/cpu.cfs_quota_us": "400000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}
    table = "12:memory:/x\n4:cpu,cpuacct:/x\n0::/x\n"
    assert usable_cpus(system(tmp_path, table, **files)) == 4
    files["cpu/x/cpu.cfs_quota_us"] = "-1\n"
    assert usable_cpus(system(tmp_path, table, **files)) == 8


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == 8


def test_this_system_has_a_number() -> None:
    assert 1 <= usable_cpus() <= 8
