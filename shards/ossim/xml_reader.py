"""Reads the elements of an OSSIM file, each with its line and column.

Nothing expands and nothing else is opened: an entity with a text is refused, and the file that an
entity stands for is named, not read.
"""

from collections.abc import Iterator
from typing import Any
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml.common import EntitiesForbidden
from defusedxml.expatreader import DefusedExpatParser
from msgspec import Struct

from shards.ossim.xml_text import XmlFaultError, XmlText

MAX_DEPTH = 600
"""Levels of elements; 255 stages, each a <rule> in <rules>, need 511."""
MAX_ELEMENTS = 10_000
"""Number of elements in one directive."""
MAX_TOP_ELEMENTS = 100_000
"""Number of elements below the root, of which directives are some."""
_CHUNK = 1 << 20
"""Characters given to the parser at once; it reads a tag anew with each piece of it."""
_ABOVE = 1
"""Number of levels above the elements that are returned: the root."""


class Element(Struct, frozen=True):
    """An element; line and column count from 1."""

    tag: str
    attributes: dict[str, str]
    line: int
    column: int
    children: list["Element"]


class TopElement(Struct, frozen=True):
    """An element below the root.

    `cut`: number of elements in it that are left out, since there are too many or too deep ones.
    `has_text`: whether there is any text between its elements.
    """

    element: Element
    cut: int = 0
    has_text: bool = False


class EntityReference(Struct, frozen=True):
    """A reference to an entity that stands for a file; `file` is "" if that is not known."""

    name: str
    file: str
    line: int
    column: int


def read_elements(xml: XmlText) -> Iterator[TopElement | EntityReference]:
    """Each element below the root, and each reference to an entity that stands for a file.

    XmlFaultError for what is not well-formed or not safe, after all that comes before it.
    """
    parser = _Parser(_Builder(xml.added))
    try:
        for start in range(0, len(xml.text), _CHUNK):
            parser.feed(xml.text[start : start + _CHUNK])
            yield from parser.builder.take()
        parser.close()
    except (SAXParseException, EntitiesForbidden) as error:
        yield from parser.builder.take()
        raise _fault(error, parser.builder) from error
    except XmlFaultError:
        yield from parser.builder.take()
        raise


def _fault(error: SAXParseException | EntitiesForbidden, builder: "_Builder") -> XmlFaultError:
    if isinstance(error, EntitiesForbidden):
        message = (
            f"defines the entity {error.name}: entities with a text or of a DTD are refused, since "
            "they can expand without limit; write the text where it is used"
        )
        return XmlFaultError("entity", message, *builder.position())
    message = f"is not well-formed XML: {error.getMessage()}"
    position = builder.shifted(error.getLineNumber() or 1, error.getColumnNumber() or 0)
    return XmlFaultError("bad-xml", message, *position)


class _Builder(ContentHandler):
    """Makes elements of what the parser reports."""

    def __init__(self, added: int) -> None:
        """`added`: number of characters that were added to the first line."""
        super().__init__()
        self._added = added
        self._locator: Any = None
        self._open: list[Element] = []
        """The open elements that are kept, below the root."""
        self._depth = self._tops = 0
        self._done: list[TopElement | EntityReference] = []
        self._start_top()

    def _start_top(self) -> None:
        self._elements = self._cut = 0
        self._has_text = False

    def take(self) -> list[TopElement | EntityReference]:
        """What is complete since the last call."""
        done, self._done = self._done, []
        return done

    def position(self) -> tuple[int, int]:
        """The line and column at which the parser is."""
        return self.shifted(self._locator.getLineNumber(), self._locator.getColumnNumber())

    def shifted(self, line: int, column: int) -> tuple[int, int]:
        """A position of the parser, whose columns count from 0, in the file."""
        return line, max(1, column + 1 - (self._added if line == 1 else 0))

    def setDocumentLocator(self, locator: Any) -> None:  # noqa: N802 - as it is called
        """Keep what knows the position."""
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        """Open an element."""
        self._depth += 1
        if self._depth <= _ABOVE:
            return
        if self._depth == _ABOVE + 1:
            self._count_top()
        self._elements += 1
        if self._elements > MAX_ELEMENTS or self._depth > MAX_DEPTH:
            self._cut += 1
            return
        element = Element(name, dict(attrs.items()), *self.position(), children=[])
        if self._open:
            self._open[-1].children.append(element)
        self._open.append(element)

    def _count_top(self) -> None:
        self._tops += 1
        if self._tops > MAX_TOP_ELEMENTS:
            message = f"has more than {MAX_TOP_ELEMENTS:,} elements below its root: split it"
            raise XmlFaultError("too-many-elements", message, *self.position())

    def endElement(self, name: str) -> None:  # noqa: N802, ARG002
        """Close an element; one below the root is complete."""
        if len(self._open) == self._depth - _ABOVE and self._open:
            element = self._open.pop()
            if not self._open:
                self._done.append(TopElement(element, self._cut, self._has_text))
                self._start_top()
        self._depth -= 1

    def characters(self, content: str) -> None:
        """Note that there is text."""
        self._has_text = self._has_text or bool(self._open and content.strip())

    def skippedEntity(self, name: str) -> None:  # noqa: N802
        """Note a reference to an entity that only a DTD defines."""
        self.add_reference(name, "")

    def add_reference(self, name: str, file: str) -> None:
        """Note a reference to an entity."""
        self._done.append(EntityReference(name, file, *self.position()))


class _Parser(DefusedExpatParser):
    """Accepts the definition of entities that stand for a file, and opens none of these."""

    def __init__(self, builder: _Builder) -> None:
        super().__init__(forbid_entities=True, forbid_external=True)
        self.builder = builder
        self.setContentHandler(builder)
        builder.setDocumentLocator(self)

    def defused_entity_decl(
        self, name: str, is_parameter_entity: bool, value: str | None, *where: Any, **more: Any
    ) -> None:
        """Refuse an entity that has a text."""
        if value is not None or is_parameter_entity:
            super().defused_entity_decl(name, is_parameter_entity, value, *where, **more)

    def defused_external_entity_ref_handler(  # type: ignore[override]
        self, context: str | None, base: str | None, sysid: str | None, pubid: str | None
    ) -> int:
        """Skip what is in another file; without `context` it is a DTD."""
        del base, pubid
        if context is not None:
            self.builder.add_reference(context, sysid or "")
        return 1
