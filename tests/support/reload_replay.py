"""What a service must have written under reloads: the same events and changes in one correlator.

Scenarios do not share addresses, so what becomes of one does not depend on the others. Between two
probing events that were matched by different versions nobody knows when the reload happened: each
possibility is tried, for the scenario alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path

import msgspec
from msgspec import Struct, field

from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.event import decode_event
from engine.options import Options
from shards.alarm_files import ALARM_EVENTS, ALARMS
from tests.support.reload_pool import WORKERS, Version, version_of
from tests.support.reload_traffic import Sent, scenario_of_event, scenario_of_source
from tests.support.replaying import Json
from tests.support.serving import read_lines

_LIFETIME = 60_000_000_000
"""Seconds, as in serving.NEVER_EXPIRE."""
_TIMES = ("created_time", "update_time")
_MOST_POSSIBILITIES = 200
_MOST_EXAMPLES = 5


class Outcome(Struct):
    """What became of a scenario: alarm event lines, and the last line of each alarm."""

    alarm_events: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    alarms: dict[str, Json] = field(default_factory=dict)


class Replay:
    """One correlator, which gets events and versions in turn.

    `removed`: number of backlogs closed since their directive was gone. `whitelisted`: smallest and
    largest possible number of events counted so; those that concern no directive are not, and how
    long the router knows former definitions is its own affair.
    """

    def __init__(self, version: Version, node: str) -> None:
        self._running = version.directive_set
        directives, assets = self._running.directives.values(), self._running.assets
        options = Options(node=node, min_alarm_lifetime=_LIFETIME)
        self._correlator = Correlator(directives, assets, options)
        self.outcomes: dict[int, Outcome] = defaultdict(Outcome)
        self.removed = 0
        self.whitelisted = 0, 0

    @property
    def open(self) -> int:
        """Number of open backlogs."""
        return len(self._correlator)

    def reload(self, version: Version) -> None:
        """Let this version run."""
        outputs = Outputs()
        self._running = version.directive_set
        self._correlator.reload(self._running, 0, outputs, lookups=False)  # nothing ever expires
        self.removed += outputs.counts["removed"]

    def process(self, sent: Sent) -> None:
        """Correlate an event, unless it is whitelisted."""
        event = decode_event(sent.raw)
        if self._running.assets.address_info(event.src_ip).whitelisted:
            low, high = self.whitelisted
            self.whitelisted = low + bool(event.category), high + 1
            return
        outputs = self._correlator.process_event(event, event.time)
        outcome = self.outcomes[sent.scenario]
        for line in outputs.alarm_events:
            outcome.alarm_events[line.alarm_id, line.stage, line.event_id] += 1
        for published in outputs.published:
            alarm = msgspec.json.decode(msgspec.json.encode(published.alarm))
            outcome.alarms[alarm["alarm_id"]] = _timeless(alarm)


def _timeless(alarm: Json) -> Json:
    return {key: value for key, value in alarm.items() if key not in _TIMES}


def written(logs: Path) -> dict[int, Outcome]:
    """What the alarm files in a folder say, by scenario."""
    outcomes: dict[int, Outcome] = defaultdict(Outcome)
    for alarm in read_lines(logs / ALARMS):
        scenario = scenario_of_source(alarm["src_ips"][0])
        outcomes[scenario].alarms[alarm["alarm_id"]] = _timeless(alarm)
    for line in read_lines(logs / ALARM_EVENTS):
        scenario = scenario_of_event(line["event_id"])
        outcomes[scenario].alarm_events[line["alarm_id"], line["stage"], line["event_id"]] += 1
    return outcomes


class Verdict(Struct):
    """What is wrong, and how much there was to judge."""

    faults: list[str] = field(default_factory=list)
    scenarios: int = 0
    uncertain: int = 0
    """Scenarios with an event that may have been matched by more than one version."""
    versions: int = 0
    """Versions that any event was matched by."""
    finished_after_change: int = 0
    """Alarms that finished by a definition which their directive did not have any more."""
    removed: tuple[int, int] = (0, 0)
    """Smallest and largest possible number of backlogs that were removed."""
    whitelisted: tuple[int, int] = (0, 0)


class Judge:
    """Compares the files of a service with the replay of what it was sent."""

    def __init__(
        self, logs: Path, node: str, versions: Sequence[Version], sent: Sequence[Sent]
    ) -> None:
        """`logs`: the folder of the files; `versions`: those that were loaded, in order."""
        self.verdict = Verdict()
        self._node = node
        self._versions = versions
        self._places = {version.number: place for place, version in enumerate(versions)}
        self._sent = sent
        self._written = written(logs)
        self._ranges = list(self._find_ranges())
        self._judge()

    def _fail(self, text: str) -> None:
        if len(self.verdict.faults) < _MOST_EXAMPLES:
            self.verdict.faults.append(text)

    # By which version each event was matched.

    def _find_ranges(self) -> Iterator[tuple[int, int]]:
        """The places of the first and of the last version that may have matched each event."""
        revealed = self._revealed()
        places = [self._place_of(sent, revealed) for sent in self._sent]
        known = [place for place in places if place is not None]
        self.verdict.versions = len(set(known))
        for before, after in pairwise(known):
            if after < before:
                self._fail(f"version {after} of an event comes after {before}")
        following, low = _following(places, len(self._versions) - 1), 0
        for place, high in zip(places, following, strict=True):
            low = low if place is None else place
            yield low, max(low, high)

    def _revealed(self) -> dict[str, Counter[int]]:
        """By event id: the versions in the titles of the probes' alarms that it opened."""
        versions = {
            alarm_id: version
            for outcome in self._written.values()
            for alarm_id, alarm in outcome.alarms.items()
            if (version := version_of(alarm["title"])) is not None
        }
        revealed: dict[str, Counter[int]] = defaultdict(Counter)
        for outcome in self._written.values():
            for alarm_id, _, event_id in outcome.alarm_events:
                if alarm_id in versions:
                    revealed[event_id][versions[alarm_id]] += 1
        return revealed

    def _place_of(self, sent: Sent, revealed: Mapping[str, Counter[int]]) -> int | None:
        found = revealed.get(msgspec.json.decode(sent.raw)["event_id"])
        if found is None:
            return None
        ((version, probes),) = found.most_common(1)
        if len(found) > 1 or probes != WORKERS:
            self._fail(f"the versions of the probes of an event are {dict(found)}")
        if version not in self._places:
            self._fail(f"version {version} was never loaded, and has matched an event")
            return None
        return self._places[version]

    # What must have come of it.

    def _judge(self) -> None:
        events: dict[int, list[int]] = defaultdict(list)
        for position, sent in enumerate(self._sent):
            events[sent.scenario].append(position)
        uncertain = {
            scenario
            for scenario, positions in events.items()
            if any(low != high for low, high in (self._ranges[p] for p in positions))
        }
        certain = [p for p, sent in enumerate(self._sent) if sent.scenario not in uncertain]
        replay = self._replay(certain, [self._ranges[p][0] for p in certain])
        self.verdict.scenarios, self.verdict.uncertain = len(events), len(uncertain)
        removed, whitelisted = [(replay.removed,) * 2], [replay.whitelisted]
        for scenario in events.keys() - uncertain:
            self._compare(scenario, events[scenario][-1], [replay.outcomes[scenario]])
        for scenario in uncertain:
            replays = self._possible(events[scenario])
            possible = [one.outcomes[scenario] for one in replays]
            self._compare(scenario, events[scenario][-1], possible)
            removed.append(_span(one.removed for one in replays))
            whitelisted.append(_span(n for one in replays for n in one.whitelisted))
        self.verdict.removed = _sum(removed)
        self.verdict.whitelisted = _sum(whitelisted)
        for scenario in self._written.keys() - events.keys():
            self._fail(f"scenario {scenario} was never sent")

    def _possible(self, positions: Sequence[int]) -> list[Replay]:
        """A replay of a scenario for each possibility."""
        ranges = [self._ranges[position] for position in positions]
        possibilities = list(product(*(range(low, high + 1) for low, high in ranges)))
        assert len(possibilities) < _MOST_POSSIBILITIES, "there are not enough probing events"
        ordered = [places for places in possibilities if sorted(places) == list(places)]
        return [self._replay(positions, places) for places in ordered]

    def _replay(self, positions: Sequence[int], places: Sequence[int]) -> Replay:
        """Replay the events at these positions, each by the version at its place."""
        running = places[0]
        replay = Replay(self._versions[running], self._node)
        for position, place in zip(positions, places, strict=True):
            running = self._reload_to(replay, running, place)
            replay.process(self._sent[position])
        self._reload_to(replay, running, len(self._versions) - 1)
        return replay

    def _reload_to(self, replay: Replay, running: int, place: int) -> int:
        for version in self._versions[running + 1 : place + 1]:
            if not replay.open:  # as for most of the versions after a single scenario
                replay.reload(self._versions[place])
                break
            replay.reload(version)
        return max(running, place)

    def _compare(self, scenario: int, last: int, possible: Sequence[Outcome]) -> None:
        """`last`: the position of the last event of the scenario."""
        outcome = self._written[scenario]
        if outcome not in possible:
            self._fail(f"scenario {scenario}: {outcome}\nmust be one of {possible}")
        running = self._versions[self._ranges[last][0]]
        names = {_definition(one["name"]) for one in running.directives}
        self.verdict.finished_after_change += sum(
            _has_finished(alarm) and _definition(alarm["title"]) not in names
            for alarm in outcome.alarms.values()
        )


def _definition(name: str) -> str:
    """The part of a name, or of a title, that says which definition of a directive it is."""
    return name.rpartition(",")[0]


def _has_finished(alarm: Json) -> bool:
    return all(rule.get("status") == "finished" for rule in alarm["rules"])


def _following(places: Sequence[int | None], last: int) -> list[int]:
    """For each event, the place of the next one that is known."""
    following = []
    for place in reversed(places):
        last = last if place is None else place
        following.append(last)
    return following[::-1]


def _span(numbers: Iterable[int]) -> tuple[int, int]:
    all_ = list(numbers)
    return min(all_), max(all_)


def _sum(spans: Iterable[tuple[int, int]]) -> tuple[int, int]:
    all_ = list(spans)
    return sum(low for low, _ in all_), sum(high for _, high in all_)
