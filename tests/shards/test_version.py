"""The version and the commit: from the files of a checkout, in each form that git writes."""

import platform
import subprocess
from pathlib import Path

import msgspec
import pytest

from shards.version import commit_of, version, version_lines


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "first")
    return folder


def test_the_commit_of_a_branch(checkout: Path) -> None:
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD")


def test_the_commit_of_a_packed_branch(checkout: Path) -> None:
    git(checkout, "branch", "other")
    git(checkout, "pack-refs", "--all")
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD")


def test_the_commit_of_a_detached_head(checkout: Path) -> None:
    git(checkout, "checkout", "--quiet", "--detach")
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("packed", [False, True])
def test_the_commit_of_a_worktree(checkout: Path, packed: bool) -> None:
    worktree = checkout.parent / "worktree"
    git(checkout, "worktree", "add", "--quiet", "-b", "other", str(worktree))
    git(worktree, "commit", "--quiet", "--allow-empty", "-m", "second")
    if packed:
        git(checkout, "pack-refs", "--all")
    assert commit_of(worktree) == git(worktree, "rev-parse", "HEAD") != commit_of(checkout)


def test_there_is_none_without_a_checkout(tmp_path: Path, checkout: Path) -> None:
    assert commit_of(tmp_path) == ""
    below = checkout / "folder"
    below.mkdir()
    assert commit_of(below) == ""


@pytest.mark.parametrize(
    "head",
    [b"", b"ref: refs/heads/none\n", b"\xff\xfe", b"\x1b[2J", b"ref: ../../secret", b"0" * 39],
)
def test_there_is_none_if_the_files_say_something_else(checkout: Path, head: bytes) -> None:
    (checkout.parent / "secret").write_text("a secret")
    (checkout / ".git" / "HEAD").write_bytes(head)
    assert commit_of(checkout) == ""


def test_there_is_none_before_the_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert commit_of(tmp_path) == ""


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        (f'{{"url": "u", "vcs_info": {{"vcs": "git", "commit_id": "{"ab" * 20}"}}}}', "ab" * 6),
        ('{"url": "file:///x", "dir_info": {"editable": true}}', ""),
        ('{"vcs_info": {"commit_id": "main"}}', ""),
        ("{", ""),
        (None, ""),
    ],
)
def test_an_installed_package_has_the_commit_that_pip_has_noted(
    text: str | None, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "dsiem_shards-9.9.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: dsiem-shards\nVersion: 9.9\n")
    if text is not None:
        (package / "direct_url.json").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    version.cache_clear()
    try:
        first = version_lines(tmp_path)[0]
    finally:
        version.cache_clear()
    assert first == (f"9.9 (commit {suffix})" if suffix else "9.9")


def test_the_commit_of_a_checkout_comes_before_that_of_the_package(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert version_lines(checkout)[0].endswith(f" (commit {commit[:12]})")


def test_the_parts_have_their_versions(tmp_path: Path) -> None:
    _, *parts = version_lines(tmp_path)
    assert parts[0] == f"Python {platform.python_version()}"
    assert parts[2] == f"msgspec {msgspec.__version__}"
    assert all(part.rpartition(" ")[2][0].isdigit() for part in parts)
