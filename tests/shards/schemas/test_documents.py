"""The schemas judge documents as the readers do: they reject only what a reader faults.

What they cannot see is listed here, and in docs/directives-as-code.md.
"""

import copy
import json
import pathlib
import runpy
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

import cli
from engine.directives.asset_document import ASSET_FIELDS, parse_assets
from engine.directives.directive import DIRECTIVE_FIELDS, parse_directives
from engine.directives.rule_fields import FIELDS_BY_TYPE, RULE_FIELDS
from engine.errors import Finding
from shards.config.problem import ProblemList
from shards.directive_tests.loader import load_file
from shards.lookups.source_config import SOURCE_FIELDS, read_sources
from shards.schemas.documents import SCHEMAS
from shards.schemas.json_schema import Schema, type_schema
from tests.support.invalid_config import assets, conditions, directives, documents, rules
from tests.support.invalid_config.build import MARK, Case
from tests.support.pages import first_column, read_page
from tests.support.paths import ROOT
from tests.support.strategies import ASSETS
from tests.support.strategies import directives as valid_directives

Json = dict[str, Any]
Path = tuple[str | int, ...]

KEYS = {
    "directives": "directives",
    "assets": "assets",
    "intel": "intel_sources",
    "vuln": "vuln_sources",
}
UNSEEN = {
    "bad-stage",
    "bad-reference",
    "bad-condition",
    "bad-address",
    "bad-source",
    "unknown-plugin",
    "duplicate-key",
    "duplicate-id",
    "wrong-type",
}
"""Codes of faults that a schema may miss; some of them in some cases only, see is_unseen."""
SOURCE = {
    "name": "s",
    "plugin": "Wise",
    "type": "IP",
    "enabled": True,
    "config": '{"url": "http://h/${ip}"}',
}
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2, 11, 256, 2**63 - 1, 2**63, 1.0, 1.5),
    *("", " ", "\ufeff", "\x1f", "x", "ANY", "any", " ANY", "HOME_NET", "!HOME_NET", "!", ","),
    *(":1", ":9", " :1", ":0", "10.0.0.0/8", "10.0.0.7/8 ", "!::1", "10.0.0.0/33", "01.1.1.1"),
    *("80, !22", "65536", "00080", "22\x1f80", "PluginRule", "TaxonomyRule", "SRC_IP", "a,b"),
    *([], [0], [1], ["x"], [""], [None], {}),
)


def with_rule(**changes: Any) -> Json:
    identity = {"name": "r", "type": "PluginRule", "plugin_id": 1, "plugin_sid": [1]}
    numbers = {"stage": 1, "occurrence": 1, "reliability": 1, "timeout": 1}
    rule = identity | numbers | {"from": "ANY", "to": "ANY"}
    second = {
        name: value for name, value in (rule | {"stage": 2} | changes).items() if value is not ...
    }
    texts = {"name": "d", "kingdom": "k", "category": "c"}
    return {"directives": [{"id": 1, **texts, "priority": 1, "rules": [rule, second]}]}


def read_directives(data: bytes) -> list[Finding]:
    return [finding for parsed in parse_directives(data) for finding in parsed.findings]


READERS: dict[str, Callable[[bytes], list[Finding]]] = {
    "directives": read_directives,
    "assets": lambda data: parse_assets(data)[1],
    "intel": lambda data: read_sources(data, "intel_sources").findings,
    "vuln": lambda data: read_sources(data, "vuln_sources").findings,
}


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name]())


def accepts(name: str, document: Any) -> bool:
    return validator(name).is_valid(document)


def findings_of(name: str, document: Any) -> list[Finding]:
    """The faults that the reader finds."""
    data = json.dumps(document).encode()
    return [finding for finding in READERS[name](data) if not finding.warning]


def judge(name: str, document: Any) -> None:
    """Schema and reader agree, but for what a schema cannot see."""
    found, accepted = findings_of(name, document), accepts(name, document)
    assert accepted or found, "the schema rejects what the reader accepts"
    seen = [finding for finding in found if not is_unseen(finding, document)]
    assert not (accepted and seen), "the schema accepts what it should see"


