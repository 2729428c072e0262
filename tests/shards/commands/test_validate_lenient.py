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
    directive(rule(1, occurrence="§0"), rule(2)): f"7 1 occurrence: is 0, {FIRST}; taken as 1",
    directive(rule(1, occurrence="§5"), rule(2)): f"7 1 occurrence: is 5, {FIRST}; taken as 1",
    directive(rule(1), rule(2, occurrence="§0")): (
        f"7 2 occurrence: is 0, {WHOLE} from 1 up; taken as 1"
    ),
    directive(rule(1), rule(2, timeout="§-1")): (
        f"7 2 timeout: is -1, {WHOLE} from 0 up; taken as 0"
    ),
}
ABSENT = {
    "§" + directive(priority=None): f"7 - priority: is missing, {WHOLE} from 1 to 5; taken as 1",
    directive("§" + rule(1, occurrence="null"), rule(2)): (
        f"7 1 occurrence: is missing, {WHOLE} from 1 up; taken as 1"
    ),
    directive(rule(1), "§" + rule(2, occurrence=None)): (
        f"7 2 occurrence: is missing, {WHOLE} from 1 up; taken as 1"
    ),
    directive(rule(1), "§" + rule(2, reliability=None)): (
        f"7 2 reliability: is missing, {WHOLE} from 0 to 10; taken as 0"
    ),
    directive(
        "§" + rule(1, name=None), rule(2)
    ): "7 1 name: is missing, must be a text; taken as empty",
}


REFERENCES = {
    directive(rule(1), rule(2, from_='§":2"')): (
        ":2",
        "must be :1; matches nothing, as in Dsiem (Go)",
    ),
    directive(rule(1), rule(2, from_='§":3"'), rule(3, from_='":1"')): (
        ":3",
        "must be :1; matches nothing, as in Dsiem (Go)",
    ),
    directive(rule(1), rule(2, from_='§":3"'), rule(3, from_='"!HOME_NET"')): (
        ":1",
        "must be :1; taken as :1, the value of the opening event",
    ),
    directive(rule(1), rule(2, from_='§":3"'), rule(3, from_='"192.0.2.0/24"')): (
        "192.0.2.0/24",
        'must be :1; taken as its condition, the text "192.0.2.0/24"',
    ),
}


@pytest.mark.parametrize(
    ("code", "item", "line"),
    [
        *(("out-of-range", *case) for case in REPAIRED.items()),
        *(("missing", *case) for case in ABSENT.items()),
    ],
)
def test_what_is_repaired_gives_a_warning(
    code: str, item: str, line: str, validate: Validate
) -> None:
    marked = directives(item)
    file = write("directives_x.json", marked)
    assert validate(file).code == 1
    result = validate(LENIENT, file)
    assert result.lines == lines_for(file, marked, [f"warning/{code} {line}"])
    assert result.err == "1 file, 1 directive, 0 assets: 0 faults, 1 warning, 0 lints\n"
    assert result.code == 0


@pytest.mark.parametrize("item", REFERENCES)
def test_a_reference_to_its_own_or_a_later_stage(item: str, validate: Validate) -> None:
    marked = directives(item)
    text, consequence = REFERENCES[item]
    file = write("directives_x.json", marked)
    assert validate(file).code == 1
    [line] = validate(LENIENT, "--ignore", "no-reference", file).lines
    assert line.startswith(lines_for(file, marked, ["warning/bad-reference 7 2 from: is a ref"])[0])
    assert line.endswith(consequence)
    assert repaired(marked.replace("§", "")).rules[1].from_ == text


@pytest.mark.parametrize("stage", [1, 2])
def test_a_faulty_reference_in_the_protocol_is_any(stage: int, validate: Validate) -> None:
    """Dsiem (Go) runs such directives, since it never compares protocols."""
    rules = [rule(1), rule(2)]
    rules[stage - 1] = rule(stage, protocol='§":2"')
    marked = directives(directive(*rules))
    file = write("directives_x.json", marked)
    assert validate(file).code == 1
    result = validate(LENIENT, file)
    [line] = result.lines
    assert result.code == 0
    assert line.endswith("taken as ANY, as in Dsiem (Go)")
    assert repaired(marked.replace("§", "")).rules[stage - 1].protocol == "ANY"


