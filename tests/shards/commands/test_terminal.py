"""Output for people: stdout, stderr, and no progress bar without a terminal."""

import json

import pytest

from shards.commands.terminal import counted, print_error, print_json, print_line, progress


def test_lines_go_to_stdout_and_errors_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("a result")
    print_error("two\nlines")
    assert capsys.readouterr() == ("a result\n", "two\nlines\n")


def test_a_document_is_indented_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1]})
    assert capsys.readouterr() == ('{\n  "a": [\n    1\n  ]\n}\n', "")


def test_a_document_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"a": "\x9b2J\u202e\ufffe\U000e0001\\ \x1b ä😀"}
    print_json(document)
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert "ä😀" in out
    assert json.loads(out) == document


def test_an_error_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("no file \x1b[2J")
    assert capsys.readouterr().err == "no file \\x1b[2J\n"


def test_numbers_have_the_singular_or_the_plural() -> None:
    assert [counted(number, "fault") for number in (0, 1, 1200)] == [
        "0 faults",
        "1 fault",
        "1,200 faults",
    ]
    assert counted(2, "is", "are") == "2 are"


def test_without_a_terminal_there_is_no_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(100) as advance:
        advance(50)
    assert capsys.readouterr() == ("", "")
