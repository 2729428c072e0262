"""Compares the alarms of peers: the same events at a slow rate, and every difference named.

Ids and times of alarms differ between peers, so an alarm is identified by its events, stage by
stage.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.peers import scenario_files
from benchmarks.peers.peer import OURS, Peer
from benchmarks.peers.peer_run import cluster
from benchmarks.peers.running_peer import PeerError, RunningPeer
from benchmarks.peers.workloads import SUBJECT
from tests.support.nats_server import Publisher, frame

_AFTER = 27.0
"""Seconds after the last event in which timeouts are noticed: some look for them every ten."""
_RUST = ("rust", "dsiem-rs")
_COPIES = "the peer copies the text of the condition that is referred to, not the event's value"


class KnownDifference(Struct, frozen=True):
    """A difference that is intended: of these peers, in these fields of this scenario's alarms."""

    peers: Collection[str]
    scenario: str
    reason: str
    fields: Collection[str] = ("events",)


KNOWN = (
    KnownDifference(
        ("go",),
        "taxonomy with custom data",
        "the peer does not look at the custom data of taxonomy rules",
    ),
    KnownDifference(
        ("go", *_RUST),
        "both types of rule",
        "the peer never matches a directive that has rules of both types",
    ),
    KnownDifference(("go", "rust"), "reference to a condition", _COPIES, ("events", "src_ips")),
    KnownDifference(("go", "rust"), "port by reference to a condition", _COPIES),
    KnownDifference(
        ("go", "rust"), "custom data by reference to none", f"{_COPIES}; none matches all"
    ),
    KnownDifference(
        ("go", "rust"),
        "reference to the second stage",
        "the peer takes the value of the event that opened the backlog, not of the second stage's",
        ("events", "risk", "rules"),
    ),
    KnownDifference(
        ("go", *_RUST),
        "repeated event",
        "the peer counts an event that comes twice as two occurrences",
    ),
    KnownDifference(
        ("rust",),
        "sticky and one signature",
        "the peer opens a second backlog with an event whose sticky value was seen before",
    ),
)


class Alarm(Struct, frozen=True):
    """A backlog as its files show it: its events by stage, and its last line if it has one."""

    events: Mapping[int, Sequence[str]]
    line: Mapping[str, Any] | None

    @property
    def opening(self) -> str:
        """The event that opened it."""
        return min(event for stage in sorted(self.events)[:1] for event in self.events[stage])

    @property
    def identity(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """What it is known by."""
        return tuple((stage, tuple(self.events[stage])) for stage in sorted(self.events))

    def shown(self) -> dict[str, str]:
        """What is compared of its last line."""
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
            "src_ips": _listed(line["src_ips"]),
            "dst_ips": _listed(line["dst_ips"]),
            "networks": _listed(line.get("networks") or ()),
            "custom_data": _listed(custom),
        }


class Difference(Struct, frozen=True):
    """Between the alarms of one opening event; `reason`: why it is intended, if it is."""

    scenario: str
    opening: str
    field: str
    ours: str
    theirs: str
    reason: str | None


class AlarmComparison(Struct, frozen=True):
    """A peer's alarms beside ours: how many there are, and how many are the same in all."""

    contender: str
    ours: int
    theirs: int
    same: int
    differences: Sequence[Difference]

    @property
    def unexplained(self) -> list[Difference]:
        """Those that nobody intended."""
        return [one for one in self.differences if one.reason is None]


def compare(contenders: Sequence[Peer], say: Callable[[str], None]) -> list[AlarmComparison]:
    """Each peer's alarms with ours; without a peer, ours with those of a second run."""
    first, *peers = contenders
    ours = _alarms(first)
    compared: list[AlarmComparison] = []
    for peer in peers or [first]:
        try:
            compared.append(_compared(peer.name, ours, _alarms(peer)))
        except PeerError as unable:
            say(f"{peer.name} cannot be started and is left out: {unable}")
    return compared


def _alarms(contender: Peer) -> list[Alarm]:
    """What a contender makes of all scenarios."""
    with cluster(contender, scenario_files.config(), 2) as (running, server):
        with Publisher(server.port) as publisher:
            start = time.monotonic()
            for number, event in enumerate(scenario_files.events()):
                time.sleep(max(0.0, start + number / scenario_files.RATE - time.monotonic()))
                publisher.send(frame(SUBJECT, event))
        time.sleep(_AFTER)
        return list(_read(running))


