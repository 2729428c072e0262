"""Reads a YAML document with the position of each value, within bounds.

Plain scalars are null, whole numbers in decimal form, or texts: `no`, `1.10`, `007` and `10:20`
stay the texts that they are, which YAML 1.1 would turn into other values.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from engine.errors import DocumentPath
from shards.errors import PathError

MAX_BYTES = 4 << 20
MAX_VALUES = 200_000
"""Values in one document, those that aliases repeat included."""
MAX_DEPTH = 50
Position = tuple[int, int]
"""Line and column, from 1."""

_TAG = "tag:yaml.org,2002:"
_TEXTS = {f"{_TAG}{name}" for name in ("str", "float", "bool", "timestamp", "merge", "value")}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOO_DEEP = f"is nested too deep, must be at most {MAX_DEPTH} levels"


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
        self._key_positions: dict[DocumentPath, Position] = {}
        self._values = 0
        node = _compose(_read(path))
        self.value = None if node is None else self._convert(node, ())

    def position(self, path: DocumentPath) -> Position:
        """Where a value is; if it is not there, where the nearest one around it is."""
        while path and path not in self._positions:
            path = path[:-1]
        return self._positions.get(path, (1, 1))

    def key_position(self, path: DocumentPath) -> Position:
        """Where the last key of a path is; that of its value if it is none."""
        return self._key_positions.get(path) or self.position(path)

    def _convert(self, node: Node, path: DocumentPath) -> Any:
        position = _position(node.start_mark)
        self._positions[path] = position
        self._values += 1
        if self._values > MAX_VALUES:
            raise YamlError(f"has more than {MAX_VALUES:,} values, with those of aliases", position)
        if len(path) > MAX_DEPTH:  # an alias may even stand for what it is part of
            raise YamlError(_TOO_DEEP, position)
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._convert(item, (*path, n)) for n, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return _scalar(node, position)
        raise _unknown_tag(node, position)

    def _mapping(self, node: MappingNode, path: DocumentPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            position = _position(key.start_mark)
            if not isinstance(key, ScalarNode):
                raise YamlError("a key must be a text", position)
            if key.value in found:
                raise YamlError(f"the key {key.value[:50]!r} is there twice", position)
            self._key_positions[(*path, key.value)] = position
            found[key.value] = self._convert(value, (*path, key.value))
        return found


def _scalar(node: ScalarNode, position: Position) -> str | int | None:
    text: str = node.value
    if node.tag == f"{_TAG}null":
        return None
    if node.tag == f"{_TAG}int":
        return int(text) if _INTEGER.fullmatch(text) else text
    if node.tag in _TEXTS:
        return text
    raise _unknown_tag(node, position)


def _unknown_tag(node: Node, position: Position) -> YamlError:
    tag = node.tag.replace(_TAG, "!!", 1)[:50]
    return YamlError(f"the tag {tag} cannot be used here, must be left out", position)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise YamlError(f"is larger than {MAX_BYTES >> 20} MiB")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise PathError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        lines = data[: error.start].split(b"\n")
        position = (len(lines), len(lines[-1].decode("utf-8", "replace")) + 1)
        message = f"is not UTF-8: byte 0x{data[error.start]:02x}, must be saved as UTF-8"
        raise YamlError(message, position) from None


def _compose(text: str) -> Node | None:
    try:
        _check_bounds(text)
        return yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        position = _position(error.problem_mark) if error.problem_mark is not None else (1, 1)
        problem = error.problem or ""
        if "found another document" in problem:
            raise YamlError("has several documents, must be one", position) from None
        if "nesting" in problem:
            raise YamlError(_TOO_DEEP, position) from None
        raise YamlError(f"is not YAML: {problem}", position) from None
    except yaml.reader.ReaderError as error:
        raise YamlError(*_unreadable_character(text, error)) from None
    except yaml.YAMLError as error:
        raise YamlError(f"is not YAML: {error}") from None


def _check_bounds(text: str) -> None:
    """YamlError if there are too many values, or they are too deep; needs little memory."""
    values = depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.NodeEvent):
            values += 1
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YamlError(_TOO_DEEP, _position(event.start_mark))
        if values > 2 * MAX_VALUES:  # of which half are keys
            raise YamlError(f"has more than {MAX_VALUES:,} values", _position(event.start_mark))


def _unreadable_character(text: str, error: yaml.reader.ReaderError) -> tuple[str, Position]:
    """What to say of a character that YAML does not allow, such as a control character."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is None:
        return f"is not YAML: {error.reason}", (1, 1)
    lines = text[: found.start()].split("\n")
    character = f"U+{ord(found[0]):04X}"
    return f"has the character {character}, must be an escape", (len(lines), len(lines[-1]) + 1)


def _position(mark: Any) -> Position:
    return mark.line + 1, mark.column + 1
