"""Conditions of rules that are valid and can never match, and stages that end at once.

A file of its own: these are warnings, and rule_schema.py has the faults.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.directives.condition import fold_case
from engine.directives.json_document import describe_value
from engine.errors import Finding

_TAXONOMY = ("category", "product", "subcategory")
_TEXT_CONDITIONS = ("protocol", "custom_data1", "custom_data2", "custom_data3")


def find_useless(values: Mapping[str, Any]) -> Iterator[Finding]:
    """Warnings for what is valid, and can never match or ends at once."""
    for name in _TAXONOMY:
        if texts := values.get(name):
            yield from _useless_taxonomy(name, (texts,) if isinstance(texts, str) else texts)
    for name in _TEXT_CONDITIONS:
        text = values.get(name)
        if text and text.strip() != "ANY" and "any" in map(fold_case, text.split(",")):
            yield _useless(name, text, "ANY, in capitals and alone, matches everything")
    if values.get("stage", 1) > 1 and not values.get("timeout", 1):
        message = "is 0: the stage times out as soon as it begins, should be in seconds"
        yield Finding("no-timeout", message, ("timeout",), field="timeout", warning=True)


def _useless_taxonomy(name: str, texts: Iterable[str]) -> Iterator[Finding]:
    for text in texts:
        if fold_case(text) == "any" and (name, text) != ("subcategory", "ANY"):
            yield _useless(name, text, "only the text ANY of a subcategory matches everything")


def _useless(name: str, text: str, right: str) -> Finding:
    message = f"has {describe_value(text)}, compared as a text, which no event has; {right}"
    return Finding("never-matches", message, (name,), field=name, warning=True)
