"""What happens in each kind of scenario, and which alarm must come of it: known before the run.

A scenario is one source address that sends the events of a plan. No two scenarios share an address,
so that each of them has at most one alarm.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from tests.support.replaying import Json, directive, rule
from tests.support.serving import directives_of

TIMEOUT_SECONDS = 1
"""Life of the stage that no event finishes, in plans that time out; the others' never ends."""
_LONG_SECONDS = 86_400
_RELIABILITIES = (1, 5, 10)
"""Risk after each stage: priority 5 and value 5 make the risk equal to the reliability."""


class Step(Struct, frozen=True):
    """One event of a plan. `rule`: the stage whose rule it matches.

    `stage`: the stage at which it must be taken, 0 if it must leave no line. `again`: it is the
    event of this earlier step, sent once more.
    """

    rule: int
    stage: int
    port: int = 80
    again: int | None = None


class Plan(Struct, frozen=True):
    """The events of a scenario, and its alarm at the end.

    `finished`: number of finished stages, 0 if there must be no alarm. `timed_out`: whether the
    next stage must have timed out.
    """

    name: str
    directive: int
    steps: tuple[Step, ...]
    finished: int
    timed_out: bool
    weight: float

    @property
    def risk(self) -> int:
        """The risk in the last line of the alarm."""
        return _RELIABILITIES[self.finished - 1] if self.finished else 0

    @property
    def lines(self) -> dict[tuple[int, int], int]:
        """Number of alarm event lines that there must be, by stage and step."""
        lines: dict[tuple[int, int], int] = {}
        for number, step in enumerate(self.steps):
            if step.stage:
                lines[step.stage, number] = 1
        return lines


_PLAIN = (Step(1, 1), Step(2, 2), Step(3, 3))
_OCCURRENCE = (Step(1, 1), *[Step(2, 2)] * 3, Step(3, 3))
_STICKY = (
    *(Step(1, 1), Step(2, 2, port=1), Step(2, 2, port=2), Step(2, 0, port=2)),
    *(Step(2, 2, port=3), Step(3, 3)),
)
_ACTIVE = (Step(1, 1), Step(2, 2), Step(1, 1), Step(2, 2), Step(3, 3))


def plugin_sid(directive_id: int, stage: int) -> int:
    """The signature that the rule of this stage takes."""
    return 10 * directive_id + stage


def _three_rules(id_: int, last_timeout: int = _LONG_SECONDS, **second: object) -> list[Json]:
    same = {"from": ":1", "to": ":1"}
    return [
        rule(1, plugin_sid(id_, 1), reliability=_RELIABILITIES[0], timeout=_LONG_SECONDS),
        rule(
            2,
            plugin_sid(id_, 2),
            **(same | {"reliability": _RELIABILITIES[1], "timeout": _LONG_SECONDS} | second),
        ),
        rule(3, plugin_sid(id_, 3), reliability=_RELIABILITIES[2], timeout=last_timeout, **same),
    ]


class WorkerPlans:
    """The directives of one worker, and the plans for them."""

    def __init__(self, worker: int, workers: int) -> None:
        plain, times, sticky, active, ending = directives_of(worker, workers, 5)
        self.directives = [
            directive(plain, *_three_rules(plain)),
            directive(times, *_three_rules(times, occurrence=3)),
            directive(sticky, *_three_rules(sticky, occurrence=3, sticky_different="DST_PORT")),
            directive(active, *_three_rules(active), all_rules_always_active=True),
            directive(ending, *_three_rules(ending, TIMEOUT_SECONDS)),
        ]
        again = (*_PLAIN[:1], Step(1, 0, again=0), *_PLAIN[1:], Step(1, 0, again=0))
        self.plans = [
            *_complete_and_decoys("plain", plain, _PLAIN, 2),
            *_complete_and_decoys("occurrence", times, _OCCURRENCE, 2),
            *_complete_and_decoys("sticky", sticky, _STICKY, 2),
            *_complete_and_decoys("always active", active, _ACTIVE, 2),
            Plan("occurrence, short at stage 2", times, _OCCURRENCE[:3], 1, False, 3.0),
            Plan("sticky, short at stage 2", sticky, _STICKY[:4], 1, False, 3.0),
            Plan("sent again", plain, again, 3, False, 8.0),
            Plan("times out", ending, _PLAIN[:2], 2, True, 14.0),
        ]


def _complete_and_decoys(
    name: str, id_: int, steps: tuple[Step, ...], short: int
) -> Iterator[Plan]:
    yield Plan(name, id_, steps, 3, False, 16.0)
    yield Plan(f"{name}, short", id_, steps[:-1], short, False, 3.0)
    if name != "always active":
        orphans = tuple(Step(step.rule, 0, step.port) for step in steps[1:])
        yield Plan(f"{name}, without stage 1", id_, orphans, 0, False, 1.0)


def all_plans(workers: int) -> tuple[list[Json], list[Plan]]:
    """Directives and plans for so many workers; each of them has each kind."""
    parts = [WorkerPlans(worker, workers) for worker in range(workers)]
    directives = [one for part in parts for one in part.directives]
    return directives, [plan for part in parts for plan in part.plans]


def in_version(directives: Iterable[Json], number: int) -> list[Json]:
    """These directives as they are after so many reloads: each one changes half of their names."""
    return [
        one | {"name": f"{one['name']}, version {number - (number + place) % 2}"}
        for place, one in enumerate(directives)
    ]
