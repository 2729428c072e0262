"""The version of the program, its commit, and the versions of what it runs on.

A leaf of its own: the command line and the status report it.
"""

import platform
import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.metadata import version as version_of
from pathlib import Path

import msgspec

_TOP = Path(__file__).parent.parent
_PACKAGE = "dsiem-shards"
_LIBRARIES = ("uvloop", "msgspec", "nats-py")
"""The libraries whose versions matter most for behaviour and speed."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHOWN_DIGITS = 12
_MAX_BYTES = 1 << 20
"""Of a file in .git that is read; the list of packed references can be long."""


class _VcsInfo(msgspec.Struct):
    commit_id: str = ""


class _DirectUrl(msgspec.Struct):
    """`direct_url.json` of an installed package (PEP 610), as far as it is needed."""

    vcs_info: _VcsInfo | None = None


@cache
def version() -> str:
    """The version of the installed package; `(not installed)` in a checkout."""
    try:
        return version_of(_PACKAGE)
    except PackageNotFoundError:
        return "(not installed)"


def version_lines(top: Path = _TOP) -> list[str]:
    """The version with the commit, if it is known, and a line for each part it runs on.

    `top`: the folder of the program, which is a checkout or not.
    """
    commit = commit_of(top) or _installed_commit()
    suffix = f" (commit {commit[:_SHOWN_DIGITS]})" if commit else ""
    return [
        f"{version()}{suffix}",
        f"Python {platform.python_version()}",
        *(f"{name} {_version_or_missing(name)}" for name in _LIBRARIES),
        f"SQLite {sqlite3.sqlite_version}",
    ]


def commit_of(folder: Path) -> str:
    """The commit that is checked out in a folder; empty if it is not the top of a checkout.

    Read from the files of git: quicker than running it, and not all machines have it.
    """
    try:
        git = folder / ".git"
        if git.is_file():  # of a worktree
            git = folder / _read(git).removeprefix("gitdir:").strip()
        head = _read(git / "HEAD").strip()
        name = head.removeprefix("ref: ")
        commit = head if name == head else next(_commits(git, name), "")
    except (OSError, ValueError):
        return ""
    return commit if _COMMIT.fullmatch(commit) else ""


def _commits(git: Path, name: str) -> Iterator[str]:
    """The commit of a reference, as a file of its own or packed; worktrees share them."""
    common = git / _read(git / "commondir").strip() if (git / "commondir").exists() else git
    for path in (git / name, common / name):
        if path.is_file():
            yield _read(path).strip()
    for line in _read(common / "packed-refs").splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            yield commit


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode()


def _installed_commit() -> str:
    """The commit that pip has noted when it installed from a repository."""
    try:
        text = distribution(_PACKAGE).read_text("direct_url.json") or "{}"
        origin = msgspec.json.decode(text, type=_DirectUrl)
    except (PackageNotFoundError, OSError, ValueError):
        return ""
    commit = origin.vcs_info.commit_id if origin.vcs_info else ""
    return commit if _COMMIT.fullmatch(commit) else ""


def _version_or_missing(name: str) -> str:
    try:
        return version_of(name)
    except PackageNotFoundError:
        return "(not installed)"
