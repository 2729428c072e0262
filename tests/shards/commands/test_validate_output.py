"""What validate shows and where: the formats, --ignore and the counts."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from defusedxml.ElementTree import fromstring

from shards.exit_codes import NO_PATH, USAGE
from tests.support.invalid_config.build import (
    GOOD_ASSETS,
    directive,
    directives,
    lines_for,
    rule,
    write,
)
from tests.support.invalid_config.command import Validate, command
from tests.support.paths import EXAMPLE

COPIES = directives(directive(), directive(id="8"), directive(id="9", priority="9"))
"""A lint and a fault."""


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Validate]:
    yield from command(tmp_path, monkeypatch, capsys)


def test_a_lint_does_not_change_the_exit_code(validate: Validate) -> None:
    result = validate(write("directives_x.json", directives(directive(), directive(id="8"))))
    assert (result.codes, result.code) == (["lint/same-rules"], 0)
    assert result.err == "1 file, 2 directives, 0 assets: 0 faults, 0 warnings, 1 lint\n"


def test_what_other_backends_do_not_have_is_a_warning_if_it_is_asked_for(
    validate: Validate,
) -> None:
    marked = directives(
        directive(
            rule(1), rule(2, from_='§":1.to"', sticky_different='§["DST_IP", "DST_PORT"]'),
            rule(3, from_='":1"', to='§"!:1"', custom_data1='"a*"'), wildcards="§true",
        )
    )  # fmt: skip
    file = write("directives_x.json", marked)
    assert validate(file).codes == []
    result = validate("--portable", file)
    peers = "which other Dsiem backends do not have"
    assert result.lines == lines_for(
        file,
        marked,
        [
            f"warning/not-portable 7 2 from: is :1.to: a reference that names a field, {peers}",
            f"warning/not-portable 7 2 sticky_different: is a list, {peers}",
            f"warning/not-portable 7 3 to: is !:1: a reference with !, {peers}",
            f"warning/not-portable 7 - wildcards: is true: * and ? in texts, {peers}",
        ],
    )
    assert result.code == 0
    assert validate("--portable", "--ignore", "not-portable", file).out == ""


def test_problems_are_on_stdout_as_editors_read_them(validate: Validate) -> None:
    result = validate(write("directives_x.json", COPIES))
    pattern = re.compile(r"(.+?):(\d+):(\d+): (error|warning|lint) ([a-z0-9-]+): (.+)")
    found = [pattern.fullmatch(line) for line in result.lines]
    assert [match and match[4] for match in found] == ["lint", "error"]


@pytest.mark.parametrize("name", ["text", "github", "sarif", "junit"])
def test_each_format_has_the_totals_on_stderr_and_the_exit_code(
    name: str, validate: Validate
) -> None:
    result = validate("--format", name, write("directives_x.json", COPIES))
    assert result.code == 1
    assert result.err == "1 file, 2 directives, 0 assets: 1 fault, 0 warnings, 1 lint\n"
    assert result.out


@pytest.mark.parametrize("name", ["text", "json", "github", "sarif", "junit"])
def test_each_format_says_what_is_unreadable(name: str, validate: Validate) -> None:
    result = validate("--format", name, "none.json")
    assert result.code == NO_PATH
    assert "none.json cannot be read" in result.out + result.err


def test_json_has_lints_and_what_was_ignored(validate: Validate) -> None:
    file = write("directives_x.json", COPIES)
    document = json.loads(validate("--format", "json", file).out)
    assert [one["severity"] for one in document["problems"]] == ["lint", "fault"]
    assert (document["lints"], document["ignored"]) == (1, 0)
    document = json.loads(validate("--format", "json", "--ignore", "same-rules", file).out)
    assert (document["lints"], document["ignored"]) == (0, 1)


def test_the_example_configuration_has_no_problem(validate: Validate) -> None:
    result = validate(str(EXAMPLE / "configs"))
    assert (result.out, result.code) == ("", 0)


def test_sarif_and_junit_are_documents_of_their_own_on_stdout(validate: Validate) -> None:
    write("c/assets_a.json", GOOD_ASSETS)
    write("c/directives_a.json", COPIES)
    log = json.loads(validate("--format", "sarif", "c").out)
    assert [one["ruleId"] for one in log["runs"][0]["results"]] == ["same-rules", "out-of-range"]
    report = fromstring(validate("--format", "junit", "c").out)
    assert [(suite.get("name"), suite.get("failures")) for suite in report] == [
        ("c/assets_a.json", "0"),
        ("c/directives_a.json", "1"),
    ]


def test_what_is_not_listed_is_said_in_each_format(validate: Validate) -> None:
    many = directives(*(directive(id=str(number), priority="9") for number in range(1, 1101)))
    file = write("directives_x.json", many)
    for name in ("text", "github", "sarif", "junit"):
        result = validate("--format", name, file)
        assert result.err.startswith("100 more problems are not listed here")
    log = json.loads(validate("--format", "sarif", file).out)
    [note] = log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("100 more problems")


def test_ignored_codes_are_counted_and_not_listed(validate: Validate) -> None:
    no_time = rule(2, timeout="0", from_='":1"')
    text = directives(directive(rule(1), no_time), directive(rule(1), no_time, id="8"))
    result = validate("--ignore", "same-rules, no-timeout", write("directives_x.json", text))
    assert (result.out, result.code) == ("", 0)
    assert result.err == (
        "1 file, 2 directives, 0 assets: 0 faults, 0 warnings, 0 lints (3 ignored)\n"
    )


def test_faults_are_never_ignored(validate: Validate) -> None:
    file = write("directives_x.json", directives(directive(priority="9")))
    result = validate("--ignore", "out-of-range", file)
    assert (result.codes, result.code) == (["out-of-range"], 1)
    repaired = validate("--ignore", "out-of-range", "--lenient-directives", file)
    assert (repaired.codes, repaired.code) == ([], 0)  # then it is a warning


def test_codes_to_ignore_by_variable_and_settings_file(
    validate: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("directives_x.json", directives(directive(), directive(id="8")))
    settings = write("s.conf", "ignore: same-rules\n")
    assert validate("--settings", settings, file).out == ""
    monkeypatch.setenv("DSIEM_IGNORE", "same-rules,no-risk")
    assert validate(file).out == ""


def test_an_unknown_code_is_a_usage_error_that_names_the_nearest(
    validate: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("directives_x.json", directives(directive()))
    result = validate("--ignore", "no-risk,same-rule", file)
    assert result.code == USAGE
    assert result.err == (
        "dsiem-backend: --ignore has 'same-rule', should be a code of docs/lints.md; "
        "the nearest one is same-rules\n"
    )
    monkeypatch.setenv("DSIEM_IGNORE", "\x1b[2J")
    result = validate(file)
    assert result.code == USAGE
    assert result.err == (
        "dsiem-backend: DSIEM_IGNORE (--ignore) has '\\x1b[2J', should be a code of docs/lints.md\n"
    )


def test_faults_are_listed_before_warnings_and_those_before_lints(validate: Validate) -> None:
    copies = [directive(id=str(number)) for number in range(1, 1101)]
    faulty = [directive(id=str(number), priority="9") for number in range(2001, 2900)]
    warned = [directive(rule(1), rule(2, timeout="0"), id=str(n)) for n in range(3001, 3100)]
    file = write("directives_x.json", directives(*copies, *faulty, *warned))
    codes = validate(file).codes
    assert codes.count("out-of-range") == 899
    assert codes.count("warning/no-timeout") == 99
    assert codes.count("lint/same-rules") == 2


@pytest.mark.parametrize("name", ["text", "json", "github", "sarif", "junit"])
def test_a_file_name_that_is_no_utf8(name: str, validate: Validate) -> None:
    file = write("c\udcff.json", "{")
    result = validate("--format", name, file)
    assert result.code == 1
    assert result.out.isascii()
    assert validate("--format", name, "none\udcff.json").code == NO_PATH
