"""The validate command on hostile or damaged files: one line each, never a traceback."""

import codecs
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.directives.json_document import MAX_DEPTH
from shards.config.problem import MAX_LISTED
from tests.support.invalid_config.build import (
    GOOD_ASSETS,
    MARK,
    asset,
    directive,
    directives,
    document,
    lines_for,
    long_form,
    places,
    rule,
    second,
    source,
    write,
)
from tests.support.invalid_config.command import Validate, command
from tests.support.invalid_config.words import UNIQUE, WHOLE

DEEP = 100_000
GOOD = directives(directive()).encode()
NO_COPIES = ("--ignore", "same-rules")
"""For documents of many directives with the same rules."""


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Validate]:
    yield from command(tmp_path, monkeypatch, capsys)


class Spoiled(NamedTuple):
    """Bytes of a file, and the place and text of the expected line."""

    data: bytes
    place: str
    finding: str


BOM = "bom - - -: begins with a byte order mark, must begin with {"
SPOILED = {
    "a byte order mark": Spoiled(codecs.BOM_UTF8 + GOOD, "1:1", BOM),
    "a byte order mark alone": Spoiled(codecs.BOM_UTF8, "1:1", BOM),
    "UTF-16": Spoiled(GOOD.decode().encode("utf-16"), "1:1", "not-utf8 0xff"),
    "Latin-1": Spoiled(GOOD.replace(b'"d"', b'"caf\xe9"'), "4:15", "not-utf8 0xe9"),
    "UTF-8, then Latin-1": Spoiled(
        '{"directives": ["ä", "'.encode() + b'\xe9"]}', "1:23", "not-utf8 0xe9"
    ),
    "a surrogate": Spoiled(GOOD.replace(b'"d"', b'"\xed\xa0\x80"'), "4:12", "not-utf8 0xed"),
    "cut in a character": Spoiled(b'{"a": "\xc3', "1:8", "not-utf8 0xc3"),
    "nothing": Spoiled(b"", "1:1", "bad-json - - -: is empty, must be a JSON object"),
    "a zero byte": Spoiled(b"\0", "1:1", "bad-json - - -: is not JSON: expecting value"),
}


@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("file", ["directives_x.json", "assets_x.json", "vuln_x.json", "x.json"])
def test_bytes_that_are_no_document(name: str, file: str, validate: Validate) -> None:
    data, place, finding = SPOILED[name]
    code, _, byte = finding.partition(" ")
    if code == "not-utf8":
        finding = f"not-utf8 - - -: is not UTF-8: byte {byte}, must be saved as UTF-8"
    result = validate("--strict-lookups", write(file, data))
    assert result.lines == [f"{file}:{place}: {long_form(finding)}"]
    assert result.code == 1


def test_blanks_alone_are_an_empty_file(validate: Validate) -> None:
    result = validate(write("directives_x.json", b" \r\n\t\n"))
    [line] = result.lines
    assert line.endswith(": error bad-json: is empty, must be a JSON object")
    assert result.code == 1


def test_a_document_cut_anywhere_gets_one_line(validate: Validate) -> None:
    for length in range(0, len(GOOD.rstrip()), 7):
        result = validate(write("directives_x.json", GOOD[:length]))
        assert (result.codes, result.code) == (["bad-json"], 1)


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"]
)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "cut"])
def test_nested_far_too_deep(opening: str, closing: str, whole: bool, validate: Validate) -> None:
    deep = opening * DEEP + ("1" + closing * DEEP if whole else "")
    for text, levels in ((deep, 0), (directives(directive(unknown=deep)), 3)):
        start = text.index(opening * DEEP)
        allowed = (MAX_DEPTH - levels) * len(opening)
        marked = text[: start + allowed] + MARK + text[start + allowed :]
        result = validate(write("directives_x.json", marked))
        [(line, column)] = places(marked)
        assert result.lines[0].startswith(f"directives_x.json:{line}:{column}: error too-deep: ")
        assert len(result.lines) == 1
        assert result.lines[0].endswith(f" at most {MAX_DEPTH} levels")
        assert result.code == 1


