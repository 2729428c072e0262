"""Reads a YAML document with the position of each value, within bounds."""

from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from engine.errors import DocumentPath
from shards.errors import PathError

MAX_BYTES = 16 << 20
MAX_VALUES = 500_000
"""Values in one document, those that aliases repeat included."""
Position = tuple[int, int]
"""Line and column, from 1."""


class YamlError(ValueError):
    """The document cannot be used; the message says why, at `position`."""

    def __init__(self, message: str, position: Position = (1, 1)) -> None:
        super().__init__(message)
        self.position = position


class YamlDocument:
    """The value of a document, of JSON types, and the positions of its parts."""

    def __init__(self, path: Path) -> None:
        """Read a file; PathError if it cannot be read, YamlError if it is not such a document."""
        self._positions: dict[DocumentPath, Position] = {}
        self._values = 0
        self._constructor = yaml.constructor.SafeConstructor()
        node = _compose(_read(path))
        self.value = None if node is None else self._convert(node, ())

    def position(self, path: DocumentPath) -> Position:
        """Where a value is; if it is not there, where the nearest one around it is."""
        while path and path not in self._positions:
            path = path[:-1]
        return self._positions.get(path, (1, 1))

    def _convert(self, node: Node, path: DocumentPath) -> Any:
        position = (node.start_mark.line + 1, node.start_mark.column + 1)
        self._positions[path] = position
        self._values += 1
        if self._values > MAX_VALUES:
            raise YamlError(f"has more than {MAX_VALUES:,} values", position)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._convert(item, (*path, n)) for n, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, position)

    def _mapping(self, node: MappingNode, path: DocumentPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            position = (key.start_mark.line + 1, key.start_mark.column + 1)
            if not isinstance(key, ScalarNode):
                raise YamlError("a key must be a text", position)
            if key.value in found:
                raise YamlError(f"the key {key.value!r} is there twice", position)
            found[key.value] = self._convert(value, (*path, key.value))
        return found

    def _scalar(self, node: ScalarNode, position: Position) -> Any:
        """A text, number, boolean or null; a date stays the text that it is."""
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            value = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise YamlError(f"{node.value[:50]!r} cannot be read: {error}", position) from None
        if value is None or isinstance(value, str | int | float | bool):
            return value
        raise YamlError(f"{node.value[:50]!r} is of a type that is not used here", position)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise YamlError(f"is larger than {MAX_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PathError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise YamlError("is not UTF-8") from None


def _compose(text: str) -> Node | None:
    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise YamlError(f"is not YAML: {error.problem}", position) from None
    except yaml.YAMLError as error:
        raise YamlError(f"is not YAML: {error}") from None
    except RecursionError:
        raise YamlError("is nested too deep") from None
