"""A release of the last commit, and what it needs to be installed offline, made once for a run."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT
from tests.support.wheelhouse import write_wheelhouse


class Release(NamedTuple):
    """`folder`: its files; `wheels`: what it requires, and pip; `required`: the names of all."""

    folder: Path
    wheels: Path
    required: set[str]

    @property
    def wheel(self) -> Path:
        """The wheel of the program."""
        [wheel] = self.folder.glob("*.whl")
        return wheel

    @property
    def sdist(self) -> Path:
        """The source distribution."""
        [sdist] = self.folder.glob("*.tar.gz")
        return sdist


def offline_variables(wheels: Path) -> dict[str, str]:
    """Variables with which uv and pip find packages only in a folder."""
    uv = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels)}
    return uv | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_COMPILE": "1"}


def make_release(shared: Path) -> Release:
    """Make the release in this folder, or wait until another process has."""
    files, wheels, required = shared / "release", shared / "wheelhouse", shared / "required.txt"
    with (shared / "release.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not required.exists():
            wheels.mkdir(exist_ok=True)
            names = write_wheelhouse(wheels, "dsiem-shards")
            write_wheelhouse(wheels, "pip")
            script = str(ROOT / "deploy" / "release" / "make_release.py")
            command = [sys.executable, script, "--out", str(files)]
            done = subprocess.run(
                command,
                env=os.environ | offline_variables(wheels),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            required.write_text(" ".join(sorted(names)))
    return Release(files, wheels, set(required.read_text().split()))
