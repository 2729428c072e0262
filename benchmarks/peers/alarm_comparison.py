"""Compares the alarms of backends: the same events at a slow rate, and every difference named.

Ids and times of alarms differ between backends, so an alarm is identified by its events, stage by
stage.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.peers import scenario_files
from benchmarks.peers.backend import OURS, Backend
from benchmarks.peers.known_differences import known_reason
from benchmarks.peers.running_backend import BackendStartError, RunningBackend
from benchmarks.peers.test_bed import Options, TestBed
from benchmarks.peers.workloads import SUBJECT
from tests.support.nats_server import Publisher, frame

_TIMEOUT_SECONDS = 27.0
"""Seconds to wait after the last event for timeouts, which some backends check every 10 s."""
_WORKERS = 2


class Alarm(Struct, frozen=True):
    """An alarm in the files of a backend: event ids by stage, and the last line if there is one."""

    events: Mapping[int, Sequence[str]]
    line: Mapping[str, Any] | None

    @property
    def opening_event(self) -> str:
        """The id of the event that opened the backlog."""
        return min(event for stage in sorted(self.events)[:1] for event in self.events[stage])

    @property
    def events_by_stage(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Its event ids in order of stages, which identify the alarm in all backends."""
        return tuple((stage, tuple(self.events[stage])) for stage in sorted(self.events))

    def compared_fields(self) -> dict[str, str]:
        """The parts of its last line that are compared."""
        line = self.line
        if line is None:
            return {"line": "none"}
        states = {rule["stage"]: rule.get("status", "") for rule in line["rules"]}
        custom = (f"{one.get('label', '')}={one['content']}" for one in line.get("custom_data", ()))
        return {
            "line": "written",
            "title": line["title"],
            "risk": f"{line['risk']} {line['risk_class']}",
            "rules": ", ".join(f"{stage} {states[stage] or '-'}" for stage in sorted(states)),
            "src_ips": _sorted_list(line["src_ips"]),
            "dst_ips": _sorted_list(line["dst_ips"]),
            "networks": _sorted_list(line.get("networks") or ()),
            "custom_data": _sorted_list(custom),
        }


class Difference(Struct, frozen=True):
    """A difference of two alarms with the same opening event; `reason`: why it is intended."""

    scenario: str
    opening_event: str = msgspec.field(name="opening")
    field: str
    ours: str
    theirs: str
    reason: str | None


class AlarmComparison(Struct, frozen=True):
    """The comparison with a backend, as in compare_alarms.json.

    `ours`, `theirs`: number of alarms; `same`: alarms without a difference.
    """

    backend: str = msgspec.field(name="contender")
    ours: int
    theirs: int
    same: int
    differences: Sequence[Difference]

    @property
    def unexplained(self) -> list[Difference]:
        """The differences that are not intended."""
        return [difference for difference in self.differences if difference.reason is None]


def compare(
    backends: Sequence[Backend], options: Options, log: Callable[[str], None]
) -> list[AlarmComparison]:
    """Compare the alarms of each peer with ours; without a peer, those of two runs of ours.

    Raises BackendStartError when this project cannot be started; logs it for a peer.
    """
    first, *peers = backends
    ours = _run_scenarios(first, options)
    comparisons: list[AlarmComparison] = []
    for peer in peers or [first]:
        try:
            comparisons.append(_compare(peer.name, ours, _run_scenarios(peer, options)))
        except BackendStartError as error:
            log(f"{peer.name} cannot be started and is left out: {error}")
    return comparisons


def _run_scenarios(backend: Backend, options: Options) -> list[Alarm]:
    """The alarms of a backend from all scenarios."""
    config, probe = scenario_files.config(), scenario_files.probe
    with TestBed(backend, config, probe, _WORKERS, options.unbounded) as bed:
        with Publisher(bed.server.port) as publisher:
            start = time.monotonic()
            for number, event in enumerate(scenario_files.events()):
                time.sleep(max(0.0, start + number / scenario_files.RATE - time.monotonic()))
                publisher.send(frame(SUBJECT, event))
        time.sleep(_TIMEOUT_SECONDS)
        return list(_read_alarms(bed.running))


