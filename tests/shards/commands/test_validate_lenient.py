"""The validate command with --lenient-directives: what it repairs and what it leaves out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.directives.directive import Directive, parse_directives
from tests.support.invalid_config.build import (
    GOOD_ASSETS,
    asset,
    directive,
    directives,
    document,
    lines_for,
    rule,
    second,
    write,
)
from tests.support.invalid_config.command import Validate, command
from tests.support.invalid_config.words import FIRST, LEFT_OUT, TEXT, UNIQUE, WHOLE

LENIENT = "--lenient-directives"


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Validate]:
    yield from command(tmp_path, monkeypatch, capsys)


REPAIRED = {
    directive(priority="§0"): f"7 - priority: is 0, {WHOLE} from 1 to 5; taken as 1",
    directive(priority="§99"): f"7 - priority: is 99, {WHOLE} from 1 to 5; taken as 1",
    directive(rule(1), rule(2, reliability="§-4")): (
        f"7 2 reliability: is -4, {WHOLE} from 0 to 10; taken as 0"
    ),
    directive(rule(1), rule(2, reliability="§11")): (
        f"7 2 reliability: is 11, {WHOLE} from 0 to 10; taken as 10"
    ),
    directive(rule(1), rule(2, occurrence="§0")): (
        f"7 2 occurrence: is 0, {WHOLE} from 1 up; taken as 1"
    ),
    directive(
        rule(1), rule(2, timeout="§-1")
    ): f"7 2 timeout: is -1, {WHOLE} from 0 up; taken as 0",
    directive(rule(1, occurrence="§0"), rule(2)): f"7 1 occurrence: is 0, {FIRST}; taken as 1",
    directive(rule(1, occurrence="§5"), rule(2)): f"7 1 occurrence: is 5, {FIRST}; taken as 1",
}


@pytest.mark.parametrize("item", REPAIRED)
def test_what_is_repaired_gives_a_warning(item: str, validate: Validate) -> None:
    marked = directives(item)
    file = write("directives_x.json", marked)
    assert validate(file).code == 1
    result = validate(LENIENT, file)
    lines = [line for line in result.lines if "no-timeout" not in line]
    assert lines == lines_for(file, marked, [f"warning/out-of-range {REPAIRED[item]}"])
    assert "1 files, 1 directives, 0 assets: 0 faults, " in result.err
    assert result.code == 0


def repaired(text: str) -> Directive:
    [checked] = parse_directives(text.encode(), lenient=True)
    assert checked.directive is not None
    return checked.directive


def test_values_are_repaired_as_the_warning_says() -> None:
    for value, priority in {"-1": 1, "0": 1, "1": 1, "5": 5, "6": 1, "9" * 30: 1}.items():
        assert repaired(directives(directive(priority=value))).priority == priority
    for value, reliability in {"-1": 0, "0": 0, "10": 10, "11": 10, "9" * 30: 10}.items():
        assert repaired(second(reliability=value)).rules[1].reliability == reliability
    both = directives(directive(rule(2, occurrence="9"), rule(1, occurrence="9")))
    assert [record.occurrence for record in repaired(both).rules] == [1, 9]


def test_absent_values_are_those_that_dsiem_takes() -> None:
    assert repaired(directives(directive(priority=None))).priority == 1
    assert repaired(second(reliability=None)).rules[1].reliability == 0
    assert repaired(second(occurrence=None)).rules[1].occurrence == 1
    assert repaired(second(name=None)).rules[1].name == ""
    assert repaired(second(timeout="-5")).rules[1].timeout == 0


@pytest.mark.parametrize(
    ("referred", "taken"),
    [('"ANY"', ":1"), ('"HOME_NET"', ":1"), ('":1"', ":1"), ('"10.0.0.0/8"', "10.0.0.0/8")],
)
def test_a_reference_to_a_later_stage_is_resolved_as_dsiem_does(referred: str, taken: str) -> None:
    rules = rule(1), rule(2, from_='":3"'), rule(3, from_=referred)
    assert repaired(directives(directive(*rules))).rules[1].from_ == taken


def test_a_reference_to_the_own_stage_is_one_to_the_opening_event(validate: Validate) -> None:
    assert repaired(second(from_='":2"')).rules[1].from_ == ":1"
    [line] = validate(LENIENT, write("directives_x.json", second(from_='":2"'))).lines
    assert "warning/bad-reference 7 2 from: is a reference to stage 2 in stage 2" in line
    assert line.endswith('; taken as the text ":1"')


NOT_REPAIRED = [
    directive(id="8", name='""'),
    directive(id="8", priority='"3"'),
    directive(id="0"),
    directive(rule(1), id="8"),
    directive(rule(1), rule(3), id="8"),
    directive(rule(1, from_='":1"'), rule(2), id="8"),
    directive(rule(1), rule(2, from_='":9"'), id="8"),
    directive(rule(1), rule(2, port_to='"0"', reliability="11"), id="8", priority="0"),
    directive(id="8", name=None),
    "5",
]


@pytest.mark.parametrize("item", NOT_REPAIRED)
def test_what_cannot_be_repaired_is_left_out(item: str, validate: Validate) -> None:
    write("c/assets_a.json", GOOD_ASSETS)
    write("c/directives_a.json", directives(directive(), item))
    assert validate("c").code == 1
    result = validate(LENIENT, "c")
    assert all(code.startswith("warning/") for code in result.codes)
    assert [line for line in result.lines if line.endswith(f"; {LEFT_OUT}")]
    assert result.err.startswith("2 files, 1 directives, 1 assets: 0 faults, ")
    assert result.code == 0


def test_none_left_is_a_fault(validate: Validate) -> None:
    write("c/assets_a.json", GOOD_ASSETS)
    write("c/directives_a.json", directives(directive(name='""'), directive(name='""')))
    result = validate(LENIENT, "c")
    assert "no-directives" in result.codes
    assert result.code == 1


def test_of_an_id_twice_the_first_good_one_is_kept(validate: Validate) -> None:
    faulty, good = directive(name='§""'), directive(name='"good"')
    marked = directives(faulty, good, directive(id="§7", name='"late"'))
    result = validate(LENIENT, write("directives_x.json", marked))
    line = directives(faulty, good).rpartition('"id"')[0].count("\n") + 1
    expected = [
        f"warning/empty 7 - name: is empty, {TEXT}; {LEFT_OUT}",
        f"warning/duplicate-id 7 - id: is 7 as in directives_x.json:{line}, {UNIQUE}; {LEFT_OUT}",
    ]
    assert result.lines == lines_for("directives_x.json", marked, expected)
    assert result.err == "1 files, 1 directives, 0 assets: 0 faults, 2 warnings\n"
    assert result.code == 0


def test_assets_and_broken_files_stay_faults(validate: Validate) -> None:
    write("c/directives_a.json", directives(directive()))
    write("c/directives_b.json", "{")
    write("c/assets_a.json", document("assets", asset(), asset(value="0")))
    result = validate(LENIENT, "c")
    assert (result.codes, result.code) == (["out-of-range", "bad-json"], 1)