def test_nested_as_deep_as_allowed(validate: Validate) -> None:
    levels = MAX_DEPTH - 3
    deep = directives(directive(unknown="[" * levels + "]" * levels))
    assert validate(write("directives_x.json", deep)).code == 0


def test_lists_without_end(validate: Validate) -> None:
    endless = [rule(1), rule(2), *(rule(2, stage="§2") for _ in range(3000))]
    marked = directives(directive(*endless))
    result = validate("--all", write("directives_x.json", marked))
    line = "bad-stage 7 2 stage: is 2 a second time, must be there once"
    assert result.lines == lines_for("directives_x.json", marked, [line] * 3000)
    marked = second(plugin_sid="[" + ", ".join(["§0"] * 3000) + "]")
    result = validate("--all", write("directives_x.json", marked))
    line = f"out-of-range 7 2 plugin_sid: is 0, {WHOLE} from 1 up"
    assert result.lines == lines_for("directives_x.json", marked, [line] * 3000)


@pytest.mark.parametrize("digits", ["1" * 5000, "-" + "1" * 5000, "1" * 100_000], ids=len)
def test_a_number_without_end_is_a_line_and_no_traceback(digits: str, validate: Validate) -> None:
    documents = {
        "directives_a.json": directives(directive(priority=digits)),
        "directives_b.json": second(plugin_sid=f"[{digits}]"),
        "directives_c.json": f'{{"directives": {digits}}}',
        "directives_d.json": digits,
        "assets_a.json": document("assets", asset(value=digits)),
        "intel_a.json": document("intel_sources", source(enabled=digits)),
    }
    for file, text in documents.items():
        result = validate("--strict-lookups", write(file, text))
        [line] = result.lines
        assert line.startswith(f"{file}:")
        assert len(line) < 300
        assert result.code == 1


@pytest.mark.parametrize("text", ["1e400", "-1e400"])
def test_a_number_that_nothing_holds_is_a_line(text: str, validate: Validate) -> None:
    result = validate(write("directives_x.json", directives(directive(priority=text))))
    assert (len(result.lines), result.code) == (1, 1)


def test_texts_of_a_file_reach_the_terminal_escaped_and_shortened(validate: Validate) -> None:
    hostile = json.dumps("\x1b[2J\r\n\u202e" + "x" * 10_000)
    documents = {
        "assets_a\x1b.json": document("assets", asset(cidr=hostile, name=hostile)),
        "directives_a.json": second(from_=hostile, type=hostile, sticky_different=hostile),
        "directives_b.json": directives(hostile, directive(id=hostile, rules=hostile)),
        "intel_a.json": document("intel_sources", source(config=hostile)),
    }
    for file, text in documents.items():
        result = validate("--strict-lookups", write(file, text))
        assert result.code == 1
        lines = result.out.removesuffix("\n").split("\n")
        assert all(line.isprintable() and len(line) < 400 for line in lines)
    missing = validate("none\x1b[2J.json")
    assert missing.code == 2
    assert all(line.isprintable() for line in missing.err.removesuffix("\n").split("\n"))


TWICE = "is there a second time in one object, must be there once"
DUPLICATE_KEYS = {
    '"priority": 9, §"priority": §8': "out-of-range 7 - priority: is 8",
    '"priority": 7, §"priority": §77': "out-of-range 7 - priority: is 77",
    '"priority": 7.5, §"priority": §7': "out-of-range 7 - priority: is 7",
    '"priority": {"a": 1}, §"priority": §{}': "wrong-type 7 - priority: is an object",
    '"priority": [[], "]"], §"priority": §[]': "wrong-type 7 - priority: is a list",
    '"priority": "\\"", §"priority": §""': 'wrong-type 7 - priority: is the text ""',
    '"priority": 6, §"\\u0070riority": §7': "out-of-range 7 - priority: is 7",
    '"priority": "a:b", §"priority": §7': "out-of-range 7 - priority: is 7",
    '"priority": 6, "_": "\\u003a", §"priority": §7': "out-of-range 7 - priority: is 7",
    f'"priority": {"9" * 30}, "_": {"9" * 30}, §"priority": §7': "out-of-range 7 - priority: is 7",
}


