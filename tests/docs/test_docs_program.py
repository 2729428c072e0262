"""What the documents say of the program is what it does: commands, flags, log lines, records."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import fields

from cli import COMMANDS
from engine.alarm import AlarmRecord
from shards.settings import command_line
from shards.settings.command_line import SETTINGS_BY_KEY, SETTINGS_FILE, canonical_arguments
from shards.settings.settings import SETTINGS_TABLE
from tests.support.pages import column, commands, pages, spans, text_of
from tests.support.paths import ROOT

PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
NOT_OURS = {
    "--constraint",
    "--correctness",
    "--count",
    "--from-literal",
    "--limit",
    "--no-healthcheck",
    "--peer",
    "--read-only",
}
"""Flags of other programs, and of scripts in benchmarks/ and deploy/."""
ABOUT_FLAGS = {"--x", "--no-x", "--help", "--version", SETTINGS_FILE}
SAYING = {"warning", "error", "_say", "_say_once", "_warn", "_give_up", "_force"}
"""Functions that log what goes wrong."""
SHORTEST = 8
"""Of a piece of a message that says something."""


@PAGES
def test_commands_are_understood(page: Path) -> None:
    verbs = {verb.name: verb for verb in COMMANDS}
    for variables, words in commands(page):
        arguments = canonical_arguments([word for word in words.split() if word != "--help"])
        at = next((n for n, word in enumerate(arguments) if not word.startswith("-")), None)
        if at is None:
            assert arguments in ([], ["--version"]), words
            continue
        if len(arguments) == 1:  # its name in a sentence
            assert arguments[0] in verbs
            continue
        given = dict(variable.split("=", 1) for variable in variables.split())
        operands = arguments[:at] + arguments[at + 1 :]
        command_line.parse_command(verbs[arguments[at]], operands, given)


def test_commands_are_found() -> None:
    found = [words for page in pages() for _, words in commands(page)]
    assert {verb.name for verb in COMMANDS} <= {word for words in found for word in words.split()}


@PAGES
def test_flags_within_text_are_known(page: Path) -> None:
    if "benchmarks" in page.parts:  # those of its scripts
        return
    named = {flag for span in spans(page) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    known = {f"--{key}" for key in SETTINGS_BY_KEY} | {
        f"--no-{row.key}" for row in SETTINGS_TABLE.values()
    }
    assert named - known - NOT_OURS - ABOUT_FLAGS == set()


def messages() -> Iterator[str]:
    """The fixed pieces of all that is logged when something goes wrong."""
    for path in (ROOT / "cli.py", *ROOT.glob("shards/**/*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and _called(call) in SAYING:
                yield from _pieces(call)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")


def _pieces(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        for node in ast.walk(argument):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                piece = node.value.strip(" :,;.(")
                if len(piece) >= SHORTEST and " " in piece:
                    yield piece


def plain(text: str) -> str:
    return " ".join(text.split())


def test_each_log_line_of_trouble_is_explained() -> None:
    told = plain(text_of("operate.md"))
    found = set(messages())
    assert len(found) > 30
    assert [piece for piece in sorted(found) if plain(piece) not in told] == []


def test_each_log_line_that_is_explained_is_logged() -> None:
    sources = [path for path in ROOT.glob("shards/**/*.py") if path.name != "settings.py"]  # helps
    code = "\n".join(path.read_text("utf-8") for path in sources)
    joined = plain(re.sub(r'"\s*f?"', "", code))
    text = text_of("operate.md")
    for line in (*column(text, "in good times"), *column(text, "it says")):
        pieces = re.split(r" ?… ?|: ", line)
        assert all(plain(piece) in joined for piece in pieces), line


def test_the_fields_of_an_alarm_are_those_of_the_code() -> None:
    told = column(text_of("behaviour.md"), "in the alarm")
    assert [name for name in told if not name.isupper()] == [
        field.name for field in fields(AlarmRecord)
    ]


def test_the_peers_variables_are_those_of_the_code() -> None:
    row_ = r"^\| `(DSIEM_\w+)` \| `(--[\w-]+)` \| `?([^`|]*?)`? \|"
    told = re.findall(row_, text_of("migrating.md"), re.MULTILINE)
    assert len(told) > 20
    assert set(told) <= {
        (row.env, row.flag, row.spec.short or "") for row in SETTINGS_TABLE.values()
    }
