"""docs/lints.md has a section for each code, and its examples are as bad and as good as it says."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.finding_codes import CODES, nearest_code
from shards.commands.validate import validate_paths
from shards.settings.settings import Settings
from tests.support.pages import FENCE, read_page
from tests.support.paths import ROOT

PAGE = read_page("lints.md")
HEADING = re.compile(r"^### `([\w-]+)`$", re.MULTILINE)
NO_EXAMPLE: dict[str, tuple[str, bytes | None]] = {
    "too-deep": ("directives_x.json", b"[" * 100_000),
    "bom": ("directives_x.json", b"\xef\xbb\xbf{}"),
    "not-utf8": ("directives_x.json", b'{"directives": ["\xe4"]}'),
    "unreadable": ("intel_x.json", None),
    "broken-plugin": ("", b""),
    "bad-test": ("", b""),
}
"""Codes that no JSON text can show: the file that shows them. None is a folder in its place.

A plugin that cannot be loaded: tests/shards/lookups; files of tests: tests/shards/directive_tests.
"""
CONSEQUENCES = {"too-few-rules", "missing"}
"""What short examples of faults lack besides."""
CREATORS = {"Finding", "_warning", "_fault", "_bad_plugin", "lint"}
"""Functions whose first text is a code."""

Object = dict[str, Any]


class Example(NamedTuple):
    """A code block of a section; `kind` is the object it is part of."""

    code: str
    good: bool
    kind: str
    file: str
    text: str


def sections() -> dict[str, str]:
    """The text of each section by its code."""
    parts = HEADING.split(PAGE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def examples() -> Iterator[Example]:
    for code, text in sections().items():
        for info, block in FENCE.findall(text):
            _, quality, kind, *file = info.split()
            [name] = file or ["directives_x.json"]
            yield Example(code, quality == "good", kind, name, block)


EXAMPLES = list(examples())


def rule(stage: int, changes: Object) -> Object:
    fields = {
        "name": "r",
        "type": "PluginRule",
        "stage": stage,
        "occurrence": 1 if stage == 1 else 3,
        "plugin_id": 1001,
        "plugin_sid": [1, 2, 3],
        "from": "ANY" if stage == 1 else ":1",
        "to": "HOME_NET",
        "reliability": 5,
        "timeout": 60,
    }
    return fields | changes


def directive(changes: Object) -> Object:
    rules = [rule(number, given) for number, given in enumerate(changes.pop("rules", [{}, {}]), 1)]
    fields = {"id": 7, "name": "d", "kingdom": "k", "category": "c", "priority": 3}
    return fields | changes | {"rules": rules}


def asset(changes: Object) -> Object:
    return {"name": "lan", "cidr": "10.0.0.0/8", "value": 2} | changes


def source(changes: Object) -> Object:
    config = json.dumps({"url": "http://wise:8081/ip/${ip}"})
    return {"name": "w", "plugin": "Wise", "enabled": True, "config": config} | changes


def write(folder: Path, example: Example) -> list[Path]:
    """A folder with the example in it, or the file of an example with a name of its own."""
    documents: dict[str, str] = {
        "assets_x.json": json.dumps({"assets": [asset({})]}),
        "directives_x.json": json.dumps({"directives": [directive({})]}),
    }
    given: Object = {} if example.kind == "document" else json.loads(example.text)
    if example.kind == "document":
        documents[example.file] = example.text
        if example.file == "assets_example.json":
            del documents["assets_x.json"]
    elif example.kind == "rule":
        changed = directive({"rules": [{}, given]})
        documents["directives_x.json"] = json.dumps({"directives": [changed]})
    elif example.kind == "directive":
        other = directive({"id": 99, "priority": 4})
        documents["directives_x.json"] = json.dumps({"directives": [directive(given), other]})
    elif example.kind == "asset":
        documents["assets_x.json"] = json.dumps({"assets": [asset(given)]})
    else:
        documents["intel_x.json"] = json.dumps({"intel_sources": [source(given)]})
    for name, text in documents.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / example.file] if example.file == "x.json" else [folder]


def codes_of(paths: list[Path], *, portable: bool = False) -> set[str]:
    settings = Settings(strict_lookups=True, portable=portable)
    result = validate_paths(paths, settings, lints=True)
    assert result.unreadable == []
    return {problem.finding.code for problem in result.problems.listed}


def test_each_code_has_a_section_in_the_order_of_the_table() -> None:
    assert HEADING.findall(PAGE) == list(CODES)


def test_each_section_is_among_those_of_its_severity() -> None:
    for heading, severity in (("Faults", "error"), ("Warnings", "warning"), ("Lints", "lint")):
        part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        assert HEADING.findall(part) == [
            known.code for known in CODES.values() if known.severity == severity
        ]


def test_each_section_has_a_bad_and_a_good_example_and_a_reason() -> None:
    for code, text in sections().items():
        found = [example.good for example in EXAMPLES if example.code == code]
        assert found == ([] if code in NO_EXAMPLE else [False, True]), code
        assert len(FENCE.sub("", text).split()) >= 8, code


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.code} {one.good}")
def test_a_bad_example_has_the_code_and_a_good_one_no_problem(
    example: Example, tmp_path: Path
) -> None:
    codes = codes_of(write(tmp_path, example), portable=example.code == "not-portable")
    if example.good:
        assert codes == set()
    else:
        assert example.code in codes
        assert codes <= {example.code, *CONSEQUENCES}


@pytest.mark.parametrize("code", [code for code, (name, _) in NO_EXAMPLE.items() if name])
def test_what_is_no_json_has_the_code(code: str, tmp_path: Path) -> None:
    name, data = NO_EXAMPLE[code]
    write(tmp_path, EXAMPLES[1])
    if data is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(data)
    result = validate_paths([tmp_path], Settings())
    assert {problem.finding.code for problem in result.problems.listed} == {code}


def codes_in_source() -> Iterator[str]:
    """Each text that the source gives to a finding as its code, reports of conversions aside."""
    for path in (*ROOT.glob("engine/**/*.py"), *ROOT.glob("shards/**/*.py")):
        if path.parent.name == "ossim":
            continue
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(call, "func", None)
            if getattr(name, "attr", None) in CREATORS or getattr(name, "id", None) in CREATORS:
                assert isinstance(call, ast.Call)
                yield from code_given(call)


def code_given(call: ast.Call) -> Iterator[str]:
    code = call.args[0] if call.args else None
    if isinstance(code, ast.Constant):
        yield str(code.value)
    elif isinstance(code, ast.JoinedStr):  # f"no-{kind}"
        yield from ("no-assets", "no-directives")
        assert ast.unparse(code) == "f'no-{kind}'"
    else:  # the code is an argument of the function, which is a creator itself
        assert code is None or ast.unparse(code) == "code"


def test_the_table_has_each_code_of_the_source_and_no_other() -> None:
    assert set(codes_in_source()) == set(CODES)


def test_codes_and_summaries_have_one_form() -> None:
    for known in CODES.values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", known.code)
        assert known.summary[0].isupper() or known.summary.startswith("sticky")
        assert not known.summary.endswith(".")


def test_the_nearest_code() -> None:
    assert nearest_code("no_refrence") == "no-reference"
    assert nearest_code("zzz" * 100_000) is None
