"""The commands and flags in the documents are those of the program."""

import re
from pathlib import Path

from cli import COMMANDS
from shards.settings import command_line
from shards.settings.settings import SETTINGS_TABLE
from shards.settings.spellings import SETTINGS_BY_KEY, SETTINGS_FILE, canonical_arguments
from tests.support.pages import EACH_PAGE, all_pages, code_spans, typed_commands

FLAGS_OF_OTHERS = {
    "--hypothesis-profile",
    "--build",
    "--build-arg",
    "--constraint",
    "--correctness",
    "--count",
    "--deny-purge",
    "--force",
    "--from-literal",
    "--limit",
    "--no-healthcheck",
    "--peer",
    "--read-only",
    "--replicas",
    "--strict",
    "--subjects",
    "--upgrade",
    "--wait",
}
"""Flags of other programs, and of scripts in benchmarks/ and deploy/."""
GENERAL_FLAGS = {"--x", "--no-x", "--help", "--version", SETTINGS_FILE}


@EACH_PAGE
def test_the_program_accepts_each_command(page: Path) -> None:
    by_name = {command.name: command for command in COMMANDS}
    for variables, words in typed_commands(page):
        arguments = canonical_arguments([word for word in words.split() if word != "--help"])
        at = next((n for n, word in enumerate(arguments) if not word.startswith("-")), None)
        if at is None:
            assert arguments in ([], ["--version"]), words
            continue
        if len(arguments) == 1:  # its name in a sentence
            assert arguments[0] in by_name
            continue
        environ = dict(variable.split("=", 1) for variable in variables.split())
        operands = arguments[:at] + arguments[at + 1 :]
        command_line.parse_command(by_name[arguments[at]], operands, environ)


def test_the_documents_show_each_command() -> None:
    found = [words for page in all_pages() for _, words in typed_commands(page)]
    shown = {word for words in found for word in words.split()}
    assert {command.name for command in COMMANDS} <= shown


@EACH_PAGE
def test_the_program_has_each_flag(page: Path) -> None:
    if "benchmarks" in page.parts:  # flags of its scripts
        return
    found = {
        flag for span in code_spans(page) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)
    }
    known = {f"--{key}" for key in SETTINGS_BY_KEY}
    known |= {f"--no-{setting.key}" for setting in SETTINGS_TABLE.values()}
    assert found - known - FLAGS_OF_OTHERS - GENERAL_FLAGS == set()
