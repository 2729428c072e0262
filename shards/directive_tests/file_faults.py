"""Finds every fault of a file of tests: unknown and missing keys, and values that cannot be."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from engine.errors import DocumentPath, Finding
from engine.event import NormalizedEvent
from shards.directive_tests.test_file import (
    MAX_REPEAT,
    MAX_SECONDS,
    NUMBER,
    DirectiveTest,
    DirectiveTestFile,
    EventStep,
    EventValues,
    Expectation,
    parse_duration,
)

_PARTS: Mapping[tuple[Any, str], Any] = {
    (DirectiveTestFile, "tests"): DirectiveTest,
    (DirectiveTestFile, "defaults"): EventValues,
    (DirectiveTest, "events"): EventStep,
    (DirectiveTest, "expect"): Expectation,
}
"""Fields whose value, or each item of it, is of another type of this file format."""
_OWNERS = {
    DirectiveTestFile: "a file of tests",
    DirectiveTest: "a test",
    EventValues: "an event",
    EventStep: "an event",
    Expectation: "an expectation",
}
_SEGMENT = re.compile(r"\[([0-9]{1,9})\]")
_WRONG_TYPE = re.compile(r"Expected `(.*)`, got `(.*)`")
_BOUND = re.compile(r"Expected `(?:int|str|array)` (of length )?([<>]=) ([0-9]+)")
_WORDS = {
    "int": "a whole number",
    "str": "a text",
    "object": "a mapping",
    "array": "a list",
    "null": "empty",
}
_SHOWN_CHARACTERS = 50
_EVENT_TYPES = {field.name: field.type for field in fields(NormalizedEvent)}


def find_faults(document: Any) -> Iterator[Finding]:
    """Every fault of a document."""
    if document is None:
        yield Finding("wrong-type", "is empty, must be a mapping with the key tests")
        return
    yield from _faults_of(document, DirectiveTestFile)


def _faults_of(value: Any, type_: Any) -> Iterator[Finding]:
    """The faults of a value that must be of a type of this format, and of all of its parts."""
    if not isinstance(value, dict):
        yield Finding(
            "wrong-type", f"is {_word(value)}, must be a mapping with the keys of {_OWNERS[type_]}"
        )
        return
    known = {field.encode_name: field for field in fields(type_)}
    for name in (name for name in value if name not in known):
        yield _unknown(name, known, _OWNERS[type_])
    for name, field in known.items():
        if name in value:
            yield from _field_faults(value[name], type_, field)
        elif field.required:
            yield Finding("missing", f"is missing in {_OWNERS[type_]}", field=name)
    for find in _MORE_FAULTS.get(type_, ()):
        yield from find(value)


def _unknown(name: str, known: Mapping[str, FieldInfo], owner: str) -> Finding:
    near = get_close_matches(name[:64], known, n=1)
    hint = f"; the nearest known one is {near[0]}" if near else ""
    if name == "<<":
        hint = "; merging is not supported, defaults has the values that all events share"
    message = f"is not a known key of {owner}{hint}"
    return Finding("unknown-field", message, (name,), field=name[:64])


def _field_faults(value: Any, owner: Any, field: FieldInfo) -> Iterator[Finding]:
    name, part = field.encode_name, _PARTS.get((owner, field.encode_name))
    if part is None:
        found = _of_type(value, field.type)
    elif get_origin(field.type) is not Annotated:
        found = _faults_of(value, part)
    else:
        found = _list_faults(value, part, field.type.__metadata__[0])
    for finding in found:
        yield _named(finding.with_prefix(name), name)
    if name in ("assets", "file") and isinstance(value, str) and "\0" in value:
        yield Finding("bad-test", f"is {_shown(value)}, must be a path", (name,), field=name)


def _list_faults(value: Any, part: Any, size: msgspec.Meta) -> Iterator[Finding]:
    wrong = [*_of_type(value, Annotated[list[Any], size])]
    yield from wrong
    for number, item in enumerate(() if wrong else value):
        of_test = _test_name(item) if part is DirectiveTest else ""
        for finding in _faults_of(item, part):
            message = f"{finding.message}{of_test}"
            yield msgspec.structs.replace(finding, path=(number, *finding.path), message=message)


def _test_name(test: Any) -> str:
    name = test.get("name") if isinstance(test, dict) else None
    return f" (test {_shown(name)})" if isinstance(name, str) else ""


def _named(finding: Finding, name: str) -> Finding:
    """The finding with the name of its field, unless it has one."""
    return finding if finding.field else msgspec.structs.replace(finding, field=name)


def _event_faults(values: Mapping[str, Any]) -> Iterator[Finding]:
    """Values that an event cannot have in these fields: no numbers, or out of range."""
    for name, value in values.items():
        type_ = _EVENT_TYPES.get(name)
        is_for_number = type_ not in (None, str, int | str) and not isinstance(value, type(None))
        if is_for_number and not (isinstance(value, str) and NUMBER in value):
            for finding in _of_type(value, type_, strict=False):
                yield _named(finding.with_prefix(name), name)


def _step_faults(step: Mapping[str, Any]) -> Iterator[Finding]:
    """Impossible times, and what a file of recorded events cannot have."""
    times = [*_duration_faults(step, "at"), *_duration_faults(step, "every")]
    yield from times
    repeat = step.get("repeat", 1)
    if not times and isinstance(repeat, int) and repeat * _seconds(step, "every") > MAX_SECONDS:
        message = f"is {_shown(repeat)}: the events last longer than ten years"
        yield Finding("bad-test", message, ("repeat",), field="repeat")
    if step.get("file"):
        for name in (name for name in step if name != "file"):
            message = "is beside file, whose events have times and values of their own"
            yield Finding("bad-test", message, (name,), field=name[:64])


def _size_faults(test: Mapping[str, Any]) -> Iterator[Finding]:
    """A test with too many events in all."""
    steps = test.get("events")
    given = [
        step.get("repeat", 1)
        for step in (steps if isinstance(steps, list) else ())
        if isinstance(step, dict)
    ]
    repeats = [repeat for repeat in given if isinstance(repeat, int) and repeat > 0]
    total = sum(repeats)
    if total > MAX_REPEAT and max(repeats) <= MAX_REPEAT:
        message = f"are {total:,} with all repeats, must be at most {MAX_REPEAT:,}"
        yield Finding("bad-test", message, ("events",), field="events")


def _duration_faults(item: Mapping[str, Any], key: str) -> Iterator[Finding]:
    value = item.get(key)
    if isinstance(value, int | str):  # other types are reported as such
        try:
            parse_duration(value)
        except ValueError as error:
            yield Finding("bad-test", f"is {_shown(value)}, {error}", (key,), field=key)


def _advance_faults(test: Mapping[str, Any]) -> Iterator[Finding]:
    return _duration_faults(test, "advance")


_MORE_FAULTS: Mapping[Any, Sequence[Callable[[Mapping[str, Any]], Iterator[Finding]]]] = {
    EventValues: (_event_faults,),
    EventStep: (_event_faults, _step_faults),
    DirectiveTest: (_advance_faults, _size_faults),
}
"""What else to find in a mapping, by its type."""


def _seconds(item: Mapping[str, Any], key: str) -> int:
    value = item.get(key, 1)
    return parse_duration(value) if isinstance(value, int | str) else 0


def _of_type(value: Any, type_: Any, *, strict: bool = True) -> Iterator[Finding]:
    """The first fault of a value that is not of this type."""
    try:
        msgspec.convert(value, type_, strict=strict)
    except msgspec.ValidationError as error:
        text, at, place = str(error).rpartition(" - at `$")
        if not at:
            text = str(error)
        path: DocumentPath = tuple(map(int, _SEGMENT.findall(place if at else "")))
        yield _in_words(text, path, value, type_)


def _in_words(text: str, path: DocumentPath, value: Any, type_: Any) -> Finding:
    """The fault in words of this program."""
    for key in path:
        value = value[key]
    if wrong := _WRONG_TYPE.fullmatch(text):
        names = [name for name in wrong[1].split(" | ") if name != "null"]
        expected = " or ".join(dict.fromkeys(_WORDS.get(name, "a text") for name in names))
        got = _word(value) if isinstance(value, dict | list) or value is None else _shown(value)
        return Finding("wrong-type", f"is {got}, must be {expected}", path)
    if bound := _BOUND.fullmatch(text):
        words = f"at {'least' if bound[2] == '>=' else 'most'} {int(bound[3]):,}"
        if not bound[1]:
            return Finding("bad-test", f"is {_shown(value)}, must be {words}", path)
        if not value:
            return Finding("bad-test", "is empty, must not be", path)
        return Finding("bad-test", f"has {len(value):,} entries, must have {words}", path)
    if choices := _choices(type_):
        message = f"is {_shown(value)}, must be {', '.join(choices[:-1])} or {choices[-1]}"
        return Finding("bad-test", message, path)
    return Finding("bad-test", f"is {_shown(value)}: {text[:1].lower()}{text[1:]}"[:200], path)


def _choices(type_: Any) -> tuple[str, ...]:
    """The texts of a type that allows only some."""
    if get_origin(type_) is Literal:
        return get_args(type_)
    return next(filter(None, map(_choices, get_args(type_))), ())


def _word(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", int: "a whole number"}
    return names.get(type(value), "empty")


def _shown(value: Any) -> str:
    """A value for a message, cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
