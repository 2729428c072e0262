"""Finds files of a configuration folder that look like configuration, but are not read."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from engine.errors import Finding
from shards.errors import PathError

_JSON_NAME = re.compile(r"\s*([a-z]+).*\.(json[5cl]?(\.txt)?|jsn|js)\s*", re.IGNORECASE | re.DOTALL)
"""A name that begins with a word and has an ending like that of JSON; hidden files have none."""
_FIRST_KEY = re.compile(rb'\s*\{\s*"(\w+)"\s*:\s*\[')
_READ = 4096
"""Number of bytes that are read of a file to see what it holds."""
_NEAR = 0.75
"""The similarity, from 0 to 1, from which a word is taken for a kind."""


def find_unread_files(
    folder: Path, read: Iterable[Path], keys: dict[str, str]
) -> Iterator[tuple[Path, Finding]]:
    """Each file whose name or content is like that of a configuration file, with a warning.

    `read`: the files that are read. `keys`: the key of the list in a file, by kind. PathError if
    the folder cannot be read.
    """
    known = set(read)
    for path in _files(folder):
        if path in known:
            continue
        kind = _kind_by_name(path.name, keys) or _kind_by_content(path, keys)
        if kind is not None:
            message = f"looks like {_describe(kind)}, but is not read: must be named {kind}_*.json"
            yield path, Finding("unread-file", message, warning=True)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise PathError(f"{folder} cannot be read: {error.strerror}") from error


def _describe(kind: str) -> str:
    return {"assets": "an assets file", "intel": "an intel file"}.get(kind, f"a {kind} file")


def _kind_by_name(name: str, kinds: Iterable[str]) -> str | None:
    named = _JSON_NAME.fullmatch(name)
    if named is None:
        return None
    word = named[1].lower()
    for kind in kinds:
        if word.startswith(kind.removesuffix("s")):
            return kind
    return next(iter(get_close_matches(word, kinds, n=1, cutoff=_NEAR)), None)


def _kind_by_content(path: Path, keys: dict[str, str]) -> str | None:
    """The kind of a file that begins like one; None also if it cannot be read: nobody needs it."""
    if path.suffix.lower() != ".json" or path.name.startswith("."):
        return None
    try:
        with path.open("rb") as file:
            first = _FIRST_KEY.match(file.read(_READ))
    except OSError:
        return None
    return next((kind for kind, key in keys.items() if first and first[1] == key.encode()), None)
