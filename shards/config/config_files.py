"""The files of a configuration folder: their kinds, found by name, and their content."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from shards.errors import PathError

LIST_KEYS = {
    "assets": "assets",
    "directives": "directives",
    "intel": "intel_sources",
    "vuln": "vuln_sources",
}
"""The key of the list in a file, by the prefix of its name."""
FilesByKind = Mapping[str, Sequence[Path]]
"""Configuration files by kind, in reading order."""


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; PathError if its own folder is closed, or its name too long."""
    try:
        return path.is_dir()
    except OSError as error:
        raise PathError(f"{path} cannot be read: {error.strerror}") from error


def config_files(folder: Path) -> dict[str, list[Path]]:
    """The configuration files of a folder by kind, in reading order; PathError if unreadable."""
    if not is_folder(folder):
        raise PathError(f"{folder} is not a folder" if folder.exists() else f"{folder} is missing")
    try:
        return {kind: sorted(folder.glob(f"{kind}_*.json")) for kind in LIST_KEYS}
    except OSError as error:
        raise PathError(f"{folder} cannot be read: {error.strerror}") from error


def kind_of(path: Path, data: bytes) -> str | None:
    """The kind of a file, by its name, or else by the known key in its content."""
    for kind in LIST_KEYS:
        if path.name.startswith(f"{kind}_"):
            return kind
    try:
        keys = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "directives"  # whose reader reports the fault
    return next((kind for kind, key in LIST_KEYS.items() if key in keys), None)


def read_file(path: Path) -> bytes:
    """The content of a file; PathError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PathError(f"{path} cannot be read: {error.strerror}") from error
