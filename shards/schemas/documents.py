"""The schemas by name: those of the files in a config folder."""

from collections.abc import Callable, Mapping

from engine.directives.asset_document import ASSET_FIELDS
from engine.directives.directive import DIRECTIVE_FIELDS
from engine.directives.rule_fields import FIELDS_BY_TYPE, RULE_FIELDS
from engine.directives.suppress import SUPPRESS_FIELDS
from shards.directive_tests.test_file import DirectiveTestFile
from shards.lookups.source_config import KIND_BY_KEY, SOURCE_FIELDS
from shards.schemas.json_schema import (
    Schema,
    document_schema,
    fields_schema,
    object_schema,
    type_schema,
    when,
)


def _directives() -> Schema:
    item = {
        "title": "Directive",
        "description": "A disabled directive is not checked.",
        "type": "object",
        "if": when("disabled", True),
        "else": {"$ref": "#/$defs/directive"},
    }
    definitions = {"directive": _directive(), "rule": _rule()}
    return document_schema(
        "directives",
        "Correlation directives, directives_*.json.",
        "directives",
        item,
        **{"$defs": definitions},
    )


def _directive() -> Schema:
    rules = {
        "description": "The stages, one or more, in any order.",
        "type": "array",
        "minItems": 1,
        "items": {"$ref": "#/$defs/rule"},
    }
    text = "Rules in stages, which correlate events into an alarm."
    schema = object_schema("Directive", text, DIRECTIVE_FIELDS, fields={"rules": rules})
    schema["properties"]["suppress"] = {
        "description": "After an alarm, open no new backlog for the same values for a time.",
        "anyOf": [fields_schema(SUPPRESS_FIELDS) | {"type": "object"}, {"type": "null"}],
    }
    return schema


def _rule() -> Schema:
    by_type = [
        {"if": when("type", type_), "then": fields_schema(table)}
        for type_, table in FIELDS_BY_TYPE.items()
    ]
    first = {"if": when("stage", 1), "then": {"properties": {"occurrence": {"const": 1}}}}
    text = "A stage: which events belong to it, and how many of them finish it."
    return object_schema("Rule", text, RULE_FIELDS, allOf=[*by_type, first])


def _assets() -> Schema:
    text = "An address or network that is known, and how much it is worth."
    item = object_schema("Asset", text, ASSET_FIELDS)
    return document_schema("assets", "Assets, assets_*.json.", "assets", item)


def _sources(key: str) -> Schema:
    kind = KIND_BY_KEY[key]
    text = "A server that is asked about the addresses of alarms."
    item = object_schema("Lookup source", text, SOURCE_FIELDS)
    return document_schema(kind, f"Lookup sources, {kind}_*.json.", key, item)


SCHEMAS: Mapping[str, Callable[[], Schema]] = {
    "directives": _directives,
    "assets": _assets,
    "intel": lambda: _sources("intel_sources"),
    "vuln": lambda: _sources("vuln_sources"),
    "tests": lambda: type_schema("tests", "Tests of directives, *_test.yaml.", DirectiveTestFile),
}
"""What makes the schema of each name."""