@pytest.mark.parametrize("fields", DUPLICATE_KEYS)
def test_of_duplicate_keys_the_last_one_counts(fields: str, validate: Validate) -> None:
    marked = directives(directive().replace('"priority": 3', fields))
    result = validate(write("directives_x.json", marked))
    lines = [
        f"duplicate-key 7 - priority: {TWICE}",
        f"{DUPLICATE_KEYS[fields]}, {WHOLE} from 1 to 5",
    ]
    assert result.lines == lines_for("directives_x.json", marked, lines)
    assert result.code == 1


TIMEOUT_TWICE = rule(1).replace('"timeout": 60', '"timeout": 9,\n  §"timeout": 60')
CIDR_TWICE = asset().replace('"cidr"', '"cidr": "10.0.0.0/9", §"cidr"')
NAME_TWICE = source().replace('"name"', '"name": "x", §"name"')
PLACES_OF_DUPLICATES = {
    "a directive": (
        directives(
            directive().replace('"id"', '"name": "x", "id"').replace('"name": "d"', '§"name": "d"')
        ),
        "7 - name",
    ),
    "a rule": (directives(directive(), directive(TIMEOUT_TWICE, rule(2), id="8")), "8 - timeout"),
    "a note": (directives(directive(_note='[{"é": {"a": 1, "b": 2, §"a": 3}}]')), "7 - a"),
    "the rules": (
        directives(directive(rules='[], §"rules": [' + rule(1) + "," + rule(2) + "]")),
        "7 - rules",
    ),
    "the document": ('{"directives": [{}], §' + directives(directive())[1:], "- - directives"),
    "an asset": (document("assets", asset(), CIDR_TWICE), "- - cidr"),
    "assets": ('{"assets": [], §' + document("assets", asset())[1:], "- - assets"),
    "a source": (document("intel_sources", NAME_TWICE), "- - name"),
}


@pytest.mark.parametrize("name", PLACES_OF_DUPLICATES)
def test_a_key_that_is_there_twice_is_a_fault(name: str, validate: Validate) -> None:
    marked, subject = PLACES_OF_DUPLICATES[name]
    result = validate("--strict-lookups", write("x.json", marked))
    line = f"duplicate-key {subject}: {TWICE}"
    assert result.lines == lines_for("x.json", marked, [line])
    assert result.code == 1


def test_a_key_twice_in_the_config_of_a_source_is_a_fault(validate: Validate) -> None:
    config = json.dumps('{"url": "http://a:1/${ip}", "url": "http://b:1/${ip}"}')
    marked = document("intel_sources", source(config=MARK + config))
    result = validate("--strict-lookups", write("intel_x.json", marked))
    line = "bad-source - - config: has the key url twice, must have it once"
    assert result.lines == lines_for("intel_x.json", marked, [line])


def test_a_text_that_looks_like_a_key_is_none(validate: Validate) -> None:
    text = directives(directive(name='"a \\": b \\"priority\\": \\u003a"'))
    assert validate(write("directives_x.json", text)).lines == []


def test_keys_that_are_there_twice_are_listed_up_to_a_bound(validate: Validate) -> None:
    many = ", ".join(['"a": 1'] * 50_000)
    result = validate(write("directives_x.json", directives(directive(_note=f"{{{many}}}"))))
    assert result.codes == ["duplicate-key"] * 20


def test_unknown_fields_are_listed_up_to_a_bound(validate: Validate) -> None:
    many = ", ".join(f'"field{number}": 1' for number in range(50_000))
    text = directives(directive().replace('"id"', f'{many}, "id"'), directive(id="8"))
    result = validate(*NO_COPIES, write("directives_x.json", text))
    assert result.codes == ["warning/unknown-field"] * 21
    assert [
        line
        for line in result.lines
        if line.endswith("has 49980 more unknown fields, which are ignored")
    ]


def with_ids(*texts: str) -> str:
    return directives(*(directive(id=text) for text in texts))


def line_of_id(text: str, id_: int) -> int:
    return text[: text.index(f'"id": {id_}')].count("\n") + 1


def test_an_id_twice_in_a_file(validate: Validate) -> None:
    marked = with_ids("8", "7", "§8", "§8")
    result = validate(*NO_COPIES, write("directives_x.json", marked))
    line = f"duplicate-id 8 - id: is 8 as in directives_x.json:{line_of_id(marked, 8)}, {UNIQUE}"
    assert result.lines == lines_for("directives_x.json", marked, [line, line])
    assert result.code == 1


