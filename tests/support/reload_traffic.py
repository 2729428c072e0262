"""Scenarios across reloads: what each source address sends, event by event.

A scenario opens a backlog, advances it and finishes it. Its second event is one that only one
variant of the directive wants, and that is no probing event: after a reload, only backlogs that
were opened before it make somebody want the event.
"""

import json
from collections.abc import Iterator
from heapq import heappop, heappush
from ipaddress import IPv4Address
from random import Random
from typing import NamedTuple

from tests.support.reload_pool import PROBING, VARIANTS, Pool, last_sid, opening_sid, second_sid
from tests.support.replaying import Json, event

_FIRST = IPv4Address("100.0.0.0")
_FIRST_WHITELISTED = IPv4Address("101.0.0.0")
"""Some scenarios send from here."""
_ONE_WHITELISTED_IN = 16
_STEPS = 3
_PERCENT_UP_TO_DATE = 25
"""Second events that the latest version wants, not the one at the beginning of the scenario."""


class Sent(NamedTuple):
    """An event, in the order of sending."""

    scenario: int
    raw: bytes


class _Scenario(NamedTuple):
    number: int
    directive: int
    variant: int
    step: int


class ReloadTraffic:
    """Events for the latest version of a pool. `sent`: all of them.

    No batch has two events of one scenario.
    """

    def __init__(self, pool: Pool, seed: int, batch: int, longest: int) -> None:
        """`batch`: events sent together. `longest`: events between two of a scenario."""
        self.sent: list[Sent] = []
        self._pool = pool
        self._random = Random(seed)
        self._batch = batch
        self._longest = longest
        self._scenarios = 0
        self._due: list[tuple[int, int, _Scenario]] = []
        """Position in `sent`, number and scenario of the events to come."""

    def next_batch(self, *, begin: bool = True) -> list[bytes]:
        """The next events. `begin`: whether scenarios begin; without, the rest of those that have.

        Empty once all scenarios have ended.
        """
        first = len(self.sent)
        for _ in range(self._batch):
            if self._due and (self._due[0][0] <= len(self.sent) or not begin):
                self._advance(heappop(self._due)[2])
            elif begin:
                self._advance(self._begin())
        return [one.raw for one in self.sent[first:]]

    def rest(self) -> Iterator[list[bytes]]:
        """What ends the scenarios that have begun."""
        while self._due:
            yield self.next_batch(begin=False)

    def _begin(self) -> _Scenario:
        self._scenarios += 1
        id_ = self._random.choice(self._pool.ids)
        variant = self._pool.latest.variants.get(id_)
        if variant is None:
            variant = self._random.randrange(VARIANTS)
        return _Scenario(self._scenarios, id_, variant, 1)

    def _advance(self, scenario: _Scenario) -> None:
        number, id_, variant, step = scenario
        if step == 2 and self._random.randrange(100) < _PERCENT_UP_TO_DATE:
            variant = self._pool.latest.variants.get(id_, variant)
        fields = {} if step == 2 else PROBING
        made = scenario_event(number, id_, step, variant) | fields
        self.sent.append(Sent(number, json.dumps(made).encode()))
        if step < _STEPS:
            gap = self._batch + int(self._random.random() ** 2 * self._longest)
            heappush(self._due, (len(self.sent) + gap, number, scenario._replace(step=step + 1)))


def scenario_event(scenario: int, id_: int, step: int, variant: int = 0) -> Json:
    """The event of a step, 1 to 3, that this variant of the directive takes at that stage."""
    sids = opening_sid(id_, variant), second_sid(id_, variant), last_sid(id_)
    return event(f"s{scenario}-{step}", step, sids[step - 1], src_ip=source(scenario))


def source(scenario: int) -> str:
    """The source address of a scenario."""
    whitelisted = scenario % _ONE_WHITELISTED_IN == 0
    return str((_FIRST_WHITELISTED if whitelisted else _FIRST) + scenario)


def scenario_of_event(event_id: str) -> int:
    """The scenario of an event id."""
    return int(event_id[1:].partition("-")[0])


def scenario_of_source(address: str) -> int:
    """The scenario of a source address."""
    return (int(IPv4Address(address)) - int(_FIRST)) & 0xFFFFFF
