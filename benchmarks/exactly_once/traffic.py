"""The events of many scenarios, mixed: a batch at a time, in a repeatable order."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from ipaddress import IPv4Address
from random import Random

from msgspec import Struct

from benchmarks.exactly_once.plans import Plan, plugin_sid

_MAX_GAP_SECONDS = 1.5
"""Longest time between two events of one scenario at the nominal rate."""
_FIRST_SOURCE = IPv4Address("20.0.0.0")


class Sending(Struct):
    """A scenario in progress. `step`: the next one; `sent`: its events that a step sends again."""

    number: int
    plan: Plan
    step: int = 0
    sent: dict[int, bytes] = {}


class Traffic:
    """The scenarios so far. `plan_numbers`: the plan of each scenario, by number."""

    def __init__(self, plans: Sequence[Plan], rate: float, batch: int, seed: int) -> None:
        """`rate` in events per second, `batch` in events."""
        self.plans = plans
        self.plan_numbers: list[int] = []
        self.events = 0
        """Number of events made."""
        self._batch = batch
        self._max_gap = _MAX_GAP_SECONDS * rate
        self._random = Random(seed)
        self._weights = [plan.weight for plan in plans]
        self._position = 0
        self._due: list[tuple[int, int, Sending]] = []

    @property
    def open(self) -> bool:
        """Whether events of scenarios that have begun are still to be sent."""
        return bool(self._due)

    def next_batch(self, *, begin: bool) -> list[bytes]:
        """The next events, at most `batch`; no two of one scenario, so that their order is kept.

        `begin`: whether new scenarios begin.
        """
        events = []
        for _ in range(self._batch):
            if self._due and self._due[0][0] <= self._position:
                events.append(self._advance(heappop(self._due)[2]))
            elif begin:
                events.append(self._advance(self._begin()))
            self._position += 1
        self.events += len(events)
        return events

    def _begin(self) -> Sending:
        (number,) = self._random.choices(range(len(self.plans)), self._weights)
        self.plan_numbers.append(number)
        return Sending(len(self.plan_numbers) - 1, self.plans[number])

    def _advance(self, sending: Sending) -> bytes:
        """The event of the next step; the one after it becomes due later."""
        steps, number = sending.plan.steps, sending.step
        again = steps[number].again
        event = sending.sent[again] if again is not None else _event(sending)
        if any(step.again == number for step in steps):
            sending.sent = sending.sent | {number: event}
        sending.step += 1
        if sending.step < len(steps):
            gap = self._batch + int(self._random.random() ** 2 * self._max_gap)
            heappush(self._due, (self._position + gap, sending.number, sending))
        return event


def event_id(scenario: int, step: int) -> str:
    """The id of the event of this step."""
    return f"x-{scenario}-{step}"


def scenario_and_step(event: str) -> tuple[int, int]:
    """The scenario and the step of an event id; ValueError if it is of no scenario."""
    _, scenario, step = event.split("-")
    return int(scenario), int(step)


def source(scenario: int) -> str:
    """The source address of a scenario."""
    return str(_FIRST_SOURCE + scenario)


def scenario_of(address: str) -> int:
    """The number of the scenario with this source address."""
    return int(IPv4Address(address)) - int(_FIRST_SOURCE)


def _event(sending: Sending) -> bytes:
    step = sending.plan.steps[sending.step]
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return (
        f'{{"event_id":"{event_id(sending.number, sending.step)}","timestamp":"{now}",'
        f'"sensor":"s","plugin_id":1001,'
        f'"plugin_sid":{plugin_sid(sending.plan.directive, step.rule)},'
        f'"src_ip":"{source(sending.number)}","dst_ip":"10.0.0.1","src_port":4000,'
        f'"dst_port":{step.port},"protocol":"TCP","title":"event of a scenario",'
        # So that no two lines of an alarm are equal, even those of an event of an earlier stage.
        f'"custom_data1":"{sending.step}","custom_label1":"step"}}'
    ).encode()


def batches(traffic: Traffic, number: int) -> Iterator[list[bytes]]:
    """So many batches with new scenarios, then those that end what has begun."""
    for _ in range(number):
        yield traffic.next_batch(begin=True)
    while traffic.open:
        yield traffic.next_batch(begin=False)
