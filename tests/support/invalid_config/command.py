"""The validate command, run in a folder of its own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from loguru import logger

import cli


class Result(NamedTuple):
    """What the command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What was found, a line each."""
        return self.out.splitlines()

    @property
    def codes(self) -> list[str]:
        """The codes of what was found."""
        return [line.split(" ")[1] for line in self.lines]


Validate = Callable[..., Result]


def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Validate]:
    """The command in an empty folder, to which paths are relative; for a fixture to yield from."""
    for name in [name for name in os.environ if name.startswith("DSIEM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        code = cli.main(["validate", *arguments])
        return Result(code, *capsys.readouterr())

    yield run
    logger.remove()
