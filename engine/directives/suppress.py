"""The `suppress` of a directive: after a finished alarm, no new backlog for the same values."""

from typing import Any

from msgspec import Struct

from engine.directives.field import Field
from engine.directives.json_document import FieldTable, describe_value
from engine.errors import Finding

SUPPRESS_FIELDS = FieldTable(
    Field(
        "seconds",
        "int",
        required=True,
        low=1,
        description="How long after an alarm no new backlog is opened for the same values.",
    ),
    Field(
        "by",
        "str_list",
        required=True,
        filled=True,
        choices=(
            *("src_ip", "dst_ip", "src_port", "dst_port", "plugin_sid", "protocol"),
            *("custom_data1", "custom_data2", "custom_data3"),
        ),
        description="The fields of the opening event whose values are compared.",
        examples=(("src_ip",),),
    ),
)


class Suppress(Struct, frozen=True):
    """A cool-down of this many seconds, for equal values of these event fields, sorted by name."""

    seconds: int
    by: tuple[str, ...]


def read_suppress(item: Any) -> tuple[Suppress | None, list[Finding]]:
    """The cool-down of a directive's document, if it has one, and every finding about it."""
    if item is None:
        return None, []
    if not isinstance(item, dict):
        message = f"is {describe_value(item)}, must be an object with seconds and by"
        return None, [Finding("wrong-type", message, ("suppress",), field="suppress")]
    values, findings = SUPPRESS_FIELDS.read(item)
    findings = [finding.with_prefix("suppress") for finding in findings]
    if len(values) < len(SUPPRESS_FIELDS.fields):
        return None, findings
    return Suppress(values["seconds"], tuple(sorted(set(values["by"])))), findings
