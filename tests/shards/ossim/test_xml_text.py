"""The text of a file: encodings, missing roots, and what is no text."""

from pathlib import Path

import pytest

from shards.errors import PathError
from shards.ossim import xml_text
from shards.ossim.xml_text import XmlFaultError, decode, read_xml, with_root


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-8", '<?xml version="1.0" encoding="UTF-8" ?>'),
        ("latin-1", "<?xml version='1.0' encoding='ISO-8859-1'?>"),
        ("cp1252", '<?xml version="1.0" encoding="windows-1252"?>'),
        ("utf-16", '<?xml version="1.0" encoding="utf-16"?>'),
        ("utf-16", ""),
    ],
)
def test_encodings(encoding: str, declared: str) -> None:
    text = f'{declared}<directive name="é"/>'
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("data", "code", "line", "message"),
    [
        (b"", "empty", 1, "is empty"),
        (b" \n ", "empty", 1, "is empty"),
        (b"\xff\xfe", "empty", 1, "is empty"),
        (b"<a/>\n<b name='\xe9'/>", "encoding", 2, "is not utf-8"),
        (b"<?xml version='1.0' encoding='ebcdic-9'?>", "encoding", 1, "must be one of ascii"),
        (b"<?xml version='1.0' encoding='zlib'?>", "encoding", 1, "must be one of ascii"),
        (b"<?xml version='1.0' encoding='utf-16'?>", "encoding", 1, "is not utf-16"),
        (b"\xff\xfea", "encoding", 1, "is not utf-16"),
        (bytes(range(256)), "encoding", 2, "is not utf-8"),
    ],
)
def test_what_is_no_text(data: bytes, code: str, line: int, message: str) -> None:
    with pytest.raises(XmlFaultError, match=message) as raised:
        decode(data)
    assert (raised.value.code, raised.value.line) == (code, line)


@pytest.mark.parametrize(
    "text",
    [
        "<directives/>",
        '<?xml version="1.0"?>\n<!-- <directive> -->\n<directives>',
        "<!DOCTYPE directives>\n<directives/>",
    ],
)
def test_a_file_with_a_root_stays_as_it_is(text: str) -> None:
    assert with_root(text).text == text


def test_a_root_is_added_and_lines_stay() -> None:
    xml = with_root('<?xml version="1.0"\n?>\n<directive/>')
    assert xml.text == f"<directives>{' ' * 19}\n  \n<directive/></directives>"
    assert xml.added == len("<directives>")


def test_many_comments_before_the_root_take_no_long_time() -> None:
    assert with_root("<!-- -->" * 100_000 + "<!--").added


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xml_text, "MAX_FILE_BYTES", 2**20)
    path = tmp_path / "a.xml"
    path.write_bytes(b" " * (2**20 + 1))
    with pytest.raises(XmlFaultError, match="is larger than 1 MiB"):
        read_xml(path)
    path.write_bytes(b" " * (2**20 - 1) + b"x")
    assert read_xml(path).text.endswith("x</directives>")


def test_a_path_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(PathError, match="cannot be read"):
            read_xml(path)