def test_an_id_twice_over_files(validate: Validate) -> None:
    first, marked = with_ids("5", "6"), with_ids("§6", "9")
    write("c/assets_a.json", GOOD_ASSETS)
    write("c/directives_a.json", first)
    write("c/directives_b.json", marked)
    result = validate(*NO_COPIES, "c")
    line = f"duplicate-id 6 - id: is 6 as in c/directives_a.json:{line_of_id(first, 6)}, {UNIQUE}"
    assert result.lines == lines_for("c/directives_b.json", marked, [line])
    assert result.code == 1


def test_the_id_of_a_faulty_directive_counts_and_that_of_a_disabled_one_does_not(
    validate: Validate,
) -> None:
    marked = directives(
        directive(id="1", priority="§9"),
        directive(id="§1"),
        directive(id="2", disabled="§true"),
        directive(id="2"),
    )
    result = validate(write("directives_x.json", marked))
    expected = [
        f"out-of-range 1 - priority: is 9, {WHOLE} from 1 to 5",
        f"duplicate-id 1 - id: is 1 as in directives_x.json:3, {UNIQUE}",
        "warning/disabled 2 - disabled: is true: the directive is skipped",
    ]
    assert result.lines == lines_for("directives_x.json", marked, expected)


def check_linear(work: Callable[[int], None], number: int) -> None:
    """Check that the CPU time of `work` does not grow with the square of its number of items.

    The square would make it 64 times as long for 8 times as many items.
    """

    def seconds(items: int) -> float:
        started = time.process_time()
        work(items)
        return time.process_time() - started

    assert seconds(number) < 24 * seconds(number // 8)


def test_the_time_for_repeated_ids_is_linear(validate: Validate) -> None:
    """A copy of a file that was left in the folder repeats every id in it."""
    write("c/assets_a.json", GOOD_ASSETS)

    def work(number: int) -> None:
        text = with_ids(*map(str, range(1, number + 1)))
        write("c/directives_a.json", text)
        write("c/directives_a_old.json", text)
        result = validate("--all", *NO_COPIES, "c")
        assert (result.codes, result.code) == (["duplicate-id"] * number, 1)

    check_linear(work, 1600)


def test_the_time_for_faults_on_one_long_line_is_linear(validate: Validate) -> None:
    def work(number: int) -> None:
        one = directive(name='"é"', priority="§0").replace("\n", "")
        marked = f'{{"directives": [{",".join([one] * number)}]}}'.replace('"id": 7', '"id": null')
        result = validate("--all", write("directives_x.json", marked))
        assert len(result.lines) == 2 * number
        at = [line for line in result.lines if " out-of-range: " in line]
        line = f"out-of-range - - priority: is 0, {WHOLE} from 1 to 5"
        assert at == lines_for("directives_x.json", marked, [line] * number)

    check_linear(work, 4000)


def test_a_large_file_with_a_fault_at_its_end(validate: Validate) -> None:
    items = [directive(id=str(n)) for n in range(1, 8001)]
    marked = directives(*items, directive(id="9000", priority="§0"))
    result = validate(*NO_COPIES, write("directives_x.json", marked))
    line = f"out-of-range 9000 - priority: is 0, {WHOLE} from 1 to 5"
    assert result.lines == lines_for("directives_x.json", marked, [line])


def test_at_most_a_thousand_problems_are_listed_unless_all_are_wanted(validate: Validate) -> None:
    Path("assets_a.json").write_text(GOOD_ASSETS)
    Path("directives_a.json").write_text('{"directives": [' + ",".join(["{}"] * 5000) + "]}")
    result = validate(".")
    assert result.code == 1
    assert len(result.lines) == MAX_LISTED
    assert "29000 more problems are not listed here; validate --all lists all" in result.err
    assert "30,000 faults, 0 warnings" in result.err
    document = json.loads(validate("--format", "json", ".").out)
    assert (document["faults"], len(document["problems"])) == (30_000, MAX_LISTED)
    assert len(validate("--all", ".").lines) == 30_000
