"""The text of an XML file: read with a bound, decoded, and with one root element.

A file that OSSIM includes in another one begins with `<directive>` elements, without a root.
"""

import codecs
import re
from pathlib import Path

from msgspec import Struct

from shards.errors import PathError

MAX_FILE_BYTES = 16 * 2**20
ENCODINGS = ("ascii", "cp1252", "iso8859-1", "iso8859-15", "utf-16", "utf-8")
"""The encodings that are read, as Python names them."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARATION = re.compile(r"<\?xml\b[^>]{0,500}\?>")
_ENCODING = re.compile(rb"""<\?xml\b[^>]{0,500}?\bencoding\s*=\s*["']([\w.-]{1,40})["']""")
_BEFORE_THE_ROOT = re.compile(r"(?:\s+|<!--(?s:.*?)-->|<\?(?s:.*?)\?>)*+")
"""Blanks, comments and processing instructions."""
_HAS_ROOT = re.compile(r"<(?:!DOCTYPE|directives)\b")
ROOT = "directives"


class XmlFaultError(Exception):
    """A file, or the rest of it, cannot be read; line and column count from 1."""

    def __init__(self, code: str, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.column = column


class XmlText(Struct, frozen=True):
    """A text with one root element; `added`: number of characters added to its first line."""

    text: str
    added: int = 0


def read_xml(path: Path) -> XmlText:
    """The text of a file; PathError if it cannot be read, XmlFaultError if it is no text of XML."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PathError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise XmlFaultError("too-large", f"is larger than {MAX_FILE_BYTES // 2**20} MiB: split it")
    return with_root(decode(data))


def decode(data: bytes) -> str:
    """The text of a file by its byte order mark or XML declaration, else as UTF-8."""
    encoding = _encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        before = data[: error.start] if isinstance(error, UnicodeDecodeError) else b""
        message = f"is not {encoding.removesuffix('-sig')}, which it is to be by its beginning"
        raise XmlFaultError("encoding", message, before.count(b"\n") + 1) from error
    if not text.strip():
        raise XmlFaultError("empty", "is empty, must be an XML file with directives")
    return text


def _encoding_of(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    declared = _ENCODING.match(data)
    if declared is None:
        return "utf-8"
    name = declared[1].decode("ascii")
    try:
        known = codecs.lookup(name).name
    except LookupError:
        known = ""
    if known not in ENCODINGS:
        message = f"is in the encoding {name}, must be one of {', '.join(ENCODINGS)}"
        raise XmlFaultError("encoding", message)
    return known


def with_root(text: str) -> XmlText:
    """The text with a root around its elements, if they have none; lines stay where they are."""
    declaration = _DECLARATION.match(text)
    before = _BEFORE_THE_ROOT.match(text)
    if before is None or _HAS_ROOT.match(text, before.end()):
        return XmlText(text)
    if declaration is not None:  # it may stand only at the beginning
        kept = re.sub(r"[^\n]", " ", declaration[0])
        text = kept + text[declaration.end() :]
    start = f"<{ROOT}>"
    return XmlText(f"{start}{text}</{ROOT}>", len(start))
