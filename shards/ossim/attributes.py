"""The attributes of OSSIM: which have an equal in our directives, which have not, which do nothing.

A table apart from the code that converts them, for who wants to see what is supported.
"""

from collections.abc import Iterable, Mapping

from engine.directives.json_document import describe_value
from shards.ossim.references import InexpressibleError
from shards.ossim.report import PlaceReport

CONDITIONS = {
    "from": "from",
    "to": "to",
    "port_from": "port_from",
    "port_to": "port_to",
    "protocol": "protocol",
    "userdata1": "custom_data1",
    "userdata2": "custom_data2",
    "userdata3": "custom_data3",
}
"""The conditions of a rule, and our fields for them."""
STICKY_FIELDS = {
    **{name: name for name in ("PLUGIN_SID", "SRC_IP", "DST_IP", "SRC_PORT", "DST_PORT")},
    **{f"USERDATA{number}": f"CUSTOM_DATA{number}" for number in (1, 2, 3)},
}
"""The values of `sticky_different`, and ours for them."""
OTHER_STICKY_FIELDS = (
    *("PLUGIN_ID", "PROTOCOL", "SENSOR", "USERNAME", "PASSWORD", "FILENAME"),
    *(f"USERDATA{number}" for number in range(4, 10)),
)
"""Values of `sticky_different` that ours cannot express."""
TAXONOMY = ("product", "category", "subcategory")
_CONVERTED = {
    *("type", "name", "plugin_id", "plugin_sid", *TAXONOMY, *CONDITIONS),
    *("reliability", "time_out", "occurrence", "sticky_different"),
}
_REPUTATION = (
    *("from_rep", "to_rep", "from_rep_min_rel", "to_rep_min_rel"),
    *("from_rep_min_pri", "to_rep_min_pri"),
)
_WITHOUT_EQUAL = {
    "username": "events have no user name; if your events have it in a custom_data, use userdataN",
    "password": "events have no password",
    "filename": "events have no file name; if your events have it in a custom_data, use userdataN",
    **{f"userdata{n}": "there are custom_data1 to custom_data3 only" for n in range(4, 10)},
    "sensor": "rules have no condition on the sensor",
    "entity": "rules have no condition on the entity",
    "suppress": "rules cannot exclude single events",
    **dict.fromkeys(_REPUTATION, "there is no condition on reputation"),
    "pulse_id": "there is no condition on OTX pulses",
    "timetable": "directives hold at all times",
    "not": "a stage cannot wait for the absence of an event",
}
"""The conditions that no field of ours can express, and why."""
MAX_UNKNOWN = 50
"""Number of unknown attributes that are reported for one element; of others, the number is."""
_OPEN_VALUES = ("", "any", "0", "false", "none")
"""Values with which a condition lets everything through."""
_WITHOUT_EFFECT = {
    *("sticky", "priority", "rel_abs", "from_property", "to_property"),
    *("condition", "value", "interval", "absolute"),  # of monitor rules
}
"""Attributes that OSSIM ignores in a detector rule."""
DIRECTIVE = {"id", "name", "priority", "kingdom", "category"}
_DIRECTIVE_WITHOUT_EFFECT = {"rev", "contextname"}
_DIRECTIVE_IGNORED = {
    "groupalarmby": "alarms are not put into groups",
    "groupalarmtimeout": "alarms are not put into groups",
    "groupalarmstorebacklog": "alarms are not put into groups",
}


def check_rule_attributes(attributes: Mapping[str, str], report: PlaceReport) -> None:
    """Report the attributes of a rule that cannot be converted."""
    _report_without_equal(attributes, report)
    _report_unknown(attributes, {*_CONVERTED, *_WITHOUT_EQUAL, *_WITHOUT_EFFECT}, report)


def check_directive_attributes(attributes: Mapping[str, str], report: PlaceReport) -> None:
    """Report the attributes of a directive that cannot be converted."""
    _report_without_equal({n: v for n, v in attributes.items() if n == "timetable"}, report)
    for name in filter(_DIRECTIVE_IGNORED.get, attributes):
        report.warn(name, "ignored", f"is ignored: {_DIRECTIVE_IGNORED[name]}")
    known = {*DIRECTIVE, *_DIRECTIVE_WITHOUT_EFFECT, *_DIRECTIVE_IGNORED, "timetable"}
    _report_unknown(attributes, known, report)


def _report_without_equal(attributes: Mapping[str, str], report: PlaceReport) -> None:
    for name, value in attributes.items():
        if name in _WITHOUT_EQUAL and value.strip().lower() not in _OPEN_VALUES:
            reason = _WITHOUT_EQUAL[name]
            message = f"is {describe_value(value)}, which cannot be expressed: {reason}"
            report.fail(name, "no-such-condition", message)


def _report_unknown(
    attributes: Mapping[str, str], names: Iterable[str], report: PlaceReport
) -> None:
    known = {_folded(name): name for name in names}
    unknown = [name for name in attributes if known.get(_folded(name)) != name]
    for name in unknown[:MAX_UNKNOWN]:
        near = known.get(_folded(name))
        hint = f"; is {near} meant?" if near else ""
        shown = name if len(name) <= 64 else f"{name[:63]}…"
        report.warn(shown, "unknown-attribute", f"is unknown and ignored{hint}")
    if len(unknown) > MAX_UNKNOWN:
        more = len(unknown) - MAX_UNKNOWN
        report.warn("", "unknown-attribute", f"{more:,} more attributes are unknown and ignored")


def _folded(name: str) -> str:
    """A name without what people write differently: `TimeOut` for `time_out`."""
    return name.replace("_", "").replace("-", "").lower()


def to_number(text: str, low: int, high: int = 2**31 - 1) -> int:
    """The number that a text is; InexpressibleError if it is none, or out of range."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high:
        return int(text)
    message = f"is {describe_value(text)}, must be a whole number from {low} to {high}"
    raise InexpressibleError("bad-number", message)
