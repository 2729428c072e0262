"""Converts files of OSSIM directives, and checks the result with the reader of directives."""

from pathlib import Path

import msgspec
from msgspec import Struct

from engine.directives.directive import parse_directives
from engine.errors import Finding
from shards.config.problem import ProblemList
from shards.ossim.directives import ConvertedDirective, convert_directive
from shards.ossim.report import Report
from shards.ossim.xml_reader import EntityReference, TopElement, read_elements
from shards.ossim.xml_text import XmlFaultError, read_xml

MAX_OUTPUT_BYTES = 32 * 2**20
"""Size of all converted directives, as JSON without blanks."""
_IGNORED = {
    "groups": "directives have no groups, and all of them are active",
    "timetables": "directives hold at all times",
}
"""Elements beside directives that OSSIM knows, and why they are ignored."""


class Counts(Struct):
    """Numbers of directives: of OSSIM those read and those left out, of ours those written.

    `cut`: those of OSSIM of which only a part of the alternatives is written.
    """

    read: int = 0
    left_out: int = 0
    cut: int = 0
    written: int = 0


class Converter:
    """Converts file after file; ids are unique over all of them."""

    def __init__(self, problems: ProblemList, *, max_output: int = MAX_OUTPUT_BYTES) -> None:
        self.problems = problems
        self.counts = Counts()
        self.directives: list[msgspec.Raw] = []
        """The converted directives, in the form of a directives file."""
        self._room = max_output
        self._first_places: dict[int, str] = {}
        """The file and line of each directive, by its id in OSSIM."""

    def convert_file(self, path: Path) -> None:
        """Convert the directives of a file, and report what is left out; PathError."""
        report = Report(str(path), self.problems)
        explained = False
        try:
            for item in read_elements(read_xml(path)):
                if isinstance(item, EntityReference):
                    explained = True
                    _report_entity(item, report)
                elif item.element.tag == "directive":
                    explained = True
                    self._convert(item, str(path), report)
                else:
                    _report_other(item, report)
        except XmlFaultError as error:
            explained = True
            report.add(error, Finding(error.code, str(error)))
        if not explained:
            report.add(_TOP, Finding("no-directives", "has no <directive>"))
        report.finish()

    def _convert(self, top: TopElement, file: str, report: Report) -> None:
        self.counts.read += 1
        faults, written = self.problems.faults, self.counts.written
        id_, converted = convert_directive(top, report)
        if self._is_new(id_, top, file, report):
            for directive in converted:
                self._write(directive, top, report)
        if self.counts.written == written:
            self.counts.left_out += 1
        elif self.problems.faults > faults:
            self.counts.cut += 1

    def _is_new(self, id_: int | None, top: TopElement, file: str, report: Report) -> bool:
        if id_ is None:
            return False
        here = f"{file}:{top.element.line}"
        first = self._first_places.setdefault(id_, here)
        if first is not here:
            message = f"is {id_} as in {first}, must be unique: the directive is left out"
            report.at(top.element, id_).fail("id", "duplicate-id", message)
        return first is here

    def _write(self, directive: ConvertedDirective, top: TopElement, report: Report) -> None:
        """Keep a directive, if the reader of directives accepts it and there is room."""
        id_ = directive.document["id"]
        about = report.at(top.element, id_)
        data = msgspec.json.encode(directive.document) if self._room else b""
        if not data or len(data) > self._room:
            self._room = 0  # so that what comes next costs nothing
            message = "is left out: the result is too large, convert fewer files at once"
            about.fail("", "too-large", message)
            return
        [checked] = parse_directives(b'{"directives":[%b]}' % data)
        for finding in checked.findings:
            place = top.element if finding.stage is None else directive.elements[finding.stage - 1]
            about.pass_on(finding, place)
        if not about.failed:
            self._room -= len(data)
            self.counts.written += 1
            self.directives.append(msgspec.Raw(data))


class _Position(Struct, frozen=True):
    line: int
    column: int


_TOP = _Position(1, 1)


def _report_entity(reference: EntityReference, report: Report) -> None:
    what = f"the file {reference.file[:200]}" if reference.file else "something in a DTD"
    message = f"&{reference.name[:64]}; stands for {what}, which is not read: convert it by itself"
    report.at(reference, None).warn("", "not-read", message)


def _report_other(top: TopElement, report: Report) -> None:
    tag = top.element.tag[:64]
    reason = _IGNORED.get(tag, "there is no such element in OSSIM")
    report.at(top.element, None).warn(tag, "ignored-element", f"is ignored: {reason}")
