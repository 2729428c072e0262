"""The validate command: each rule of the configuration broken once, with its line of output."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.directives.directive import parse_directives
from shards.commands import validate as validate_command
from shards.settings.settings import Settings
from tests.support.invalid_config import assets, conditions, documents, rules
from tests.support.invalid_config import directives as broken_directives
from tests.support.invalid_config.build import (
    GOOD_ASSETS,
    MARK,
    Case,
    asset,
    directive,
    directives,
    document,
    lines_for,
    places,
    rule,
    second,
    source,
    taxonomy,
    write,
)
from tests.support.invalid_config.command import Validate, command
from tests.support.invalid_config.words import CIDR, NOTHING_EARLIER, PORT, TYPES, WHOLE

CASES = [
    *assets.CASES,
    *broken_directives.CASES,
    *rules.CASES,
    *conditions.CASES,
    *documents.CASES,
]

STRICT = "--strict-lookups"


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Validate]:
    yield from command(tmp_path, monkeypatch, capsys)


def on_one_line(text: str) -> str:
    return "".join(line.lstrip() for line in text.splitlines())


LAYOUTS: dict[str, Callable[[str], str]] = {
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "tabs": lambda text: text.replace("\n  ", "\n\t"),
    "blank lines before": lambda text: "\n \n" + text,
    "one line": on_one_line,
    "one line, not ASCII": lambda text: on_one_line(text).replace(
        "{", '{"_é": "日本語 \N{GRINNING FACE}\\\\", ', 1
    ),
    "not ASCII, and escapes": lambda text: text.replace(
        '{\n  "', '{\n  "_ß": "\\"}],{[:\\u00e9\N{GRINNING FACE}", "'
    ),
}


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_document_gets_its_lines(case: Case, validate: Validate) -> None:
    result = validate(STRICT, write(case.file, case.document))
    assert result.lines == lines_for(case.file, case.document, case.lines)
    assert result.code == (0 if all("warning/" in line for line in case.lines) else 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_places_are_right_in_every_layout(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_this_layout = [case for case in CASES if "\n" in case.document]
    for number, case in enumerate(in_this_layout):
        marked = LAYOUTS[layout](case.document)
        file = write(str(tmp_path / f"{case.file.partition('_')[0]}_{number}.json"), marked)
        validate_command.run([Path(file)], Settings(strict_lookups=True))
        found = capsys.readouterr().out.splitlines()
        assert found == lines_for(file, marked, case.lines), case.name
    assert len(in_this_layout) > 250


GOOD_CHANGES: list[dict[str, str | None]] = [
    {"from_": '":1"', "to": '":1"', "port_from": '":1"', "port_to": '":1"', "protocol": '":1"'},
    {"custom_data1": '":1"', "custom_data2": '":1"', "custom_data3": '":1"'},
    {"from_": '"!HOME_NET"', "to": '" HOME_NET "'},
    {"from_": '"!10.0.0.1,,10.9.9.9/8 2001:db8::/32"', "to": '"::1"'},
    {"port_from": '""', "port_to": '"80, !443 8080,"', "protocol": '""'},
    {"port_from": '"ANY"', "port_to": '"1,65535"', "protocol": '"TCP/IP"'},
    {"custom_data1": '"a, !b,"', "custom_data2": '"!x"', "custom_data3": '" ANY "'},
    {"custom_label1": '"user"', "sticky_different": '"CUSTOM_DATA3"'},
    {"sticky_different": '""', "occurrence": "1000000"},
    {"port_to": "null", "protocol": "null", "custom_data1": "null"},
    {"sticky_different": "null", "reliability": "0"},
    {"reliability": "10", "_note": '{"deep": [1, {"x": null}]}'},
]


@pytest.mark.parametrize("changes", GOOD_CHANGES, ids=str)
def test_what_is_right_is_not_complained_of(
    changes: dict[str, str | None], validate: Validate
) -> None:
    summary = "1 file, 1 directive, 0 assets: 0 faults, 0 warnings, 0 lints\n"
    assert validate(write("directives_x.json", second(**changes))) == (0, "", summary)


def test_a_taxonomy_rule_needs_no_plugin_and_a_plugin_rule_no_product(validate: Validate) -> None:
    plain = taxonomy(1, subcategory="[]", plugin_id="0", plugin_sid="[]")
    listed = taxonomy(2, subcategory='["ANY", "x"]')
    other = rule(3, product="[]", category='""', subcategory="null")
    assert validate(write("directives_x.json", directives(directive(plain, listed, other))))[0] == 0


def test_rules_may_be_in_any_order_and_255_of_them(validate: Validate) -> None:
    many = [rule(stage) for stage in range(255, 0, -1)]
    assert validate(write("directives_x.json", directives(directive(*many)))).code == 0


def test_all_faults_of_all_files_are_reported_in_one_run(validate: Validate) -> None:
    broken = [
        Case(
            "assets",
            document("assets", asset(value="§0"), asset(cidr='§"x"')),
            [
                f"out-of-range - - value: is 0, {WHOLE} from 1 up",
                f'bad-address - - cidr: is the text "x", {CIDR}',
            ],
            "conf/assets_a.json",
        ),
        Case(
            "directives",
            directives(
                directive(
                    rule(1, type='§"x"', from_='§":1"'),
                    rule(2, reliability="§11", port_to='§"0"'),
                    priority="§0",
                ),
                directive(id="8", name='§""'),
            ),
            [
                f"out-of-range 7 - priority: is 0, {WHOLE} from 1 to 5",
                f'unknown-value 7 1 type: is the text "x", {TYPES}',
                f"bad-reference 7 1 from: is a reference to stage 1 in stage 1, {NOTHING_EARLIER}",
                f"out-of-range 7 2 reliability: is 11, {WHOLE} from 0 to 10",
                f'bad-condition 7 2 port_to: has the text "0", {PORT}',
                "empty 8 - name: is empty, must be a text, not empty",
            ],
            "conf/directives_a.json",
        ),
        documents.SYNTAX[0]._replace(file="conf/directives_b.json"),
        documents.SOURCES[0]._replace(file="conf/intel_a.json"),
        documents.SOURCES[-1]._replace(file="conf/vuln_a.json"),
    ]
    for case in broken:
        write(case.file, case.document)
    result = validate(STRICT, "conf")
    assert result.lines == [
        line for case in broken for line in lines_for(case.file, case.document, case.lines)
    ]
    assert result.code == 1
    assert result.err == "5 files, 0 directives, 0 assets: 11 faults, 0 warnings, 0 lints\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            directives(directive()),
            "1 file, 1 directive, 0 assets: 0 faults, 0 warnings, 0 lints\n",
        ),
        (GOOD_ASSETS, "1 file, 0 directives, 1 asset: 0 faults, 0 warnings, 0 lints\n"),
        (document("intel_sources", source()), "1 file, 0 directives, 0 assets: 0 faults, "),
        (document("vuln_sources", source()), "1 file, 0 directives, 0 assets: 0 faults, "),
    ],
)
def test_a_file_of_another_name_is_known_by_its_content(
    text: str, expected: str, validate: Validate
) -> None:
    result = validate(write("x.json", text))
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith(expected)


def test_a_file_that_is_no_config_is_a_fault(validate: Validate) -> None:
    right = "must have assets, directives, intel_sources, vuln_sources"
    result = validate(write("x.json", '{"rules": []}'))
    assert result.lines == [f"x.json:1:1: error unknown-file: is no config, {right}"]
    assert result.code == 1


def test_warnings_alone_are_0(validate: Validate) -> None:
    write("c/assets_a.json", document("assets", asset(cidr='"10.0.0.7/8"', value="9")))
    write("c/directives_a.json", directives(directive(), directive(id="8", disabled="true")))
    result = validate("c")
    assert result.codes == ["warning/host-bits", "warning/high-value", "warning/disabled"]
    assert result.code == 0
    assert result.err == "2 files, 1 directive, 1 asset: 0 faults, 3 warnings, 0 lints\n"


def test_json_for_machines(validate: Validate) -> None:
    marked = directives(directive(rule(1), rule(2, port_to='§"x"')), directive(disabled="§true"))
    result = validate("--format", "json", write("directives_x.json", marked), "none")
    [fault_at, warning_at] = places(marked)
    fault: dict[str, Any] = {
        "severity": "fault",
        "code": "bad-condition",
        "directive": 7,
        "stage": 2,
        "field": "port_to",
        "message": f'has the text "x", {PORT}',
    }
    warning: dict[str, Any] = {
        "severity": "warning",
        "code": "disabled",
        "directive": 7,
        "stage": None,
        "field": "disabled",
        "message": "is true: the directive is skipped",
    }
    document = json.loads(result.out)
    assert document["problems"] == [
        {"file": "directives_x.json", "line": line, "column": column} | row
        for (line, column), row in ((fault_at, fault), (warning_at, warning))
    ]
    assert document["unreadable"] == ["none cannot be read: No such file or directory"]
    assert (document["valid"], document["counts"]["files"]) == (False, 1)
    assert (result.code, result.err) == (2, "")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (directives(directive()), 0),
        (directives(directive(), directive(disabled="true")), 0),
        ("{", 1),
    ],
)
def test_json_says_valid_and_has_the_exit_code_of_text(
    text: str, code: int, validate: Validate
) -> None:
    file = write("directives_x.json", text)
    result = validate("--format", "json", file)
    assert result.code == code == validate(file).code
    assert json.loads(result.out)["valid"] == (code == 0)


def test_valid_documents_keep_their_values() -> None:
    text = directives(directive(taxonomy(2, subcategory='["x"]'), rule(1)))
    [checked] = parse_directives(text.replace(MARK, "").encode())
    assert checked.directive is not None
    first, last = (msgspec.to_builtins(record) for record in checked.directive.rules)
    common: dict[str, Any] = {"name": "r", "from": "ANY", "to": "HOME_NET", "reliability": 5}
    common |= {"port_from": "ANY", "port_to": "ANY", "protocol": "ANY", "timeout": 60}
    plugin = {"type": "PluginRule", "stage": 1, "occurrence": 1, "plugin_id": 1001}
    assert first == common | plugin | {"plugin_sid": (1, 2)}
    of_taxonomy = {"product": ("Firewall",), "category": "Denied", "subcategory": ("x",)}
    kind = {"type": "TaxonomyRule", "stage": 2, "occurrence": 3, "plugin_id": 0, "plugin_sid": ()}
    assert last == common | kind | of_taxonomy
