"""From a setting's text to its value, and back for --help.

What may live here: one text, one setting. What may not: where the text came from.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from shards.spec import Spec
from shards.table import Setting

BOOLEANS: Mapping[str, bool] = {
    "true": True,
    "t": True,
    "1": True,
    "false": False,
    "f": False,
    "0": False,
}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


def read(row: Setting, text: str) -> Any:
    """Return the value of a setting's text; ValueError says what would be right."""
    value = _READERS[row.kind](row, text)
    if value is None:
        raise ValueError(expected(row))
    return value


def expected(row: Setting) -> str:
    """Return what a right value of a setting is."""
    if row.kind is int:
        return "a whole number" + _range(row.spec)
    return (
        row.spec.right
        or {
            bool: "true or false",
            str: "a text",
            Path: "a path",
            tuple: "one or more texts with commas between them",
            Literal: " or ".join(row.choices),
        }[row.kind]
    )


def metavar(row: Setting) -> str:
    """Return what stands for the value in --help."""
    return {
        int: "N",
        str: "TEXT",
        Path: "PATH",
        tuple: "TEXT,…",
        Literal: "|".join(row.choices),
    }.get(row.kind, "")


def shown(value: object) -> str:
    """Return a value as one would write it."""
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(spec: Spec) -> str:
    return f" from {spec.at_least} " + ("up" if spec.at_most is None else f"to {spec.at_most}")


def _int(row: Setting, text: str) -> int | None:
    value = int(text) if _WHOLE.fullmatch(text) else None
    least, most = row.spec.at_least, row.spec.at_most
    if value is None or value < least or (most is not None and value > most):
        return None
    return value


def _text(row: Setting, text: str) -> str | None:
    pattern = row.spec.pattern
    return None if pattern and not re.fullmatch(pattern, text) else text


def _items(_: Setting, text: str) -> tuple[str, ...] | None:
    return tuple(item for part in text.split(",") if (item := part.strip())) or None


def _choice(row: Setting, text: str) -> str | None:
    return text if text in row.choices else None


_READERS: Mapping[Any, Callable[[Setting, str], Any]] = {
    bool: lambda _, text: BOOLEANS.get(text.lower()),
    int: _int,
    str: _text,
    Path: lambda _, text: Path(text) if text else None,
    tuple: _items,
    Literal: _choice,
}
