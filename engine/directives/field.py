"""The fields of objects in documents, and types whose values msgspec checks at a glance."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

MAX_NUMBER = 2**63 - 1
"""The highest integer in a document: 64 bits, as Dsiem reads it."""

FieldType = Literal["int", "str", "bool", "int_list", "str_list", "choices"]
DEFAULTS: dict[str, Any] = {
    "int": 0,
    "str": "",
    "bool": False,
    "int_list": (),
    "str_list": (),
    "choices": "",
}
"""The value of an absent or null optional field, by type."""


_EXPECTED = {
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "int_list": "a list of whole numbers",
    "str_list": "a list of texts",
    "choices": "a text or a list of texts",
}


class Field(Struct, frozen=True):
    """A field of an object: its JSON name, type and permitted values.

    `filled`: a text or list must not be empty. `choices`: one of them, or a list of several, each
    once. An absent or null optional field gets the default of its type: 0,
    "", false or an empty list.

    The rest is for the published schemas: `description`, one sentence; `pattern`, which every valid
    text matches; `examples` of valid values.
    """

    name: str
    type: FieldType
    required: bool = False
    low: int = 0
    high: int = MAX_NUMBER
    filled: bool = False
    choices: tuple[str, ...] = ()
    description: str = ""
    pattern: str = ""
    examples: tuple[str | tuple[str, ...] | tuple[int, ...], ...] = ()


def describe_field(field: Field, *, in_list: bool = False) -> str:
    """The permitted values of a field, or of an item of its list, in words."""
    type_ = field.type.removesuffix("_list") if in_list else field.type
    if field.choices:
        return _describe_choices(field, in_list=in_list)
    if "int" in type_:
        return f"{_EXPECTED[type_]} {_range(field)}"
    return _EXPECTED[type_] + (", not empty" if field.filled else "")


def _describe_choices(field: Field, *, in_list: bool) -> str:
    if in_list:
        return f"one of {', '.join(filter(None, field.choices))}"
    names = ", ".join(choice or '""' for choice in field.choices)
    if field.type.endswith("_list"):
        return f"a list of one or more of {names}"
    return f"one of {names}, or a list of them" if field.type == "choices" else f"one of {names}"


def _range(field: Field) -> str:
    if field.high == MAX_NUMBER:
        return f"from {field.low} up"
    return f"from {field.low} to {field.high}"


def valid_object(fields: Sequence[Field], also: Sequence[str], *, partial: bool) -> type[Struct]:
    """A type whose values are objects that need no further look at these fields."""
    members: list[tuple[str, Any, Any]] = [
        (
            f"field_{number}",
            _valid_type(field),
            msgspec.NODEFAULT if field.required else DEFAULTS[field.type],
        )
        for number, field in enumerate(fields)
    ]
    names = {f"field_{number}": field.name for number, field in enumerate(fields)}
    for number, name in enumerate(also):
        members.append((f"also_{number}", Any, None))
        names[f"also_{number}"] = name
    return msgspec.defstruct(
        "ValidObject",
        members,
        rename=names,
        kw_only=True,
        gc=False,
        forbid_unknown_fields=not partial,
    )


def _valid_type(field: Field) -> Any:
    """The type of the valid values of a field, with what msgspec can check.

    That the items of a list are different it cannot: a list of `choices` takes the slower way.
    """
    if field.choices:
        item: Any = Literal[field.choices]
    elif field.type.startswith("int"):
        item = Annotated[int, Meta(ge=field.low, le=field.high)]
    elif field.type.startswith("str"):
        item = Annotated[str, Meta(pattern=r"\S")] if field.filled else str
    else:
        return bool
    if not field.type.endswith("_list"):
        return item
    return Annotated[list[item], Meta(min_length=1)] if field.filled else list[item]
