"""The CPUs that this process may use: its affinity, and the quota of its container."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_MOUNT = "sys/fs/cgroup"


def usable_cpus(root: Path = Path("/")) -> int:
    """Number of CPUs, at least 1: those of the affinity, or a lower quota, rounded up.

    The quota is the lowest one of the control group of this process and of the groups above it, in
    cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`); see cgroups(7). A container usually sees its
    own group as the root. Files that cannot be read are no limit. `root`: where /proc and /sys are.
    """
    cpus = min([len(os.sched_getaffinity(0)), *_quotas(root)])
    return max(1, math.ceil(cpus))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas in CPUs, of all groups that have one."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for group in _with_parents(path):
                with suppress(OSError, ValueError, ZeroDivisionError):
                    if not controllers:
                        yield _quota_v2(root / _MOUNT / group)
                    elif "cpu" in controllers.split(","):
                        yield _quota_v1(root / _MOUNT / "cpu" / group)


def _with_parents(path: str) -> Iterator[str]:
    """A control group and those above it, without the leading slash."""
    group = PurePosixPath(path.lstrip("/"))
    yield from map(str, (group, *group.parents))


def _quota_v2(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text().split()
    return math.inf if quota == "max" else _cpus(int(quota), int(period))


def _quota_v1(group: Path) -> float:
    quota = int((group / "cpu.cfs_quota_us").read_text())
    period = int((group / "cpu.cfs_period_us").read_text())
    return _cpus(quota, period)


def _cpus(quota: int, period: int) -> float:
    """The CPUs of a quota in microseconds per period; -1 is no quota."""
    return quota / period if quota > 0 else math.inf