def is_unseen(finding: Finding, document: Any) -> bool:
    """Whether a schema may miss the fault."""
    value = document
    for key in finding.path:
        value = value[key]
    if finding.code == "wrong-type":
        return type(value) is float and value.is_integer()
    if finding.code in ("bad-condition", "bad-address"):
        is_ipv6 = value.count(":") > 1
        ends_line = value.endswith("\n")  # `$` matches before it in Python only
        return is_ipv6 or ends_line or finding.field.startswith(("custom", "protocol"))
    return finding.code in UNSEEN


UNSEEN_EXAMPLES: list[tuple[str, str, Json]] = [
    ("bad-stage", "directives", with_rule(stage=3)),
    ("bad-reference", "directives", with_rule(to=":2")),
    ("bad-condition", "directives", with_rule(custom_data1=",")),
    ("bad-condition", "directives", with_rule(to="1::2::3")),
    ("wrong-type", "directives", with_rule(reliability=1.0)),
    ("bad-address", "assets", {"assets": [ASSETS[0] | {"cidr": "1::2::3"}]}),
    ("bad-source", "intel", {"intel_sources": [SOURCE | {"config": "{}"}]}),
    ("unknown-plugin", "vuln", {"vuln_sources": [SOURCE | {"plugin": "None"}]}),
]


@pytest.mark.parametrize(("code", "name", "document"), UNSEEN_EXAMPLES)
def test_what_a_schema_does_not_see(code: str, name: str, document: Json) -> None:
    assert accepts(name, document)
    assert {finding.code for finding in findings_of(name, document)} == {code}


