"""The types of a file of directive tests, and how its values are read.

The JSON Schema of these files is made from the same types.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import fields

from engine.alarm import AlarmRecord
from engine.event import NormalizedEvent

PATTERNS = ("*_test.yaml", "*_test.yml")
"""The names of files of tests."""
MAX_REPEAT = 10_000_000
"""Events of one test, with all repeats."""
MAX_SECONDS = 10 * 365 * 86_400
"""Longest duration: ten years."""
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
"""The time from which `at` counts, unless the test has a file with recorded events."""
NUMBER = "{n}"
"""In a text of an event it stands for the number of the repeat, from 1; `{{n}}` is that text."""
StageStatus = Literal["finished", "timeout", "open", "none"]
"""A stage of an alarm; `open`: its current one; `none`: not reached."""
_Size = Meta(max_length=200)
_SizeOfMany = Meta(min_length=1, max_length=10_000)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PART = re.compile(r"([0-9]{1,9})([smhd])")
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhd])+")

Duration = Annotated[
    int | str,
    Meta(description="seconds, or a text like 90s, 5m, 1h30m, 2d", examples=["0s", "5m", 30]),
]
Value = str | int | float | bool | None
Texts = Annotated[
    str | list[str], Meta(description="a text, in which * stands for any characters, or a list")
]

EVENT_FIELDS = tuple(
    one.encode_name for one in fields(NormalizedEvent) if one.name not in ("time", "identity")
)
"""The fields of an event that a test may give."""
ALARM_FIELDS = tuple(one.encode_name for one in fields(AlarmRecord))
"""The fields of an alarm that a test may expect."""


def _event_values() -> list[tuple[str, Any, Any]]:
    return [(name, Value, msgspec.UNSET) for name in EVENT_FIELDS]


EventValues = msgspec.defstruct(
    "EventValues", _event_values(), forbid_unknown_fields=True, omit_defaults=True, kw_only=True
)
"""Values of event fields; absent ones are those of `defaults`."""

EventStep: Any = msgspec.defstruct(
    "EventStep",
    [
        ("at", Annotated[Duration, Meta(description="when, from the start of the test")], "0s"),
        (
            "repeat",
            Annotated[int, Meta(ge=1, le=MAX_REPEAT, description="number of such events")],
            1,
        ),
        ("every", Annotated[Duration, Meta(description="time between repeated events")], "1s"),
        (
            "file",
            Annotated[str, Meta(description="recorded events with timestamps of their own")],
            "",
        ),
    ],
    bases=(EventValues,),
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
)
"""One event of a test, several equal ones, or a file of recorded events."""


class Expectation(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What alarms must be there at the end: `count` of them with these values.

    A text may have * for any characters. `stages`: the status of each stage, of the first ones if
    there are fewer.
    """

    directive: Annotated[int, Meta(ge=1)]
    count: Annotated[int, Meta(ge=0)] = 1
    stages: list[StageStatus] | None = None
    risk: Annotated[int, Meta(ge=0, le=10)] | None = None
    risk_class: Literal["Low", "Medium", "High"] | None = None
    title: str | None = None
    status: str | None = None
    tag: str | None = None
    kingdom: str | None = None
    category: str | None = None
    alarm_id: str | None = None
    created_time: int | None = None
    update_time: int | None = None
    src_ips: Texts | None = None
    dst_ips: Texts | None = None
    networks: Texts | None = None
    custom_data: list[dict[str, str]] | None = None
    rules: list[dict[str, Any]] | None = None


class DirectiveTest(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One test: events, and what alarms they must raise.

    `advance`: time that passes at the end. `order`: of the events, by their time or as they are
    listed. `expect`: every alarm must be in it, unless `other` is allowed. `never`: directives that
    must not even open a backlog.
    """

    name: Annotated[str, Meta(min_length=1)]
    events: Annotated[list[EventStep], _SizeOfMany]
    advance: Duration = 0
    order: Literal["time", "listed"] = "time"
    expect: Annotated[list[Expectation], _Size] = field(default_factory=list)
    never: Annotated[list[int], _Size] = field(default_factory=list)
    other: Literal["forbidden", "allowed"] = "forbidden"


class DirectiveTestFile(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A file of tests of the directives in its folder.

    `schema`: the JSON Schema of such files, for editors. `assets`: a file of assets to use instead
    of those of the folder. `defaults`: values of event
    fields for all events of the file.
    """

    schema: str = field(name="$schema", default="")
    assets: str = ""
    defaults: EventValues = field(default_factory=EventValues)  # type: ignore[valid-type]
    tests: Annotated[list[DirectiveTest], _SizeOfMany]


def parse_duration(value: int | str) -> int:
    """The seconds of a duration; ValueError says what would be right."""
    seconds = value if isinstance(value, int) else _parse_text(value.strip())
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError("must be from 0 s to ten years")
    return seconds


def _parse_text(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 12:
        return int(text)
    if not _DURATION.fullmatch(text):
        raise ValueError("must be seconds, or a text like 90s, 5m, 1h30m, 2d")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
