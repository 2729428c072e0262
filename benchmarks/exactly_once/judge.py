"""Compares the alarm files of a run with what its scenarios must have caused."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field

from benchmarks.exactly_once.plans import Plan
from benchmarks.exactly_once.traffic import event_id, scenario_and_step, scenario_of
from shards.alarm_files import ALARM_EVENTS, ALARMS

FAULTS = ("missing", "events missing", "overwritten", "gone back", "twice", "spurious", "torn")
"""missing: an alarm never reached its state; events missing: lines of alarm events; overwritten:
the last line of an alarm has fewer finished stages than an earlier one; gone back: any line has;
twice: a line equals an earlier one; spurious: lines that must not be; torn: no JSON."""
_MAX_EXAMPLES = 5


class _Rule(Struct):
    status: str = ""


class _Alarm(Struct):
    alarm_id: str
    risk: int
    src_ips: list[str]
    rules: list[_Rule]


class _AlarmEvent(Struct):
    alarm_id: str
    stage: int
    event_id: str


class State(Struct, frozen=True, order=True):
    """An alarm in one line."""

    finished: int
    timed_out: int
    risk: int


class Verdict(Struct):
    """Numbers of faults by name, with examples of each, and of what was there."""

    faults: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(FAULTS, 0)))
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    scenarios: int = 0
    alarms_expected: int = 0
    alarms_harmed: int = 0
    """Scenarios with any fault."""
    alarm_lines: int = 0
    event_lines: int = 0

    def add(self, fault: str, example: str) -> None:
        """Count a fault."""
        self.faults[fault] += 1
        if len(self.examples[fault]) < _MAX_EXAMPLES:
            self.examples[fault].append(example)


class Judge:
    """Reads the files, then judges each scenario."""

    def __init__(self, logs: Path, plans: Sequence[Plan], plan_numbers: Sequence[int]) -> None:
        self._plans = plans
        self._plan_numbers = plan_numbers
        self._harmed: set[int] = set()
        self._states: dict[int, dict[str, list[State]]] = defaultdict(lambda: defaultdict(list))
        """The states of each alarm, by scenario and alarm id, in the order of their lines."""
        self._event_lines: dict[int, Counter[tuple[str, int, int]]] = defaultdict(Counter)
        """By scenario: number of lines by alarm id, stage and step."""
        self._seen: set[int] = set()
        """Hashes of the alarm lines: all of them would take too much memory."""
        self.verdict = Verdict()
        for path in _all_parts(logs / ALARMS):
            self._read_alarms(path)
        for path in _all_parts(logs / ALARM_EVENTS):
            self._read_alarm_events(path)
        for scenario, number in enumerate(plan_numbers):
            self._judge(scenario, plans[number])
        self.verdict.scenarios = len(plan_numbers)
        self.verdict.alarms_harmed = len(self._harmed)

    def _add(self, fault: str, scenario: int, example: str) -> None:
        if 0 <= scenario < len(self._plan_numbers):
            self._harmed.add(scenario)
            plan = self._plans[self._plan_numbers[scenario]]
            example = f"scenario {scenario} ({plan.name}, directive {plan.directive}): {example}"
        self.verdict.add(fault, example)

    def _lines(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line
                else:
                    self.verdict.add("torn", f"{path.name} ends in {line[-100:]!r}")

    def _read_alarms(self, path: Path) -> None:
        decode = msgspec.json.Decoder(_Alarm).decode
        for line in self._lines(path):
            self.verdict.alarm_lines += 1
            try:
                alarm = decode(line)
                scenario = scenario_of(alarm.src_ips[0])
            except (msgspec.DecodeError, ValueError, IndexError) as error:
                self.verdict.add("torn", f"{path.name}: {error}: {line[:100]!r}")
                continue
            statuses = [rule.status for rule in alarm.rules]
            state = State(statuses.count("finished"), statuses.count("timeout"), alarm.risk)
            if (line_hash := hash(line)) in self._seen:
                self._add("twice", scenario, f"alarm line {alarm.alarm_id} {state}")
            self._seen.add(line_hash)
            self._states[scenario][alarm.alarm_id].append(state)

    def _read_alarm_events(self, path: Path) -> None:
        decode = msgspec.json.Decoder(_AlarmEvent).decode
        for line in self._lines(path):
            self.verdict.event_lines += 1
            try:
                event = decode(line)
                scenario, step = scenario_and_step(event.event_id)
            except (msgspec.DecodeError, ValueError) as error:
                self.verdict.add("torn", f"{path.name}: {error}: {line[:100]!r}")
                continue
            self._event_lines[scenario][event.alarm_id, event.stage, step] += 1

    def _judge(self, scenario: int, plan: Plan) -> None:
        alarms = self._states.pop(scenario, {})
        self.verdict.alarms_expected += plan.finished > 0
        wanted = State(plan.finished, int(plan.timed_out), plan.risk)
        for alarm_id, states in alarms.items():
            self._judge_states(scenario, wanted, alarm_id, states)
        if plan.finished and not any(wanted in states for states in alarms.values()):
            reached = max((max(states) for states in alarms.values()), default=None)
            self._add("missing", scenario, f"{wanted} expected, {reached} reached")
        for alarm_id in list(alarms)[int(plan.finished > 0) :]:
            self._add("spurious", scenario, f"alarm {alarm_id} beside {list(alarms)}")
        self._judge_event_lines(scenario, plan)

    def _judge_states(
        self, scenario: int, wanted: State, alarm_id: str, states: list[State]
    ) -> None:
        best = 0
        for state in states:
            if state.finished < best:
                self._add("gone back", scenario, f"{alarm_id}: {states}")
                break
            best = max(best, state.finished)
        if states[-1].finished < max(states).finished:
            self._add("overwritten", scenario, f"{alarm_id}: {states}")
        elif wanted in states and states[-1] != wanted:
            self._add("spurious", scenario, f"{alarm_id}: {states[-1]} after {wanted}")
        if any(s.finished > wanted.finished or s.timed_out > wanted.timed_out for s in states):
            self._add("spurious", scenario, f"{alarm_id}: {states}, but {wanted} expected")

    def _judge_event_lines(self, scenario: int, plan: Plan) -> None:
        expected = plan.lines
        found: Counter[tuple[int, int]] = Counter()
        for (alarm_id, stage, step), number in self._event_lines.pop(scenario, Counter()).items():
            place = f"{event_id(scenario, step)} at stage {stage} of {alarm_id}"
            found[stage, step] += 1
            if number > 1:
                self._add("twice", scenario, f"{number} lines of {place}")
            if (stage, step) not in expected or found[stage, step] > 1:
                self._add("spurious", scenario, place)
        for stage, step in expected.keys() - found.keys():
            name = event_id(scenario, step)
            self._add("events missing", scenario, f"{name} at stage {stage}")


def _all_parts(path: Path) -> list[Path]:
    """A file and those that rotation made of it, in the order in which they were written."""
    rotated = path.parent.glob(f"{path.name}.*")
    return [*sorted(rotated, key=lambda part: int(part.suffix[1:])), path]


def judge(logs: Path, plans: Sequence[Plan], plan_numbers: Sequence[int]) -> Verdict:
    """Judge the files in the log folder, with rotated ones. `plan_numbers`: of each scenario."""
    return Judge(logs, plans, plan_numbers).verdict
