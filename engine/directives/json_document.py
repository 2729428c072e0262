"""Reads JSON documents so that every fault is found, each with its path.

Tables of fields are data (`FieldTable`); this module checks objects against them. Rules that span
several fields belong to the reader of the document (directives, assets, lookup sources).
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.directives.duplicate_keys import find_duplicate_keys, top_level_duplicates
from engine.directives.field import DEFAULTS, Field, describe_field, valid_object
from engine.directives.field_names import unknown_fields
from engine.errors import DocumentPath, Finding

MAX_DEPTH = 100
"""The deepest nesting of a document; real ones have a depth of 6."""


_NULL = msgspec.Raw(b"null")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])")


def parse_list(data: bytes, key: str) -> tuple[list[msgspec.Raw], list[Finding]]:
    """The undecoded items of a document `{key: [...]}`, and every finding about the document.

    A fault among the findings makes it unreadable, except keys that are there twice.
    """
    unreadable = _not_text(data)
    if unreadable is not None:
        return [], [unreadable]
    try:
        document = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        items, findings = _items(document.get(key, _NULL), key)
    except msgspec.ValidationError:
        return [], [_not_object(data, key)]
    except (msgspec.MsgspecError, RecursionError):
        return [], [syntax_finding(data)]
    if not findings:
        findings = _top_level_findings(data, document, items, key)
    return items, findings


def parse_object(raw: msgspec.Raw) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Decode an item as an object; paths start at the item.

    None and the finding if it is not one; else the faults are the keys that are there twice.
    """
    data = bytes(raw)
    try:
        item = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return None, [syntax_finding(data)]
    if isinstance(item, dict):
        return item, find_duplicate_keys(data, item)
    return None, [Finding("wrong-type", f"is {describe_value(item)}, must be an object")]


