"""The test command on a small company (see replaying), run in a folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from loguru import logger

import cli
from tests.support.commands import Ran
from tests.support.replaying import write_config

FILE = "conf/a_test.yaml"
HEAD = "defaults: {plugin_id: 1001, src_ip: 192.0.2.1, dst_ip: 10.0.0.1}\ntests:\n"
LOGINS = "[{plugin_sid: 1}, {at: 1s, plugin_sid: 2, repeat: 2}]"
"""Events that finish both stages of directive 1."""


class CommandResult(Ran):
    """What the command did."""

    @property
    def messages(self) -> list[str]:
        """The messages of all failures, of --format json."""
        return [f["message"] for test in self.document["tests"] for f in test["failures"]]

    @property
    def problems(self) -> list[str]:
        """What was printed about faulty files, without the line about the consequence."""
        *problems, end = self.err.splitlines()
        assert end == "no test was run: there are faults"
        return problems


class RunTests(NamedTuple):
    """Runs the command; the folder `conf` has directives 1 and 2, and assets."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, text: str | bytes, *options: str) -> CommandResult:
        """With a file of this content."""
        content = text.encode() if isinstance(text, str) else text
        Path(FILE).write_bytes(content)
        return self.of(FILE, *options)

    def of_one(self, events: str, more: str = "expect: []", *options: str) -> CommandResult:
        """With one test of these events (YAML), and `more` keys of it; its result is JSON."""
        lines = "\n".join(f"    {line}" for line in (f"events: {events}", *more.splitlines()))
        return self(f"{HEAD}  - name: t\n{lines}\n", "--format", "json", *options)

    def of(self, *arguments: str) -> CommandResult:
        """With these paths and options; nothing that it prints is a traceback."""
        result = CommandResult(cli.main(["test", *arguments]), *self.capsys.readouterr())
        assert "Traceback" not in result.out + result.err
        return result


def running_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunTests]:
    """The command in an empty folder; for a fixture to yield from."""
    for name in [name for name in os.environ if name.startswith("DSIEM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    write_config()
    yield RunTests(capsys)
    logger.remove()
