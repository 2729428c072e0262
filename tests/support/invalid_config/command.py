"""The validate command, run in a folder of its own."""

import os
import re
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
        """The codes of what was found, with the severity of what is no fault: `lint/no-risk`."""
        found = re.findall(r"^.*?:\d+:\d+: (\w+) ([\w-]+): ", self.out, re.MULTILINE)
        return [code if severity == "error" else f"{severity}/{code}" for severity, code in found]


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
