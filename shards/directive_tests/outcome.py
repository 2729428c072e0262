"""What a test expected, and what came out."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from engine.alarm import AlarmRecord
from engine.correlation.outputs import Outputs
from shards.directive_tests.alarm_match import (
    Values,
    describe,
    describe_expected,
    differences,
    values_of,
    wanted_of,
)
from shards.directive_tests.loader import LoadedTest
from shards.directive_tests.test_file import Expectation

MAX_SHOWN = 5
"""Alarms that a failure shows."""
MAX_ALARMS = 10_000
"""Alarms of one test that are kept; a test with more fails."""

_Alarm = tuple[AlarmRecord, Values]


class Failure(Struct, frozen=True):
    """One reason why a test failed; `directives`: those whose explanation helps."""

    line: int
    column: int
    message: str
    directives: tuple[int, ...] = ()


class TestOutcome(Struct, frozen=True):
    """The outcome of one test; `explanation`: lines about the directives of its failures."""

    loaded: LoadedTest
    seconds: float
    failures: tuple[Failure, ...] = ()
    explanation: tuple[str, ...] = ()

    @property
    def status(self) -> Literal["passed", "failed"]:
        """Whether it passed."""
        return "failed" if self.failures else "passed"


class RaisedAlarms:
    """The alarms of one test by their last line, and the directives that opened backlogs."""

    def __init__(self) -> None:
        self._alarms: dict[str, tuple[int, AlarmRecord]] = {}
        self.opened: set[int] = set()
        self.too_many = False
        """Whether there were more than MAX_ALARMS."""

    def add(self, outputs: Outputs) -> None:
        """Add lines of alarms; of each alarm the last one counts."""
        for published in outputs.published:
            alarm = published.alarm
            if len(self._alarms) < MAX_ALARMS or alarm.alarm_id in self._alarms:
                self._alarms[alarm.alarm_id] = (published.key[0], alarm)
            else:
                self.too_many = True

    def judge(self, loaded: LoadedTest) -> Iterator[Failure]:
        """Every difference between the alarms and what the test expects."""
        line, column = loaded.position
        if self.too_many:
            yield Failure(line, column, f"there are more than {MAX_ALARMS:,} alarms")
            return
        left: defaultdict[int, list[_Alarm]] = defaultdict(list)
        for directive, alarm in self._alarms.values():
            left[directive].append((alarm, values_of(alarm)))
        shown = set()
        for expected, place in zip(loaded.test.expect, loaded.expectations, strict=True):
            alarms = left[expected.directive]
            wanted = wanted_of(expected)
            others = [one for one in alarms if differences(wanted, one[1])]
            left[expected.directive] = others
            if (found := len(alarms) - len(others)) != expected.count:
                shown.add(expected.directive)
                yield _wrong_number(expected, place, found, others)
        for directive in () if loaded.test.other == "allowed" else sorted(left.keys() - shown):
            for alarm, _ in left[directive]:
                message = f"an alarm that nothing expects: {describe(directive, alarm)}"
                yield Failure(line, column, message, (directive,))
        for directive in sorted(set(loaded.test.never) & self.opened):
            message = f"directive {directive} opened a backlog, and must never"
            yield Failure(line, column, message, (directive,))


def _wrong_number(
    expected: Expectation, place: tuple[int, int], found: int, others: list[_Alarm]
) -> Failure:
    number = f"{expected.count:,} alarm{'' if expected.count == 1 else 's'}"
    message = f"expected {number} with {describe_expected(expected)}, got {found:,}"
    if found < expected.count and others:
        wanted = wanted_of(expected)
        different = [(differences(wanted, values), alarm) for alarm, values in others]
        different.sort(key=lambda item: len(item[0]))
        for words, alarm in different[:MAX_SHOWN]:
            message += f"\n  {describe(expected.directive, alarm)}: {'; '.join(words)}"
        if (more := len(others) - MAX_SHOWN) > 0:
            message += f"\n  … and {more:,} more alarm{'' if more == 1 else 's'} of this directive"
    return Failure(*place, message, (expected.directive,))