def _read(running: RunningPeer) -> Iterator[Alarm]:
    alarms = running.alarms.read().splitlines()
    events: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for line in map(msgspec.json.decode, running.lines.read().splitlines()):
        events[line["alarm_id"]][line["stage"]].append(line["event_id"])
    last = {line["alarm_id"]: line for line in map(msgspec.json.decode, alarms)}
    for alarm, stages in events.items():
        yield Alarm({stage: sorted(ids) for stage, ids in stages.items()}, last.get(alarm))


def _listed(values: Any) -> str:
    return ", ".join(sorted(values))


def _compared(name: str, ours: Sequence[Alarm], theirs: Sequence[Alarm]) -> AlarmComparison:
    pairs = list(_paired(ours, theirs))
    found = [difference for pair in pairs for difference in _differences(name, *pair)]
    different = {difference.opening for difference in found}
    same = sum(our is not None and our.opening not in different for our, _ in pairs)
    return AlarmComparison(name, len(ours), len(theirs), same, found)


def _paired(
    ours: Sequence[Alarm], theirs: Sequence[Alarm]
) -> Iterator[tuple[Alarm | None, Alarm | None]]:
    """Those of the same events; of the others, those opened by the same event."""
    same, ours, theirs = _by(lambda alarm: alarm.identity, ours, theirs)
    alike, ours, theirs = _by(lambda alarm: alarm.opening, ours, theirs)
    yield from same + alike
    yield from ((alarm, None) for alarm in ours)
    yield from ((None, alarm) for alarm in theirs)


def _by(
    key: Callable[[Alarm], object], ours: Sequence[Alarm], theirs: Sequence[Alarm]
) -> tuple[list[tuple[Alarm, Alarm]], list[Alarm], list[Alarm]]:
    """Pairs with the same key, and what is left on each side."""
    left = list(theirs)
    pairs: list[tuple[Alarm, Alarm]] = []
    alone: list[Alarm] = []
    for our in ours:
        keys = [key(alarm) for alarm in left]
        if key(our) in keys:
            pairs.append((our, left.pop(keys.index(key(our)))))
        else:
            alone.append(our)
    return pairs, alone, left


def _differences(peer: str, our: Alarm | None, their: Alarm | None) -> Iterator[Difference]:
    some = our or their
    assert some is not None
    scenario = scenario_files.scenario_of(some.opening).name
    sides = [_sides(alarm) for alarm in (our, their)]
    for field in dict.fromkeys(key for side in sides for key in side):
        left, right = (side.get(field) for side in sides)
        if left != right and (field == "events" or (our and their and left and right)):
            reason = _reason(peer, scenario, field)
            yield Difference(scenario, some.opening, field, left or "-", right or "-", reason)


def _sides(alarm: Alarm | None) -> dict[str, str]:
    if alarm is None:
        return {"events": "no alarm"}
    events = ", ".join(f"{stage}: {' '.join(ids)}" for stage, ids in alarm.identity)
    return {"events": events, **alarm.shown()}


def _reason(peer: str, scenario: str, field: str) -> str | None:
    for known in KNOWN:
        if peer in known.peers and scenario == known.scenario and field in known.fields:
            return known.reason
    return None


def show(compared: Sequence[AlarmComparison]) -> None:
    """Print what is the same, and then every difference."""
    table = Table(title="alarms, by the events in them")
    for heading in ("contender", "our alarms", "its alarms", "the same", "intended", "unexplained"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    for one in compared:
        name = "ours, once more" if one.contender == OURS else one.contender
        odd = len(one.unexplained)
        counts = (one.ours, one.theirs, one.same, len(one.differences) - odd, odd)
        table.add_row(name, *map(str, counts))
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    console.print(table)
    for one in compared:
        for difference in one.differences:
            _show(console, one.contender, difference)


def _show(console: Console, peer: str, difference: Difference) -> None:
    reason = difference.reason or "UNEXPLAINED"
    head = f"{peer}, {difference.scenario}, {difference.opening}, {difference.field}: {reason}"
    for line in (head, f"  ours: {difference.ours}", f"  its:  {difference.theirs}"):
        console.print(line, markup=False, soft_wrap=True)
