"""JSON Schemas of tables of fields, and of documents of one list.

A schema accepts all that the reader accepts; it may miss a fault, since some depend on several
places. Only keywords that mean the same in draft 2020-12 and draft-07 are used: not all editors
know the later drafts.
"""

from inspect import cleandoc
from typing import Any

import msgspec

from engine.directives.field import DEFAULTS, Field
from engine.directives.json_document import FieldTable
from engine.directives.text_patterns import DESCRIPTIONS, FILLED

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {"int": "integer", "str": "string", "bool": "boolean", "choices": "string"}


def document_schema(name: str, description: str, key: str, item: Schema, **more: Any) -> Schema:
    """The schema of a document `{key: [item, …]}`."""
    return {
        **_head(name, f"{description} Unknown fields are ignored, with a warning of validate."),
        "type": "object",
        "required": [key],
        "properties": {
            "$schema": {"description": "The path or URL of this schema, for editors."},
            key: {"type": "array", "items": item},
        },
        **more,
    }


def type_schema(name: str, description: str, type_: type[msgspec.Struct]) -> Schema:
    """The schema of a document that a Struct describes."""
    tidied: Schema = _tidy(msgspec.json.schema(type_))
    return {**_head(name, description), **tidied}


def _tidy(schema: Any) -> Any:
    """A schema of msgspec without the indentation of docstrings, with unions of types as a list."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {key: _tidy(value) for key, value in schema.items()}
    if isinstance(text := tidied.get("description"), str):
        tidied["description"] = cleandoc(text)
    if all(item.keys() == {"type"} for item in tidied.get("anyOf", [{}])):
        types = [item["type"] for item in tidied.pop("anyOf")]
        tidied = {"type": types, **tidied}
    return tidied


def object_schema(title: str, description: str, table: FieldTable, **more: Any) -> Schema:
    """The schema of an object with these fields; unknown fields are accepted, as by the reader."""
    return {
        "title": title,
        "description": description,
        "type": "object",
        **fields_schema(table, **more.pop("fields", {})),
        **more,
    }


def fields_schema(table: FieldTable, **more: Schema) -> Schema:
    """The keywords `required` and `properties` of a table, and of `more` required fields."""
    fields = {field.name: field_schema(field) for field in table.fields}
    required = [field.name for field in table.fields if field.required]
    return {"required": [*required, *more], "properties": fields | more}


def field_schema(field: Field) -> Schema:
    """The schema of a field; an optional one may be null, like an absent one."""
    is_list = field.type.endswith("_list")
    type_ = "array" if is_list else _TYPES[field.type]
    schema: Schema = {"description": field.description} if field.description else {}
    schema["type"] = type_ if field.required else [type_, "null"]
    if field.type == "choices":
        schema["type"] = ["string", "array", "null"]
        schema |= _one_or_several(field)
    elif is_list:
        item_type = field.type.removesuffix("_list")
        schema["items"] = {"type": _TYPES[item_type], **_limits(field, item_type)}
        schema |= {"minItems": 1} if field.filled else {}
    else:
        schema |= _limits(field, field.type)
    if not field.required:
        schema["default"] = DEFAULTS[field.type]
    if field.examples:
        schema["examples"] = [*field.examples]
    return schema


def _one_or_several(field: Field) -> Schema:
    """The limits of one of the choices, or of a list of them."""
    several = {
        "type": "array",
        "items": {"enum": [*filter(None, field.choices)]},
        "minItems": 1,
        "uniqueItems": True,
    }
    return {"anyOf": [_limits(field, field.type), several]}


def when(name: str, value: str | int | bool) -> Schema:
    """The condition that a field is there with this value, for `if`."""
    return {"required": [name], "properties": {name: {"const": value}}}


def _head(name: str, description: str) -> Schema:
    return {
        "$schema": DRAFT,
        "$id": f"urn:dsiem-shards:schema:{name}",
        "title": f"Dsiem {name}",
        "description": description,
    }


def _limits(field: Field, type_: str) -> Schema:
    """The limits of a value that is no list."""
    if type_ == "int":
        return {"minimum": field.low, "maximum": field.high}
    if field.choices:
        return {"enum": [*field.choices] if field.required else [*field.choices, None]}
    pattern = field.pattern or (FILLED if field.filled else "")
    if not pattern:
        return {}
    return {"pattern": pattern, "patternErrorMessage": DESCRIPTIONS[pattern]}
