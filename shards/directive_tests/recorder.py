"""Makes a file of tests from what replay makes of recorded events, to be edited."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import msgspec
import yaml

from engine.alarm import AlarmRecord
from engine.correlation.outputs import Outputs
from engine.explain.verdict import CONSUMED
from shards.config.config_folder import Config
from shards.directive_tests.alarm_match import stages_of
from shards.directive_tests.outcome import MAX_ALARMS
from shards.directive_tests.test_events import escape_number
from shards.directive_tests.test_file import EVENT_FIELDS
from shards.replay.explaining_replay import ExplainingReplay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent

MAX_EVENTS = 500
"""Events that are written into the test; with more, the test names the file."""
MAX_EXPECTED = 100
"""Different alarms that are written into the test; with more, it allows others."""
_EVENTS_PER_TURN = 100
"""Number of events whose outputs are taken together."""
_GIVEN_LATER = ("event_id", "timestamp", "rcvd_time")
Step = dict[str, Any]
_ShownAlarm = tuple[int, tuple[str, ...], str]
"""Risk, status of each stage, and title."""

_values = msgspec.json.Decoder(dict[str, Any])


class RecordingReplay(ExplainingReplay):
    """As Replay; keeps the events that one directive consumes, and its alarms."""

    def __init__(self, config: Config, settings: Settings, directive: int) -> None:
        super().__init__(config, settings, (directive,))
        self.directive = directive
        self._events: list[tuple[int, Step]] = []
        self._repeated = False
        self.consumed = 0
        """Number of events that the directive consumed."""
        self._shown: dict[str, _ShownAlarm] = {}
        """The last lines of the directive's alarms, as a test shows them."""
        self.too_many = False
        """Whether there were more than a test can have."""
        self._others = False
        """Whether other directives raised alarms."""

    def process_event(self, recorded: RecordedEvent) -> None:
        """As Replay does."""
        super().process_event(recorded)
        if self.ledger.events.received % _EVENTS_PER_TURN == 0:
            self.take_outputs()
        kinds = {one.verdict for found in self._verdicts for _, one in found.verdicts}
        if not kinds & CONSUMED or recorded.time is None:
            return
        self._repeated |= "repeated" in kinds
        self.consumed += 1
        if len(self._events) < MAX_EVENTS:
            self._events.append((recorded.time, _step(recorded.raw)))

    def take_outputs(self) -> Outputs:
        """As Replay does."""
        outputs = super().take_outputs()
        for published in outputs.published:
            self._others |= published.key[0] != self.directive
            if published.key[0] == self.directive:
                self._keep_alarm(published.alarm)
        return outputs

    def _keep_alarm(self, alarm: AlarmRecord) -> None:
        if len(self._shown) < MAX_ALARMS or alarm.alarm_id in self._shown:
            title = alarm.title.replace("\n", "*")
            self._shown[alarm.alarm_id] = (alarm.risk, tuple(stages_of(alarm)), title)
        else:
            self.too_many = True

    @property
    def left_out(self) -> int:
        """Number of different alarms that the test does not expect, but allows."""
        return max(0, len(set(self._shown.values())) - MAX_EXPECTED)

    def test_file(self, files: Sequence[Path], folder: Path) -> str:
        """The file of tests, to be written into `folder`; `files`: the recorded ones."""
        test: dict[str, Any] = {
            "name": f"directive {self.directive} as recorded",
            "events": [],
            "expect": list(self._expected()),
        }
        if self._others or self.left_out:
            test["other"] = "allowed"
        if self.consumed > MAX_EVENTS:
            test["events"] = [{"file": os.path.relpath(file, folder)} for file in files]
            return _dump({"tests": [test]})
        times = [time for time, _ in self._events]
        first, last = min(times), max(times)
        defaults, steps = _without_common([step for _, step in self._events], self._repeated)
        test["events"] = list(_with_repeats([time - first for time in times], steps))
        if times != sorted(times):
            test["order"] = "listed"
        if self.clock.now > last:
            test["advance"] = f"{self.clock.now - last}s"
        return _dump({"defaults": defaults, "tests": [test]})

    def _expected(self) -> Iterator[dict[str, Any]]:
        """Expectations of the alarms, equal ones together."""
        shown = Counter(self._shown.values())
        for (risk, stages, title), count in islice(shown.items(), MAX_EXPECTED):
            expected = {"directive": self.directive, "risk": risk, "stages": list(stages)}
            yield {**expected, "title": title, "count": count}


def _step(raw: bytes) -> Step:
    """The values of an event that a test may give, as they were sent."""
    values = _values.decode(raw)
    return {name: _as_given(values[name]) for name in EVENT_FIELDS if _is_simple(values.get(name))}


def _is_simple(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _as_given(value: Any) -> Any:
    """A value as a test gives it; numbers with a fraction and booleans are texts in an event."""
    if isinstance(value, str):
        return escape_number(value)
    return msgspec.json.encode(value).decode() if isinstance(value, bool | float) else value


def _without_common(steps: list[Step], repeated: bool) -> tuple[Step, list[Step]]:
    """The values that all events have, and the events without them and without their ids.

    `repeated`: ids matter, since an event came twice.
    """
    left_out = _GIVEN_LATER[1:] if repeated else _GIVEN_LATER
    rest = [{name: value for name, value in step.items() if name not in left_out} for step in steps]
    if not rest:
        return {}, []
    common = {
        name: value
        for name, value in rest[0].items()
        if all(step.get(name) == value for step in rest)
    }
    return common, [
        {name: value for name, value in step.items() if name not in common} for step in rest
    ]


def _with_repeats(times: list[int], steps: list[Step]) -> Iterator[Step]:
    """The steps with their times; equal ones at equal distances as one."""
    for values, run in groupby(zip(times, steps, strict=True), key=lambda item: item[1]):
        at = [time for time, _ in run]
        while at:
            number = _evenly_spaced(at)
            step: Step = {"at": f"{at[0]}s", **values}
            if number > 1:
                step |= {"repeat": number, "every": f"{at[1] - at[0]}s"}
            yield step
            at = at[number:]


def _evenly_spaced(at: list[int]) -> int:
    """How many of the first times follow each other at the same distance, in order."""
    if len(at) < 2 or at[1] < at[0]:
        return 1
    distance = at[1] - at[0]
    number = 2
    while number < len(at) and at[number] - at[number - 1] == distance:
        number += 1
    return number


def _dump(document: Any) -> str:
    """The document as YAML; if a character of it is not printable, with escapes for all others."""
    text = _as_yaml(document, with_unicode=True)
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return _as_yaml(document, with_unicode=False)


def _as_yaml(document: Any, *, with_unicode: bool) -> str:
    text: str = yaml.safe_dump(
        document, sort_keys=False, default_flow_style=None, allow_unicode=with_unicode, width=120
    )
    return text
