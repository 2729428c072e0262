"""A rule of OSSIM as one of ours.

Each part is converted by itself, so that all that cannot be expressed is reported at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

from engine.directives.condition import REFERENCE_FIELDS as EVENT_FIELDS
from engine.directives.condition import find_reference as find_own_reference
from engine.directives.json_document import describe_value
from shards.ossim.attributes import (
    CONDITIONS,
    OTHER_STICKY_FIELDS,
    STICKY_FIELDS,
    TAXONOMY,
    check_rule_attributes,
    to_number,
)
from shards.ossim.conditions import MAX_TEXT, convert_condition, split_items
from shards.ossim.references import InexpressibleError, find_reference
from shards.ossim.report import PlaceReport

Values = dict[str, Any]
"""A rule of ours, as in a directives file."""

NO_TIME_OUT = 86_400
"""The timeout of a rule that has none in OSSIM, in seconds."""
MAX_RELIABILITY = 10
_SID_LIMIT = 2**63 - 1


def convert_rule(
    attributes: dict[str, str], above: Sequence[Values], report: PlaceReport
) -> Values:
    """Our rule for the attributes of a rule below others; only complete if the report has no error.

    `above`: the rules on the levels above it, as they were converted.
    """
    level = len(above) + 1
    check_rule_attributes(attributes, report)
    attributes = _without_too_long(attributes, report)
    values: Values = {"name": attributes.get("name", "").strip() or f"stage {level}"}
    values["stage"] = level
    values |= _matched_events(attributes, above, report)
    occurrence = _occurrence(attributes, level, report)
    values["occurrence"] = occurrence
    values |= _conditions(attributes, above, report)
    if sticky := _sticky_different(attributes, occurrence, report):
        values["sticky_different"] = sticky
    values["reliability"] = _reliability(attributes, above, report)
    values["timeout"] = _timeout(attributes, level, report)
    return values


def _without_too_long(attributes: dict[str, str], report: PlaceReport) -> dict[str, str]:
    for name in [name for name, text in attributes.items() if len(text) > MAX_TEXT]:
        report.fail(name[:64], "too-long", f"is longer than {MAX_TEXT:,} characters")
    return {name: text for name, text in attributes.items() if len(text) <= MAX_TEXT}


def _tried(report: PlaceReport, field: str, convert: Callable[[], Any], default: Any) -> Any:
    """What a conversion gives; its error is reported, and the default taken."""
    try:
        return convert()
    except InexpressibleError as error:
        report.fail(field, error.code, str(error))
        return default


def _matched_events(
    attributes: dict[str, str], above: Sequence[Values], report: PlaceReport
) -> Values:
    """The type of the rule, and the fields by which it chooses events."""
    type_ = attributes.get("type", "").strip().lower()
    if type_ == "monitor":
        message = "is monitor: a rule that asks an agent cannot be expressed, only detector rules"
        report.fail("type", "monitor-rule", message)
        return {}
    if type_ != "detector":
        report.fail("type", "bad-type", f"is {describe_value(type_)}, must be detector")
        return {}
    taxonomy = [name for name in TAXONOMY if not _is_any(attributes, name)]
    plugin = [name for name in ("plugin_id", "plugin_sid") if not _is_any(attributes, name)]
    if taxonomy and plugin:
        message = f"stands beside {plugin[0]}: a rule has either a plugin or a taxonomy"
        report.fail(taxonomy[0], "plugin-and-taxonomy", message)
        return {}
    return _taxonomy(attributes, report) if taxonomy else _plugin(attributes, above, report)


def _is_any(attributes: dict[str, str], name: str) -> bool:
    return attributes.get(name, "").strip() in ("", "ANY")


def _plugin(attributes: dict[str, str], above: Sequence[Values], report: PlaceReport) -> Values:
    def number(name: str) -> Callable[[], list[int]]:
        return lambda: _numbers(attributes.get(name, ""), name, above)

    ids = _tried(report, "plugin_id", number("plugin_id"), [0])
    if len(ids) > 1:
        message = f"has {len(ids)} plugins: a rule can have one, write a directive for each"
        report.fail("plugin_id", "several-plugins", message)
    sids = _tried(report, "plugin_sid", number("plugin_sid"), [])
    return {"type": "PluginRule", "plugin_id": ids[0], "plugin_sid": sids}


def _numbers(text: str, name: str, above: Sequence[Values]) -> list[int]:
    """The numbers of a list, or those of a rule above to which it refers."""
    reference = find_reference(text)
    if reference is not None and reference.name == name.upper() and not reference.negated:
        return _numbers_above(reference.level, name, above)
    items = split_items(text)
    if items.is_any:
        message = "is ANY: a rule must list the numbers of its events"
        raise InexpressibleError("any-event", message)
    if items.negated:
        message = f"has {describe_value('!' + items.negated[0])}: a rule cannot exclude numbers"
        raise InexpressibleError("negated-number", message)
    return [to_number(item, 1, _SID_LIMIT) for item in items.plain]


def _numbers_above(level: int, name: str, above: Sequence[Values]) -> list[int]:
    if not 1 <= level <= len(above):
        message = f"refers to level {level} from level {len(above) + 1}, must be an earlier one"
        raise InexpressibleError("bad-reference", message)
    found = above[level - 1].get(name)
    numbers = found if isinstance(found, list) else [found] if found else []
    if len(numbers) != 1:
        message = (
            f"refers to level {level}, which has {len(numbers)} of them: that can be expressed "
            "only of one; write a directive for each"
        )
        raise InexpressibleError("reference-to-list", message)
    return numbers


def _taxonomy(attributes: dict[str, str], report: PlaceReport) -> Values:
    lists = {name: _taxonomy_items(attributes, name, report) for name in TAXONOMY}
    category = lists["category"]
    if len(category) > 1:
        message = f"has {len(category)} categories: a rule can have one, write a directive for each"
        report.fail("category", "several-categories", message)
    for name in ("product", "category"):
        if _is_any(attributes, name):
            report.fail(name, "any-event", "is ANY: a rule must name product and category")
    if any(item.isdigit() for items in lists.values() for item in items):
        message = (
            "product, category and subcategory are the numbers of OSSIM's taxonomy; events must "
            "have the same texts, so replace them by the names that your events have"
        )
        report.note("category", "taxonomy-numbers", message)
    values: Values = {"type": "TaxonomyRule", "product": lists["product"]}
    values["category"] = "".join(category[:1])
    if lists["subcategory"]:
        values["subcategory"] = lists["subcategory"]
    return values


def _taxonomy_items(attributes: dict[str, str], name: str, report: PlaceReport) -> list[str]:
    text = attributes.get(name, "")
    items = _tried(report, name, lambda: split_items(text), None)
    if items is None:
        return []
    if items.negated or find_reference(text):
        message = f"is {describe_value(text)}: a taxonomy has neither ! nor references"
        report.fail(name, "bad-taxonomy", message)
    plain: list[str] = items.plain
    return plain


def _conditions(attributes: dict[str, str], above: Sequence[Values], report: PlaceReport) -> Values:
    values: Values = {"from": "ANY", "to": "ANY", "port_from": "ANY", "port_to": "ANY"}
    level = len(above) + 1
    for name, field in CONDITIONS.items():
        condition = _tried(report, name, _condition(attributes.get(name, ""), field, level), "ANY")
        if condition != "ANY":
            values[field] = condition
            _explain_condition(name, field, condition, above, report)
    return values


def _condition(text: str, field: str, level: int) -> Callable[[], str]:
    return lambda: convert_condition(text, field, level)


def _explain_condition(
    name: str, field: str, condition: str, above: Sequence[Values], report: PlaceReport
) -> None:
    """Warn about a condition that does not mean quite the same."""
    if field == "protocol":
        report.note(name, "protocol", "protocols are compared only with --match-protocol")
    if field.startswith("custom_data") and "," in condition:
        message = "is a list, which is compared with regard to case: OSSIM ignores case"
        report.warn(name, "case", message)
    if reference := find_own_reference(condition, EVENT_FIELDS[field]):
        target = above[reference.stage - 1]
        [named] = [name for name, event in EVENT_FIELDS.items() if event == reference.field]
        if target["occurrence"] > 1 and not str(target.get(named, "")).startswith(":"):
            message = (
                f"refers to level {reference.stage}, which counts {target['occurrence']} events: "
                "this means the first of them, in OSSIM it means the last"
            )
            report.warn(name, "first-event", message)


def _occurrence(attributes: dict[str, str], level: int, report: PlaceReport) -> int:
    text = attributes.get("occurrence", "1")
    number: int = _tried(report, "occurrence", lambda: to_number(text, 0), 1)
    if level == 1 and number != 1:
        message = (
            f"is {number} in the first rule, taken as 1, as OSSIM does: put the others into a "
            "rule of their own below it"
        )
        report.warn("occurrence", "first-occurrence", message)
        return 1
    if number == 0:
        report.warn("occurrence", "out-of-range", "is 0, taken as 1, as OSSIM does")
    return max(1, number)


def _sticky_different(
    attributes: dict[str, str], occurrence: int, report: PlaceReport
) -> str | list[str]:
    names = map(str.strip, attributes.get("sticky_different", "").upper().split(","))
    if occurrence == 1:  # without effect on one event
        return ""
    found = []
    for name in dict.fromkeys(names):
        if name in STICKY_FIELDS:
            found.append(STICKY_FIELDS[name])
        elif name in OTHER_STICKY_FIELDS:
            possible = ", ".join(STICKY_FIELDS)
            message = f"is {name}, must be one of {possible}: no other can be expressed"
            report.fail("sticky_different", "sticky-field", message)
        elif name not in ("", "NONE"):
            message = f"is {describe_value(name)}, which is no field, and ignored, as OSSIM does"
            report.warn("sticky_different", "unknown-field", message)
    return found[0] if len(found) == 1 else found


def _reliability(attributes: dict[str, str], above: Sequence[Values], report: PlaceReport) -> int:
    text = attributes.get("reliability", "").strip()
    if not text:
        report.warn("reliability", "absent", "is absent, taken as 1, as OSSIM does")
        return 1
    relative = text.startswith("+")
    number: int = _tried(report, "reliability", lambda: to_number(text.removeprefix("+"), 0), 0)
    if relative and above:
        number += above[-1]["reliability"]
    if number > MAX_RELIABILITY:
        message = f"is {describe_value(text)}, together {number}: taken as {MAX_RELIABILITY}"
        report.warn("reliability", "out-of-range", message)
    return min(number, MAX_RELIABILITY)


def _timeout(attributes: dict[str, str], level: int, report: PlaceReport) -> int:
    text = attributes.get("time_out", "").strip()
    given = text.lower() not in ("", "none")
    number: int = _tried(report, "time_out", lambda: to_number(text, 0), 1) if given else 0
    if level > 1 and number == 0:
        message = f"is absent or 0, which is no limit in OSSIM: taken as {NO_TIME_OUT} s, a day"
        report.warn("time_out", "no-timeout", message)
        return NO_TIME_OUT
    return number
