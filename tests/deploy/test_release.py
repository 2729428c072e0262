"""A release: its files, that they are reproducible, and that each installer makes it run."""

import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.request import urlopen
from zipfile import ZipFile

import pytest
from packaging.utils import canonicalize_name

from tests.support.demo import running_demo
from tests.support.paths import ROOT
from tests.support.release import Release, offline_variables

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # it waits for the release

BIN = Path(sys.executable).parent


def tracked(*folders: str) -> set[str]:
    """The files of these folders that git knows."""
    command = ["git", "-C", str(ROOT), "ls-files", "--", *folders]
    return set(
        subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    )


def test_the_wheel_has_each_file_of_the_program_and_no_other(release: Release) -> None:
    """With the schemas, the page of the console, the example, and the marker of its types."""
    names = {name for name in ZipFile(release.wheel).namelist() if ".dist-info/" not in name}
    assert names == tracked("cli.py", "engine", "shards")
    for name in ("engine/py.typed", "shards/py.typed", "shards/demo/example/events.ndjson.gz"):
        assert name in names


def test_the_sdist_has_what_the_wheel_is_built_from(release: Release) -> None:
    with tarfile.open(release.sdist) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers()}
    assert tracked("cli.py", "engine", "shards") <= names
    assert {"PKG-INFO", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"} <= names


def test_its_checksums_are_those_of_its_files(release: Release) -> None:
    lines = (release.folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    files = [path for path in release.folder.iterdir() if path.name != "SHA256SUMS"]
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert len(files) == 3


def test_its_sbom_lists_what_is_installed_with_it(release: Release) -> None:
    [path] = release.folder.glob("*.cdx.json")
    document = json.loads(path.read_bytes())
    main = document["metadata"]["component"]
    assert f"{main['name']} {main['version']}" == f"dsiem-shards {version_of(release)}"
    listed = {canonicalize_name(one["name"]): one for one in document["components"]}
    assert listed.keys() | {"dsiem-shards"} == release.required
    assert str(release.folder.parent) not in path.read_text()
    assert [name for name, one in listed.items() if not one.get("licenses")] == []


def version_of(release: Release) -> str:
    return release.wheel.name.split("-")[1]


def release_script() -> ModuleType:
    path = ROOT / "deploy" / "release" / "make_release.py"
    spec = importlib.util.spec_from_file_location("make_release", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_same_commit_makes_the_same_bytes(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    os.umask(0o077)
    for path in release_script().build_both(tmp_path):
        assert path.read_bytes() == (release.folder / path.name).read_bytes()


def test_other_files_in_the_folder_of_a_release_are_none_of_its(tmp_path: Path) -> None:
    for name in ("notes.txt", "dsiem_shards-1.0-py3-none-any.whl"):
        (tmp_path / name).write_text(name, "utf-8")
    (tmp_path / "folder").mkdir()
    release_script().write_checksums(tmp_path)
    [line] = (tmp_path / "SHA256SUMS").read_text("utf-8").splitlines()
    assert line.endswith("  dsiem_shards-1.0-py3-none-any.whl")


def by_pip(release: Release, home: Path) -> list[str]:
    environment = home / "environment"
    python = str(environment / "bin" / "python")
    run_in(home, release, sys.executable, "-m", "venv", "--without-pip", str(environment))
    run_in(home, release, sys.executable, *PIP, python, "install", str(release.wheel))
    return [str(environment / "bin" / "dsiem-backend")]


def by_pipx(release: Release, home: Path) -> list[str]:
    run_in(home, release, BIN / "pipx", "install", "--python", sys.executable, release.wheel)
    return [str(home / ".local" / "bin" / "dsiem-backend")]


def by_uv_tool(release: Release, home: Path) -> list[str]:
    run_in(home, release, BIN / "uv", "tool", "install", "--python", sys.executable, release.wheel)
    return [str(home / ".local" / "bin" / "dsiem-backend")]


PIP = ("-m", "pip", "--python")
ALARM = re.compile(r"\d\d:\d\d:\d\d +\d+ (?:Low|Medium|High) +\d/\d +\w")
"""A line of the demo: time, risk, stages, title."""


def clean_environment(home: Path) -> dict[str, str]:
    """Of a new user, who has nothing but Python."""
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def run_in(home: Path, release: Release, *command: str | Path) -> str:
    done = subprocess.run(
        command,
        env=clean_environment(home) | offline_variables(release.wheels),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("install", [by_pip, by_pipx, by_uv_tool])
def test_a_newcomer_installs_it_and_sees_alarms_and_the_console(
    install: Callable[[Release, Path], list[str]], release: Release, tmp_path: Path
) -> None:
    command = install(release, tmp_path)
    shown = run_in(tmp_path, release, *command, "--version").splitlines()
    assert shown[0] == f"dsiem-backend {version_of(release)}"
    environment = clean_environment(tmp_path)
    with running_demo(command=command, environment=environment) as demo:
        assert demo.process.stdout is not None
        assert ALARM.match(demo.process.stdout.readline())
        with urlopen(demo.url, timeout=30) as page:
            assert b"Dsiem Shards" in page.read()
        code, _ = demo.end(signal.SIGINT)
    assert code == 0