class FieldTable:
    """The fields that an object may have; others are ignored, with a warning."""

    def __init__(self, *fields: Field, also: tuple[str, ...] = (), partial: bool = False) -> None:
        """`also`: names that are read elsewhere, or that other programs write.

        `partial`: the table has only some fields of an object, so that others are no finding.
        """
        self.fields = fields
        self._fields = {field.name: field for field in fields}
        self.known = (*self._fields, *also)
        """The names of all fields, in the order of the table."""
        self._partial = partial
        self._may_have_others = partial or bool(also)
        self._lists = [field.name for field in fields if field.type.endswith("_list")]
        self._valid = valid_object(fields, also, partial=partial)
        self._required = [field for field in fields if field.required]
        self._defaults = {
            field.name: DEFAULTS[field.type] for field in fields if not field.required
        }

    def accepts(self, item: dict[str, Any]) -> bool:
        """Whether an object is without findings; False if that is not certain, at a glance."""
        try:
            msgspec.convert(item, self._valid)
        except msgspec.ValidationError:
            return False
        return True

    def read(self, item: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
        """The values of an object by field name, with defaults, and every finding.

        A faulty field has no value. The paths of the findings start at the object.
        """
        if self.accepts(item):
            return self._values_of_valid(item), []
        values = self._defaults.copy()
        findings = [
            Finding("missing", f"is missing, must be {describe_field(field)}", field=field.name)
            for field in self._required
            if item.get(field.name) is None
        ]
        unknown = []
        for name, value in item.items():
            field = self._fields.get(name)
            if field is None:
                unknown.append(name)
                continue
            if value is None:
                continue
            if found := _check(field, value):
                values.pop(name, None)
                findings += found
            else:
                values[name] = tuple(value) if type(value) is list else value
        if unknown and not self._partial:
            findings += unknown_fields(unknown, self.known)
        return values, findings

    def _values_of_valid(self, item: dict[str, Any]) -> dict[str, Any]:
        values = self._defaults | item
        if self._may_have_others:
            for name in item.keys() - self._fields.keys():
                del values[name]
        for name in self._lists:
            if name in values:
                values[name] = tuple(values[name])
        return values


def _check(field: Field, value: Any) -> Sequence[Finding]:
    type_ = field.type
    if type_ == "str":
        return _check_str(field, value, (field.name,))
    if type_ == "int":
        return _check_int(field, value, (field.name,))
    if type_ == "bool":
        return () if type(value) is bool else _fault("wrong-type", field, value, (field.name,))
    if type_ == "choices":
        return _check_choices(field, value)
    return _check_list(field, value)


def _check_choices(field: Field, value: Any) -> Sequence[Finding]:
    if type(value) is not list:
        return _check_str(field, value, (field.name,))
    if not value:
        return _fault("empty", field, value, (field.name,))
    found: list[Finding] = []
    seen: set[str] = set()
    for position, item in enumerate(value):
        path = (field.name, position)
        if faults := _check_item(field, item, path):
            found += faults
        elif item in seen:
            message = f"is {describe_value(item)} a second time, must be there once"
            found.append(Finding("unknown-value", message, path, field=field.name))
        else:
            seen.add(item)
    return found


def _check_item(field: Field, item: Any, path: DocumentPath) -> Sequence[Finding]:
    """The item of a list of choices; "" is a choice only by itself."""
    return _fault("empty", field, item, path) if item == "" else _check_str(field, item, path)


def _check_list(field: Field, value: Any) -> Sequence[Finding]:
    if type(value) is not list:
        return _fault("wrong-type", field, value, (field.name,))
    if field.filled and not value:
        return _fault("empty", field, value, (field.name,))
    check = _check_int if field.type == "int_list" else _check_str
    found: list[Finding] = []
    for position, item in enumerate(value):
        found += check(field, item, (field.name, position))
    return found


def _check_int(field: Field, value: Any, path: DocumentPath) -> Sequence[Finding]:
    if type(value) is not int:
        return _fault("wrong-type", field, value, path)
    if not field.low <= value <= field.high:
        return _fault("out-of-range", field, value, path)
    return ()


def _check_str(field: Field, value: Any, path: DocumentPath) -> Sequence[Finding]:
    if type(value) is not str:
        return _fault("wrong-type", field, value, path)
    if field.choices and value not in field.choices:
        return _fault("unknown-value", field, value, path)
    if field.filled and not value.strip():
        return _fault("empty", field, value, path)
    return ()


def _fault(code: str, field: Field, value: Any, path: DocumentPath) -> Sequence[Finding]:
    shown = "empty" if code == "empty" else describe_value(value)
    right = describe_field(field, in_list=len(path) > 1)
    return (Finding(code, f"is {shown}, must be {right}", path, field=field.name),)


def describe_value(value: Any) -> str:
    """A value for a message: its JSON, shortened, with its type where that helps."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    text = msgspec.json.encode(value).decode() if _encodable(value) else str(value)
    short = text if len(text) <= 40 else text[:39] + "…"
    return f"the text {short}" if isinstance(value, str) else short


def _encodable(value: Any) -> bool:
    """Whether msgspec can encode a value: it refuses integers beyond 64 bits."""
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def syntax_finding(data: bytes) -> Finding:
    """The finding for bytes that msgspec refused, with the offset of the fault.

    The messages of the standard library are better; those of msgspec are for what only it refuses.
    """
    text = data.decode()
    try:
        json.loads(text, parse_int=float)  # int() refuses thousands of digits
        msgspec.json.decode(data)
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg[0].lower()}{error.msg[1:].removesuffix(' at')}"
        return Finding("bad-json", message, offset=len(text[: error.pos].encode()))
    except RecursionError:
        message = f"is nested too deep, must be at most {MAX_DEPTH} levels"
        return Finding("too-deep", message, offset=_depth_offset(data))
    except msgspec.MsgspecError as error:
        surrogate = _LONE_SURROGATE.search(data)
        if surrogate:
            message = "holds half a character (a lone \\u surrogate), must be whole characters"
            return Finding("bad-json", message, offset=surrogate.start())
        reason, _, rest = str(error).partition(" (byte ")
        offset = int(rest.rstrip(")")) if rest else 0
        reason = reason.removeprefix("JSON is malformed: ")
        return Finding("bad-json", f"is not JSON: {reason}", offset=offset)
    return Finding("bad-json", "is not JSON", offset=0)


def _depth_offset(data: bytes) -> int:
    """The offset at which nesting first exceeds MAX_DEPTH."""
    depth = 0
    for token in _TOKEN.finditer(data):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            return token.start()
    return 0


def _not_text(data: bytes) -> Finding | None:
    if data.startswith(b"\xef\xbb\xbf"):
        return Finding("bom", "begins with a byte order mark, must begin with {", offset=0)
    if not data.strip():
        return Finding("bad-json", "is empty, must be a JSON object", offset=0)
    try:
        data.isascii() or data.decode()
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: byte 0x{data[error.start]:02x}, must be saved as UTF-8"
        return Finding("not-utf8", message, offset=error.start)
    return None


def _items(value: msgspec.Raw, key: str) -> tuple[list[msgspec.Raw], list[Finding]]:
    try:
        return msgspec.json.decode(value, type=list[msgspec.Raw]), []
    except msgspec.ValidationError:
        shown = describe_value(msgspec.json.decode(value))
    if shown == "null":
        return [], [Finding("missing", f'is missing, must be a list: {{"{key}": […]}}', field=key)]
    return [], [Finding("wrong-type", f"is {shown}, must be a list", (key,), field=key)]


def _top_level_findings(
    data: bytes, document: dict[str, msgspec.Raw], items: list[msgspec.Raw], key: str
) -> list[Finding]:
    """The findings about the keys of a readable document."""
    others = [value for name, value in document.items() if name != key]
    colons = sum(bytes(value).count(b":") for value in (*items, *others))
    duplicates = top_level_duplicates(data, colons, len(document))
    return duplicates + unknown_fields(document, (key,))


def _not_object(data: bytes, key: str) -> Finding:
    try:
        shown = describe_value(msgspec.json.decode(data))
    except (msgspec.MsgspecError, RecursionError):
        return syntax_finding(data)
    return Finding("wrong-type", f'is {shown}, must be an object {{"{key}": […]}}')
