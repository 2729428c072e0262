"""The table of the definitions of directives, under which the rows of their backlogs are.

A row that is under another definition has it itself. A definition is there as long as its directive
has rows.
"""

import sqlite3
from collections.abc import Collection
from typing import NamedTuple

import msgspec

UPSERT_DEFINITIONS = """
INSERT INTO definition (directive, content) VALUES {}
ON CONFLICT (directive) DO UPDATE SET content = excluded.content
WHERE content IS NOT excluded.content
"""
_LOAD = """
SELECT directive, content FROM definition
WHERE directive IN (SELECT value FROM json_each(?1))
"""
_FORGET = """
DELETE FROM definition WHERE directive IN (SELECT value FROM json_each(?1))
AND NOT EXISTS (SELECT 1 FROM backlog WHERE backlog.directive = definition.directive)
"""


class DefinitionRow(NamedTuple):
    """The definition of a directive; `content`: a Directive in MessagePack."""

    directive: int
    content: bytes


def load_definitions(
    connection: sqlite3.Connection, directives: Collection[int]
) -> dict[int, bytes]:
    """The content by directive, of those of these directives that are there."""
    return dict(connection.execute(_LOAD, (json_array(directives),)))


def forget_definitions(connection: sqlite3.Connection, directives: Collection[int]) -> None:
    """Delete those of these directives that have no rows of backlogs."""
    if directives:
        connection.execute(_FORGET, (json_array(directives),))


def json_array(directives: Collection[int]) -> str:
    """Any number of directives as one argument of a statement."""
    return msgspec.json.encode(list(directives)).decode()