@pytest.mark.usefixtures("clean_process")
@pytest.mark.parametrize(
    ("code", "extra"),
    [("duplicate-key", '{"id": 2, "id": 2, "disabled": true}'), ("duplicate-id", None)],
)
def test_what_is_there_twice_is_not_seen(
    code: str, extra: str | None, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    [one] = with_rule()["directives"]
    text = f'{{"directives": [{json.dumps(one)}, {extra or json.dumps(one)}]}}'
    assert accepts("directives", json.loads(text))
    path = tmp_path / "directives_x.json"
    path.write_text(text)
    assert cli.main(["validate", "--format", "json", str(path)]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {problem["code"] for problem in problems if problem["severity"] == "fault"} == {code}


# Generated and changed documents.


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all values within a value."""
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def change(document: Any, path: Path, value: Any, *, leave_out: bool) -> None:
    for key in path[:-1]:
        document = document[key]
    if leave_out:
        del document[path[-1]]
    else:
        document[path[-1]] = copy.deepcopy(value)  # a later change may be within it


def any_value() -> st.SearchStrategy[Any]:
    """Values that mean something somewhere, and others."""
    texts = st.text("!:0129.,/ afANYHOME_NET\x1f", max_size=12) | st.text(max_size=4)
    return st.sampled_from(VALUES) | texts | st.integers(-(2**64), 2**64)


@st.composite
def changed(draw: st.DrawFn, items: st.SearchStrategy[list[Json]], key: str) -> Json:
    """A valid document, perhaps with one to three changes."""
    document = json.loads(json.dumps({key: draw(items)}))
    for _ in range(draw(st.integers(0, 3))):
        paths = list(places(document))
        if paths:
            path = draw(st.sampled_from(paths))
            change(document, path, draw(any_value()), leave_out=draw(st.integers(0, 4)) == 4)
    return dict(document)


@given(changed(valid_directives(2), "directives"))
def test_directives_are_judged_as_by_the_reader(document: Json) -> None:
    judge("directives", document)


@given(changed(st.lists(st.sampled_from(ASSETS), min_size=1, max_size=3), "assets"))
def test_assets_are_judged_as_by_the_reader(document: Json) -> None:
    judge("assets", document)


@pytest.mark.parametrize("name", ["intel", "vuln"])
@given(data=st.data())
def test_lookup_sources_are_judged_as_by_the_reader(name: str, data: st.DataObject) -> None:
    plugin = {"intel": "Wise", "vuln": "Nesd"}[name]
    sources = st.just([SOURCE | {"plugin": plugin}])
    judge(name, data.draw(changed(sources, KEYS[name])))


@given(valid_directives(3))
def test_valid_directives_are_accepted(items: list[Json]) -> None:
    assert accepts("directives", {"directives": items})


@given(changed(valid_directives(1), "directives"))
def test_editors_that_know_only_an_older_draft_judge_the_same(document: Json) -> None:
    older = Draft7Validator(SCHEMAS["directives"]())
    assert older.is_valid(document) is accepts("directives", document)


OPTIONAL = {
    "port_from": "22",
    "protocol": "TCP",
    "custom_data1": "a",
    "custom_label1": "b",
    "sticky_different": "SRC_IP",
}
SMALL: list[tuple[str, Json]] = [
    ("directives", with_rule(**OPTIONAL)),
    ("directives", with_rule(type="TaxonomyRule", product=["p"], category="c", subcategory=["s"])),
    ("assets", {"assets": [ASSETS[0]]}),
    ("intel", {"intel_sources": [SOURCE]}),
    ("vuln", {"vuln_sources": [SOURCE | {"plugin": "Nesd"}]}),
]


@pytest.mark.parametrize(("name", "document"), SMALL)
def test_each_value_of_each_field_is_judged_as_by_the_reader(name: str, document: Json) -> None:
    first_rule = ("directives", 0, "rules", 0)  # the second one has the same fields
    assert not findings_of(name, document)
    for other in each_change(document, but=first_rule):
        judge(name, other)


def each_change(document: Json, but: Path = ("",)) -> Iterator[Json]:
    """The document with each value replaced by each of VALUES, and left out."""
    for path in list(places(document)):
        for value in (*VALUES, ...) if path[: len(but)] != but else ():
            copy = json.loads(json.dumps(document))
            change(copy, path, value, leave_out=value is ...)
            yield copy


@pytest.fixture
def test_file() -> Json:
    path = ROOT / "deploy" / "example" / "configs" / "example_test.yaml"
    return dict(yaml.safe_load(path.read_text("utf-8")))


def is_plain_text(document: Json) -> bool:
    """Whether all that the schema rejects is a scalar for a text: YAML has no quotes there."""
    return all(
        error.validator == "type"
        and "string" in error.validator_value
        and isinstance(error.instance, bool | int | float)
        for error in validator("tests").iter_errors(document)
    )


def test_a_file_of_tests_is_judged_as_by_its_loader(
    test_file: Json, tmp_path: pathlib.Path
) -> None:
    assert accepts("tests", test_file)
    path = tmp_path / "a_test.yaml"
    for other in each_change({"tests": test_file["tests"][:1]}):
        if not accepts("tests", other) and not is_plain_text(other):
            path.write_text(json.dumps(other), "utf-8")
            problems = ProblemList()
            load_file(path, problems)
            assert problems.faults, other


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("test",), []),
        (("tests",), []),
        (("tests", 0, "name"), None),
        (("tests", 0, "events", 0, "repeat"), 0),
        (("tests", 0, "events", 0, "src"), "192.0.2.1"),
        (("tests", 0, "expect", 0, "directive"), "1"),
        (("tests", 0, "expect", 0, "stages"), ["done"]),
    ],
)
def test_likely_mistakes_in_tests_are_seen(test_file: Json, path: Path, value: Any) -> None:
    change(test_file, path, value, leave_out=False)
    assert not accepts("tests", test_file)


@pytest.mark.parametrize("name", KEYS)
def test_the_example_is_accepted(name: str) -> None:
    path = ROOT / "deploy" / "example" / "configs" / f"{name}_example.json"
    assert accepts(name, json.loads(path.read_text("utf-8")))


CASES = [
    case
    for module in (directives, rules, conditions, assets, documents)
    for case in module.CASES
    if case not in documents.SYNTAX
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_known_faults_are_seen_and_known_warnings_accepted(case: Case) -> None:
    name = case.file.partition("_")[0]
    judge(name, json.loads(case.document.replace(MARK, "")))


# What the schemas see in particular.


@pytest.mark.parametrize(
    ("changes", "valid"),
    [
        ({}, True),
        ({"plugin_id": None}, False),
        ({"plugin_sid": []}, False),
        ({"type": "TaxonomyRule"}, False),
        ({"type": "TaxonomyRule", "product": ["p"], "category": "c", "plugin_id": None}, True),
        ({"type": "TaxonomyRule", "product": ["p"], "category": " "}, False),
        ({"type": "Taxonomy"}, False),
        ({"stage": 1, "occurrence": 2}, False),
        ({"occurrence": 2}, True),
        ({"port_to": "80 443"}, True),
        ({"port_to": "http"}, False),
        ({"port_to": 80}, False),
        ({"from": ":1"}, True),
        ({"from": "HOMENET"}, False),
        ({"from": None}, False),
        ({"port_from": None, "timeout": None, "sticky_different": None}, True),
        ({"sticky_different": "SRCIP"}, False),
        ({"unknown": 1, "status": "finished"}, True),
    ],
)
def test_a_rule(changes: Json, valid: bool) -> None:
    document = with_rule(**changes)
    assert accepts("directives", document) is valid
    assert bool(findings_of("directives", document)) is not valid


def test_a_disabled_directive_is_not_checked() -> None:
    """As by the reader, which skips it."""
    for disabled, valid in ((True, True), (False, False), ("yes", False), (1, False)):
        document = {"directives": [{"disabled": disabled, "priority": 9}]}
        assert accepts("directives", document) is valid
        assert bool(findings_of("directives", document)) is not valid


@pytest.mark.usefixtures("clean_process")
def test_a_key_for_editors_is_accepted_in_each_file_without_a_warning(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (ROOT / "deploy" / "example" / "configs").glob("*.json"):
        document = json.loads(path.read_text("utf-8"))
        name = path.name.partition("_")[0]
        with_key = {"$schema": f"./{name}.schema.json", **document}
        assert accepts(name, with_key)
        (tmp_path / path.name).write_text(json.dumps(with_key))
    assert cli.main(["validate", "--format", "json", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["counts"]["files"] == 4
    assert (result["faults"], result["warnings"]) == (0, 0)


# The schemas themselves.


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    schema = SCHEMAS[name]()
    Draft202012Validator.check_schema(schema)
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["$id"] == f"urn:dsiem-shards:schema:{name}"


def test_the_keys_of_the_documents_are_known() -> None:
    assert {name: SCHEMAS[name]()["required"] for name in KEYS} == {
        name: [key] for name, key in KEYS.items()
    }


def test_each_field_has_a_description_of_one_sentence_and_valid_examples() -> None:
    for table in (DIRECTIVE_FIELDS, RULE_FIELDS, ASSET_FIELDS, SOURCE_FIELDS):
        for field in table.fields:
            assert field.description.endswith("."), field.name
            assert "\n" not in field.description
            for example in field.examples:
                _, findings = table.read({field.name: example})
                assert field.name not in {f.field for f in findings}, field.name


def test_the_examples_of_conditions_are_valid() -> None:
    for field in RULE_FIELDS.fields:
        for example in field.examples:
            document = with_rule(**{field.name: example})
            assert accepts("directives", document), example
            assert not findings_of("directives", document), example


def test_the_descriptions_name_the_fields_that_a_type_requires() -> None:
    described = {field.name: field.description for field in RULE_FIELDS.fields}
    for type_, table in FIELDS_BY_TYPE.items():
        assert all(described[field.name].startswith(f"{type_}: ") for field in table.fields)


def test_a_struct_makes_a_schema() -> None:
    class Example(msgspec.Struct):
        """A type of a document.

        `names`: some texts.
        """

        names: list[str]
        size: int | str | None = None
        either: int | list[int] = 0

    schema: Schema = type_schema("example", "An example.", Example)
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid({"names": ["a"]})
    assert not Draft202012Validator(schema).is_valid({"names": [1]})
    example = schema["$defs"]["Example"]
    assert example["description"] == "A type of a document.\n\n`names`: some texts."
    size = {"type": ["integer", "string", "null"], "default": None}
    assert example["properties"]["size"] == size
    assert len(example["properties"]["either"]["anyOf"]) == 2
    assert schema["$id"] == "urn:dsiem-shards:schema:example"


def test_the_files_are_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "schemas.py"))
    files = generator["files"]()
    assert {path: path.read_bytes() for path in generator["FOLDER"].glob("*.json")} == files


def test_the_document_lists_what_a_schema_cannot_see() -> None:
    page = read_page("directives-as-code.md")
    assert set(first_column(page, "a schema does not see")) == UNSEEN