def test_field_names_in_other_capitals(validate: Validate) -> None:
    """As Dsiem (Go) reads them."""
    marked = directives(
        directive(
            rule(1), rule(2, timeout=None, TimeOut="§7"), priority=None, Priority="§2", ID="§9"
        )
    )
    file = write("directives_x.json", marked)
    assert validate(file).code == 1
    result = validate(LENIENT, file)
    ignored = "is not a known field, and is ignored; the nearest known one is id"
    lines = [
        "warning/unknown-field 7 2 TimeOut: is not a known field; taken as timeout",
        "warning/unknown-field 7 - Priority: is not a known field; taken as priority",
        f"warning/unknown-field 7 - ID: {ignored}",
    ]
    assert result.lines == lines_for(file, marked, lines)
    found = repaired(marked.replace("§", ""))
    assert (found.id, found.priority, found.rules[1].timeout) == (7, 2, 7)


def test_of_a_key_that_is_there_twice_the_last_is_taken(validate: Validate) -> None:
    marked = directives(directive().replace('"priority": 3', '"priority": 4, §"priority": 2'))
    file = write("directives_x.json", marked)
    assert validate(file).code == 1
    [line] = validate(LENIENT, file).lines
    assert line.startswith(lines_for(file, marked, ["warning/duplicate-key 7 - priority: "])[0])
    assert repaired(marked.replace("§", "")).priority == 2


def repaired(text: str) -> Directive:
    [checked] = parse_directives(text.encode(), lenient=True)
    assert checked.directive is not None
    return checked.directive


def test_values_are_repaired_as_the_warning_says() -> None:
    for value, priority in {"-1": 1, "0": 1, "1": 1, "5": 5, "6": 1, "9" * 30: 1}.items():
        assert repaired(directives(directive(priority=value))).priority == priority
    for value, reliability in {"-1": 0, "0": 0, "10": 10, "11": 10, "9" * 30: 10}.items():
        assert repaired(second(reliability=value)).rules[1].reliability == reliability
    assert repaired(directives(directive(priority=None))).priority == 1
    absent = repaired(second(name=None, occurrence=None, reliability=None)).rules[1]
    assert (absent.name, absent.occurrence, absent.reliability) == ("", 1, 0)
    below = repaired(second(occurrence="-3", timeout="-5")).rules[1]
    assert (below.occurrence, below.timeout) == (1, 0)
    both = directives(directive(rule(2, occurrence="9"), rule(1, occurrence="9")))
    assert [record.occurrence for record in repaired(both).rules] == [1, 9]


NOT_REPAIRED = [
    directive(id="8", name='""'),
    directive(id="8", priority='"3"'),
    directive(id="0"),
    directive(rule(1), rule(3), id="8"),
    directive(rule(1), rule(2, occurrence="9" * 30), id="8"),
    directive(rule(1), rule(2, timeout="9" * 30), id="8"),
    directive(rule(1, from_='":1"'), rule(2), id="8"),
    directive(rule(1), rule(2, from_='":3"'), id="8"),
    directive(rule(1), rule(2, from_='":1 "'), id="8"),
    directive(rule(1), rule(2, from_='":2.to"'), id="8"),
    directive(rule(1), rule(2, from_='"!:2"'), id="8"),
    directive(rule(1), rule(2, type=None), id="8"),
    directive(rule(1), rule(2, port_to='"0"', reliability="11"), id="8", priority="0"),
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
    assert result.err.startswith("2 files, 1 directive, 1 asset: 0 faults, ")
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
    assert result.err == "1 file, 1 directive, 0 assets: 0 faults, 2 warnings, 0 lints\n"
    assert result.code == 0


def test_assets_and_broken_files_stay_faults(validate: Validate) -> None:
    write("c/directives_a.json", directives(directive()))
    write("c/directives_b.json", "{")
    write("c/assets_a.json", document("assets", asset(), asset(value="0")))
    result = validate(LENIENT, "c")
    assert (result.codes, result.code) == (["out-of-range", "bad-json"], 1)
