"""What a test expected, and what came out."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from engine.alarm import AlarmRecord
from engine.correlation.outputs import Outputs
from shards.directive_tests.loader import LoadedTest
from shards.directive_tests.test_file import Expectation

MAX_SHOWN = 5
"""Alarms that a failure shows."""


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

    def add(self, outputs: Outputs) -> None:
        """Add lines of alarms; of each alarm the last one counts."""
        for published in outputs.published:
            self._alarms[published.alarm.alarm_id] = (published.key[0], published.alarm)

    def judge(self, loaded: LoadedTest) -> Iterator[Failure]:
        """Every difference between the alarms and what the test expects."""
        left, shown = dict(self._alarms), set()
        for expected, place in zip(loaded.test.expect, loaded.expectations, strict=True):
            of_directive = [
                (id_, alarm) for id_, (n, alarm) in left.items() if n == expected.directive
            ]
            matching = [id_ for id_, alarm in of_directive if not differences(expected, alarm)]
            for id_ in matching:
                del left[id_]
            if len(matching) != expected.count:
                shown.add(expected.directive)
                yield _wrong_number(expected, place, len(matching), [a for _, a in of_directive])
        rest = [(id_, alarm) for id_, alarm in left.values() if id_ not in shown]
        yield from self._unexpected(loaded, rest)
        line, column = loaded.position
        for directive in sorted(set(loaded.test.never) & self.opened):
            message = f"directive {directive} opened a backlog, and must never"
            yield Failure(line, column, message, (directive,))

    def _unexpected(
        self, loaded: LoadedTest, left: Iterable[tuple[int, AlarmRecord]]
    ) -> Iterator[Failure]:
        if loaded.test.other == "allowed":
            return
        line, column = loaded.position
        for directive, alarm in left:
            message = f"an alarm that nothing expects: {describe(directive, alarm)}"
            yield Failure(line, column, message, (directive,))


def _wrong_number(
    expected: Expectation, place: tuple[int, int], found: int, others: list[AlarmRecord]
) -> Failure:
    number = f"{expected.count} alarm{'' if expected.count == 1 else 's'}"
    message = f"expected {number} with {describe_expected(expected)}, got {found}"
    if not found and others:
        shown = [
            f"{describe(expected.directive, alarm)}: {'; '.join(differences(expected, alarm))}"
            for alarm in others[:MAX_SHOWN]
        ]
        message += "".join(f"\n  {line}" for line in shown)
        if more := len(others) - len(shown):
            message += f"\n  … and {more:,} more alarms of this directive"
    return Failure(*place, message, (expected.directive,))


def stages_of(alarm: AlarmRecord) -> list[str]:
    """The status of each stage of an alarm."""
    return [rule.status or ("open" if rule.start_time else "none") for rule in alarm.rules]


def describe(directive: int, alarm: AlarmRecord) -> str:
    """An alarm in one line."""
    stages = ", ".join(stages_of(alarm))
    return f"directive {directive}, risk {alarm.risk}, stages [{stages}], title {alarm.title!r}"


def describe_expected(expected: Expectation) -> str:
    """The values that are expected, in one line."""
    given = msgspec.to_builtins(expected)
    given.pop("count", None)
    return ", ".join(f"{name} {_shown(value)}" for name, value in given.items())


def _shown(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else repr(value)


def differences(expected: Expectation, alarm: AlarmRecord) -> list[str]:
    """Each value of an alarm that is not as expected, in words."""
    given = msgspec.to_builtins(expected)
    for name in ("directive", "count"):
        given.pop(name, None)
    real = {**msgspec.to_builtins(alarm), "stages": stages_of(alarm)}
    return [
        f"{name} is {_shown(real.get(name))}"
        for name, wanted in given.items()
        if not _equal(name, wanted, real.get(name))
    ]


def _equal(name: str, wanted: Any, got: Any) -> bool:
    if name == "stages":
        return bool(wanted == got[: len(wanted)])
    if name == "rules":
        return len(wanted) <= len(got) and all(
            _subset(rule, real) for rule, real in zip(wanted, got, strict=False)
        )
    if isinstance(got, list | tuple):
        return _equal_lists(wanted, list(got))
    if isinstance(wanted, str) and isinstance(got, str):
        return _matches(wanted, got)
    return bool(wanted == got)


def _equal_lists(wanted: Any, got: list[Any]) -> bool:
    """A list in any order; a text stands for a list of one."""
    items = wanted if isinstance(wanted, list) else [wanted]
    if all(isinstance(item, str) for item in items):
        return len(items) == len(got) and all(
            any(_matches(item, one) for one in got) for item in items
        )
    return len(items) == len(got) and all(any(_subset(item, one) for one in got) for item in items)


def _subset(wanted: dict[str, Any], got: dict[str, Any]) -> bool:
    return all(got.get(name) == value for name, value in wanted.items())


def _matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, in which * stands for any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None
