"""Reading a configuration document so that every fault in it is found, each with its path.

The tables of fields are data (`Field`); this module checks an object against one. What the
fields mean, and rules that span several of them, belong to asset.py and directive.py.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from engine.errors import Finding, Path

MAX_NUMBER = 2**63 - 1
"""The highest whole number in any document: what fits 64 bits, as the peers read them."""
MAX_DEPTH = 100
"""Nesting beyond which a document is refused; a real one has a depth of 6."""

FieldType = Literal["int", "str", "bool", "int_list", "str_list"]

_NULL = msgspec.Raw(b"null")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])")
_EXPECTED = {
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "int_list": "a list of whole numbers",
    "str_list": "a list of texts",
}
_DEFAULTS: dict[str, Any] = {"int": 0, "str": "", "bool": False, "int_list": (), "str_list": ()}


class Field(Struct, frozen=True):
    """One row of a table of fields: its JSON name, its kind, and what values are right.

    `filled` means that a text or list may not be empty. An absent or null optional field
    takes the default of its kind: 0, "", false or an empty list.
    """

    name: str
    kind: FieldType
    required: bool = False
    low: int = 0
    high: int = MAX_NUMBER
    filled: bool = False
    choices: tuple[str, ...] = ()


def parse_list(data: bytes, key: str) -> tuple[list[msgspec.Raw], list[Finding]]:
    """The undecoded items of a document `{key: [...]}`, or the finding why there are none."""
    unreadable = _not_text(data)
    if unreadable is not None:
        return [], [unreadable]
    try:
        document = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return _items(document.get(key, _NULL), key)
    except msgspec.ValidationError:
        return [], [_not_object(data, key)]
    except (msgspec.MsgspecError, RecursionError):
        return [], [syntax_finding(data)]


def parse_object(raw: msgspec.Raw) -> tuple[dict[str, Any], list[Finding]]:
    """One item of a list as an object, or the finding why it is none; its path begins here."""
    try:
        item = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return {}, [syntax_finding(bytes(raw))]
    if isinstance(item, dict):
        return item, []
    return {}, [Finding("wrong-type", f"is {describe(item)}, must be an object")]


class FieldTable:
    """The fields that an object may have; others in it are nobody's concern."""

    def __init__(self, *fields: Field) -> None:
        self._fields = {field.name: field for field in fields}
        self._required = [field for field in fields if field.required]
        self._defaults = {
            field.name: _DEFAULTS[field.kind] for field in fields if not field.required
        }

    def read(self, item: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
        """The checked values of an object by field name, defaults filled in; and every fault.

        A field at fault has no value. The paths of the findings begin at the object.
        """
        values = self._defaults.copy()
        findings = [
            Finding("missing", f"is missing, must be {expected(field)}", field=field.name)
            for field in self._required
            if item.get(field.name) is None
        ]
        for name, value in item.items():
            field = self._fields.get(name)
            if field is None or value is None:
                continue
            if found := _check(field, value):
                values.pop(name, None)
                findings += found
            else:
                values[name] = tuple(value) if type(value) is list else value
        return values, findings


def _check(field: Field, value: Any) -> Sequence[Finding]:
    kind = field.kind
    if kind == "str":
        return _check_str(field, value, (field.name,))
    if kind == "int":
        return _check_int(field, value, (field.name,))
    if kind == "bool":
        return () if type(value) is bool else _fault("wrong-type", field, value, (field.name,))
    return _check_list(field, value)


def _check_list(field: Field, value: Any) -> Sequence[Finding]:
    if type(value) is not list:
        return _fault("wrong-type", field, value, (field.name,))
    if field.filled and not value:
        return _fault("empty", field, value, (field.name,))
    check = _check_int if field.kind == "int_list" else _check_str
    found: list[Finding] = []
    for position, item in enumerate(value):
        found += check(field, item, (field.name, position))
    return found


def _check_int(field: Field, value: Any, path: Path) -> Sequence[Finding]:
    if type(value) is not int:
        return _fault("wrong-type", field, value, path)
    if not field.low <= value <= field.high:
        return _fault("out-of-range", field, value, path)
    return ()


def _check_str(field: Field, value: Any, path: Path) -> Sequence[Finding]:
    if type(value) is not str:
        return _fault("wrong-type", field, value, path)
    if field.choices and value not in field.choices:
        return _fault("unknown-value", field, value, path)
    if field.filled and not value.strip():
        return _fault("empty", field, value, path)
    return ()


def _fault(code: str, field: Field, value: Any, path: Path) -> Sequence[Finding]:
    shown = "empty" if code == "empty" else describe(value)
    right = expected(field, in_list=len(path) > 1)
    return (Finding(code, f"is {shown}, must be {right}", path, field=field.name),)


def expected(field: Field, *, in_list: bool = False) -> str:
    """What would be right for a field, or for one item of its list, in words."""
    kind = field.kind.removesuffix("_list") if in_list else field.kind
    if field.choices:
        return "one of " + ", ".join(choice or '""' for choice in field.choices)
    if "int" in kind:
        return f"{_EXPECTED[kind]} {_range(field)}"
    return _EXPECTED[kind] + (", not empty" if field.filled else "")


def _range(field: Field) -> str:
    if field.high == MAX_NUMBER:
        return f"from {field.low} up"
    return f"from {field.low} to {field.high}"


def describe(value: Any) -> str:
    """A value as a message shows it: its JSON, cut when long, with its type where that helps."""
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
    """Whether msgspec can encode a value: it refuses whole numbers beyond 64 bits."""
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def syntax_finding(data: bytes) -> Finding:
    """Why bytes that msgspec refused are not JSON, with the offset where it shows.

    The standard library says it better; msgspec's own word is for what only it refuses.
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
    """Where nesting first exceeds MAX_DEPTH."""
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
        shown = describe(msgspec.json.decode(value))
    if shown == "null":
        return [], [Finding("missing", f'is missing, must be a list: {{"{key}": […]}}', field=key)]
    return [], [Finding("wrong-type", f"is {shown}, must be a list", (key,), field=key)]


def _not_object(data: bytes, key: str) -> Finding:
    try:
        shown = describe(msgspec.json.decode(data))
    except (msgspec.MsgspecError, RecursionError):
        return syntax_finding(data)
    return Finding("wrong-type", f'is {shown}, must be an object {{"{key}": […]}}')
