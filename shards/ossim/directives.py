"""A directive of OSSIM as ours: one for each way from its first rule to a last one.

Rules beside each other are alternatives in OSSIM. Ours have one rule for each stage, so each path
through the tree becomes a directive.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from engine.directives.json_document import describe_value
from shards.ossim.attributes import check_directive_attributes, to_number
from shards.ossim.names import kingdom_and_category, variables_not_replaced
from shards.ossim.references import InexpressibleError
from shards.ossim.report import PlaceReport, Report
from shards.ossim.rules import Values, convert_rule
from shards.ossim.xml_reader import MAX_ELEMENTS, Element, TopElement

MAX_PATHS = 100
"""Number of directives that one becomes."""
MAX_STAGES = 255
MAX_ID = 2**31 - 1
PATH_STEP = 10**10
"""The id of the second path is greater by this than that of the directive, and so on."""


class ConvertedDirective(Struct, frozen=True):
    """A directive of ours, as in a directives file, and the element of each of its rules."""

    document: dict[str, Any]
    elements: tuple[Element, ...]


class _Rule(Struct, frozen=True):
    element: Element
    values: Values
    usable: bool


_Path = tuple[_Rule, ...]


def convert_directive(
    top: TopElement, report: Report
) -> tuple[int | None, list[ConvertedDirective]]:
    """The id of a directive of OSSIM, and the directives of ours that it becomes, none if faulty.

    A path with a rule that cannot be expressed is left out; `report` has an error for it.
    """
    element = top.element
    id_ = _id_of(element, report)
    about = report.at(element, id_)
    fields = _fields(element.attributes, about)
    _check_content(top, about)
    roots = _rules_in(element, about)
    if len(roots) != 1:
        about.fail("rule", "no-first-rule", f"has {len(roots)} rules, must have one, the first")
    if about.failed or id_ is None:
        return id_, []
    number = _count_paths(roots[0])
    if number > MAX_PATHS:
        message = f"has {number} alternative paths, must be at most {MAX_PATHS}"
        about.fail("rule", "too-many-paths", message)
        return id_, []
    converted = [
        _directive({"id": id_ + PATH_STEP * position, **fields}, path)
        for position, path in enumerate(_paths(roots[0], (), _RuleReports(report, id_)))
        if all(rule.usable for rule in path)
    ]
    if number > 1 and converted:
        message = (
            f"has {number} alternative paths, each a directive (the ids are {id_}, "
            f"{id_ + PATH_STEP}, …): what they have in common raises an alarm in each"
        )
        about.warn("id", "alternatives", message)
    return id_, converted


def _id_of(element: Element, report: Report) -> int | None:
    try:
        return to_number(element.attributes.get("id", ""), 1, MAX_ID)
    except InexpressibleError as error:
        report.at(element, None).fail("id", error.code, str(error))
        return None


def _fields(attributes: dict[str, str], report: PlaceReport) -> dict[str, Any]:
    """The fields of the directive itself."""
    check_directive_attributes(attributes, report)
    name = attributes.get("name", "").strip()
    if not name:
        report.fail("name", "missing", "is missing or empty")
    if variables := variables_not_replaced(name[:1000]):
        message = f"has {', '.join(variables)}: only SRC_IP and DST_IP are replaced in titles"
        report.warn("name", "not-replaced", message)
    kingdom, category = kingdom_and_category(name)
    if not (attributes.get("kingdom") and attributes.get("category")):
        report.note("kingdom", "from-name", "kingdom and category are guessed from the name")
    return {
        "name": name,
        "kingdom": attributes.get("kingdom") or kingdom,
        "category": attributes.get("category") or category,
        "priority": _priority(attributes.get("priority", "0"), report),
    }


def _priority(text: str, report: PlaceReport) -> int:
    try:
        number = to_number(text, 0)
    except InexpressibleError as error:
        report.fail("priority", error.code, str(error))
        return 1
    if number == 0:
        message = "is absent or 0, with which OSSIM never raises an alarm: taken as 1"
        report.warn("priority", "out-of-range", message)
    elif number > 5:
        report.warn("priority", "out-of-range", f"is {describe_value(number)}, taken as 5")
    return min(max(number, 1), 5)


def _check_content(top: TopElement, report: PlaceReport) -> None:
    if top.cut:
        message = (
            f"has {top.cut:,} elements too many or nested too deep, must have {MAX_ELEMENTS:,} at "
            f"most, and {MAX_STAGES} levels of rules"
        )
        report.fail("rule", "too-many-elements", message)
    if top.has_text:
        report.warn("", "text", "has text between its elements, which is ignored")


def _rules_in(element: Element, report: PlaceReport) -> list[Element]:
    """The rules in a `<directive>` or `<rules>`; other elements are reported."""
    for child in element.children:
        if child.tag != "rule":
            _report_ignored(child, report)
    return [child for child in element.children if child.tag == "rule"]


def _report_ignored(child: Element, report: PlaceReport) -> None:
    name = child.tag if len(child.tag) <= 64 else f"{child.tag[:63]}…"
    report.warn(name, "unknown-element", f"<{name}> in line {child.line} is ignored")


def _alternatives(element: Element, report: PlaceReport | None = None) -> list[Element]:
    """The rules that may come after a rule: those of all its `<rules>`."""
    found: list[Element] = []
    for child in element.children:
        if child.tag == "rules":
            found += [rule for rule in child.children if rule.tag == "rule"]
        if report is not None:
            _check_child(child, report)
    return found


def _check_child(child: Element, report: PlaceReport) -> None:
    if child.tag == "rules":
        _rules_in(child, report)
    elif child.tag == "rule":
        message = f"<rule> in line {child.line} is not in <rules>: ignored, as OSSIM does"
        report.warn("rule", "misplaced-rule", message)
    else:
        _report_ignored(child, report)


def _count_paths(root: Element) -> int:
    number, pending = 0, [root]
    while pending:
        following = _alternatives(pending.pop())
        number += not following
        pending += following
    return number


class _RuleReports:
    """Makes the report of each rule of a directive."""

    def __init__(self, report: Report, id_: int) -> None:
        self._report = report
        self._id = id_

    def of(self, element: Element, stage: int) -> PlaceReport:
        return self._report.at(element, self._id, stage)


def _paths(element: Element, above: _Path, reports: _RuleReports) -> Iterator[_Path]:
    """Each path from the first rule to a last one; each rule is converted once."""
    report = reports.of(element, len(above) + 1)
    if len(above) >= MAX_STAGES:
        report.fail("stage", "too-many-stages", f"is level {len(above) + 1}, at most {MAX_STAGES}")
    values = convert_rule(element.attributes, [rule.values for rule in above], report)
    following = _alternatives(element, report)
    path = (*above, _Rule(element, values, not report.failed))
    if not following or len(above) >= MAX_STAGES:
        yield path
        return
    for child in following:
        yield from _paths(child, path, reports)


def _directive(fields: dict[str, Any], path: _Path) -> ConvertedDirective:
    rules = [rule.values for rule in path]
    return ConvertedDirective({**fields, "rules": rules}, tuple(rule.element for rule in path))