def _read_alarms(running: RunningBackend) -> Iterator[Alarm]:
    """The alarms in the files of a backend."""
    alarms = running.alarms.read().splitlines()
    events: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for line in map(msgspec.json.decode, running.alarm_events.read().splitlines()):
        events[line["alarm_id"]][line["stage"]].append(line["event_id"])
    last = {line["alarm_id"]: line for line in map(msgspec.json.decode, alarms)}
    for alarm, stages in events.items():
        if not scenario_files.is_probe(next(iter(stages.values()))[0]):
            ids_by_stage = {stage: sorted(ids) for stage, ids in stages.items()}
            yield Alarm(ids_by_stage, last.get(alarm))


def _sorted_list(values: Any) -> str:
    return ", ".join(sorted(values))


def _compare(name: str, ours: Sequence[Alarm], theirs: Sequence[Alarm]) -> AlarmComparison:
    pairs = list(_pair(ours, theirs))
    differences = [difference for pair in pairs for difference in _differences(name, *pair)]
    different = {difference.opening_event for difference in differences}
    same = sum(our is not None and our.opening_event not in different for our, _ in pairs)
    return AlarmComparison(name, len(ours), len(theirs), same, differences)


def _pair(
    ours: Sequence[Alarm], theirs: Sequence[Alarm]
) -> Iterator[tuple[Alarm | None, Alarm | None]]:
    """Pair alarms with the same events, then those with the same opening event."""
    same, ours, theirs = _pair_by(lambda alarm: alarm.events_by_stage, ours, theirs)
    alike, ours, theirs = _pair_by(lambda alarm: alarm.opening_event, ours, theirs)
    yield from same + alike
    yield from ((alarm, None) for alarm in ours)
    yield from ((None, alarm) for alarm in theirs)


def _pair_by(
    key: Callable[[Alarm], object], ours: Sequence[Alarm], theirs: Sequence[Alarm]
) -> tuple[list[tuple[Alarm, Alarm]], list[Alarm], list[Alarm]]:
    """Pairs with the same key, and the alarms without a pair on each side."""
    remaining = list(theirs)
    pairs: list[tuple[Alarm, Alarm]] = []
    unpaired: list[Alarm] = []
    for our in ours:
        keys = [key(alarm) for alarm in remaining]
        if key(our) in keys:
            pairs.append((our, remaining.pop(keys.index(key(our)))))
        else:
            unpaired.append(our)
    return pairs, unpaired, remaining


def _differences(peer: str, our: Alarm | None, their: Alarm | None) -> Iterator[Difference]:
    alarm = our or their
    assert alarm is not None
    scenario = scenario_files.scenario_of(alarm.opening_event).name
    opening_event = alarm.opening_event
    our_fields, their_fields = _fields(our), _fields(their)
    for name in our_fields | their_fields:
        left, right = our_fields.get(name), their_fields.get(name)
        if left != right and (name == "events" or (our and their and left and right)):
            reason = known_reason(peer, scenario, name)
            yield Difference(scenario, opening_event, name, left or "-", right or "-", reason)


def _fields(alarm: Alarm | None) -> dict[str, str]:
    """The compared parts of an alarm by name, for people."""
    if alarm is None:
        return {"events": "no alarm"}
    events = ", ".join(f"{stage}: {' '.join(ids)}" for stage, ids in alarm.events_by_stage)
    return {"events": events, **alarm.compared_fields()}


def show(comparisons: Sequence[AlarmComparison]) -> None:
    """Print a table of the counts, and then every difference."""
    table = Table(title="alarms, by the events in them")
    for heading in ("backend", "our alarms", "its alarms", "the same", "intended", "unexplained"):
        table.add_column(heading, justify="left" if heading == "backend" else "right")
    for comparison in comparisons:
        name = "ours, once more" if comparison.backend == OURS else comparison.backend
        unexplained = len(comparison.unexplained)
        intended = len(comparison.differences) - unexplained
        alarms = (comparison.ours, comparison.theirs, comparison.same)
        table.add_row(name, *map(str, (*alarms, intended, unexplained)))
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    console.print(table)
    for comparison in comparisons:
        for difference in comparison.differences:
            _show_difference(console, comparison.backend, difference)


def _show_difference(console: Console, peer: str, difference: Difference) -> None:
    reason = difference.reason or "UNEXPLAINED"
    place = f"{difference.scenario}, {difference.opening_event}, {difference.field}"
    console.print(f"{peer}, {place}: {reason}", markup=False, soft_wrap=True)
    console.print(f"  ours: {difference.ours}", markup=False, soft_wrap=True)
    console.print(f"  its:  {difference.theirs}", markup=False, soft_wrap=True)
