"""Commands on recorded events, run in a folder of their own with the configs `old` and `new`.

A file of its own: replaying.py is about one command, with one config.
"""

import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, cast

import pytest

import cli
from tests.support.replaying import Json, ndjson


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Json:
        """What --format json said."""
        document: Json = json.loads(self.out)
        return document


class Run(NamedTuple):
    """Runs the command line."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ran:
        return Ran(cli.main(list(arguments)), *self.capsys.readouterr())

    def piped(self, content: bytes, *arguments: str) -> Ran:
        """With this content as standard input."""
        buffered = io.BufferedReader(cast(io.RawIOBase, io.BytesIO(content)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(buffered))
            return self(*arguments)


def write_events(*lines: Json | str | bytes, name: str = "events.ndjson") -> None:
    """A recording in the current folder."""
    Path(name).write_bytes(ndjson(*lines))


def lines_with(text: str, words: Iterable[str]) -> list[str]:
    """The lines of a text that hold all of these words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]
