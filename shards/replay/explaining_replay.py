"""Recorded events through a correlator that explains what becomes of each."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.errors import InvalidEventError
from engine.event import NormalizedEvent, decode_event, decode_timed_routing_key
from engine.explain.explainer import DirectiveVerdicts
from engine.explain.explaining_correlator import ExplainingCorrelator
from engine.explain.rule_checks import MAX_TEXT
from engine.explain.sentences import sentence
from engine.explain.summary import DirectiveSummary, RefusedEvents
from engine.explain.verdict import Verdict, VerdictKind
from engine.options import Options
from shards.config.config_folder import Config
from shards.replay.event_replay import Replay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent

MAX_EVENTS = 1000
"""Events that are kept with their verdicts, if no ids are selected."""
MAX_VERDICTS = 100
"""Verdicts that are kept of one event; those of consuming backlogs come first."""
MAX_ALARMS = 1_000_000
"""Alarms that are counted, each once, of all directives together."""
_WHOLE_EVENT: tuple[VerdictKind, ...] = ("unmatched", "whitelisted")


class ExplainedEvent(Struct, frozen=True, omit_defaults=True):
    """An event with the verdicts on it; `place`: file and line; `more`: verdicts left out.

    `about`: its plugin or taxonomy, its addresses and its title, as they were sent.
    """

    place: str
    event_id: str
    timestamp: str
    about: str
    verdicts: tuple[Verdict, ...]
    more: int = 0


class ExplainedDirective(Struct, frozen=True):
    """What became of one directive.

    `events`: those on which it had a verdict; `opened`, `finished`, `averted`: backlogs; `alarms`:
    those written; `whitelisted`: events for it that were dropped; `stage` of `stages`: the one that
    its furthest backlog is at, with `taken` of `needed` events, and what held up the others that
    came for it. `late_seconds`: the shortest and the longest time after the timeout. `unasked`: how
    often an open backlog was not asked about an event, since there are too many.
    """

    directive: int
    name: str
    sentence: str
    events: int
    opened: int
    finished: int
    alarms: int
    repeated: int
    whitelisted: int
    suppressed: int
    stage: int
    stages: int
    needed: int
    taken: int
    came: int
    refused: tuple[RefusedEvents, ...]
    late: int
    late_seconds: tuple[int, ...]
    sticky_seen: int
    out_of_order: int
    too_late: int
    averted: int
    unasked: int


class ExplainingReplay(Replay):
    """As Replay; keeps what became of directives and events.

    `counts`: events by verdicts on the whole of them; `omitted`: events that were not kept.
    """

    def __init__(self, config: Config, settings: Settings, selected: Collection[int] = ()) -> None:
        """`selected`: directives to explain for each event; none for those that it concerns."""
        self._selected = selected
        super().__init__(config, settings)
        self._ids = frozenset(settings.event)
        self.events: list[ExplainedEvent] = []
        self.omitted = 0
        self._summaries: dict[int, DirectiveSummary] = {}
        self._alarms: defaultdict[int, set[str]] = defaultdict(set)
        """By directive: the ids of the alarms written."""
        self._alarm_count = 0
        self._verdicts: list[DirectiveVerdicts] = []
        """Those on the present event."""
        for directive in selected:
            if self._explaining.backlogs_of(directive) is not None:
                self._summary(directive)

    def _make_correlator(self, config: Config, options: Options) -> Correlator:
        self._explaining = ExplainingCorrelator(
            config.directives, self._assets, options, self._selected
        )
        self._explaining.listener = self._listen
        return self._explaining

    def _listen(self, _: NormalizedEvent, verdicts: list[DirectiveVerdicts]) -> None:
        self._verdicts = verdicts
        self._add_to_summaries(verdicts)

    def process_event(self, recorded: RecordedEvent) -> None:
        """As Replay does, and keep the verdicts."""
        events = self.ledger.events
        before = [getattr(events, name) for name in _WHOLE_EVENT]
        self._verdicts = []
        try:
            super().process_event(recorded)
        except InvalidEventError as error:
            self._keep(recorded, [Verdict("invalid", detail=str(error))])
            raise
        whole = [
            Verdict(name)
            for name, count in zip(_WHOLE_EVENT, before, strict=True)
            if getattr(events, name) > count
        ]
        if events.whitelisted > before[1]:
            self._count_whitelisted(recorded)
        elif whole and self._selected:
            self._explain_unrouted(recorded)
        self._keep(recorded, whole + [one for found in self._verdicts for _, one in found.verdicts])

    def _count_whitelisted(self, recorded: RecordedEvent) -> None:
        """Count an event that was dropped with the directives that it concerns."""
        key = recorded.key or decode_timed_routing_key(recorded.raw)
        for directive in self.concerned_by(key):
            if not self._selected or directive in self._selected:
                self._summary(directive).whitelisted += 1

    def _explain_unrouted(self, recorded: RecordedEvent) -> None:
        """What the selected directives make of an event that has no key of a rule."""
        try:
            event = decode_event(recorded.raw, [], recorded.time)
        except InvalidEventError:
            return
        self._add_to_summaries(self._explaining.explain(event, self.clock.now))

    def _add_to_summaries(self, verdicts: Iterable[DirectiveVerdicts]) -> None:
        for found in verdicts:
            self._summary(found.directive).add(found)

    def _summary(self, directive: int) -> DirectiveSummary:
        """What became of a directive so far."""
        summary = self._summaries.get(directive)
        if summary is None:
            backlogs = self._explaining.backlogs_of(directive)
            assert backlogs is not None
            summary = self._summaries[directive] = DirectiveSummary(backlogs.compiled)
        return summary

    def _keep(self, recorded: RecordedEvent, verdicts: list[Verdict]) -> None:
        """Keep an event with the verdicts on it, unless there are too many, or it is not meant."""
        if not self._ids and len(self.events) >= MAX_EVENTS:
            self.omitted += 1
            return
        event_id, timestamp, about = _identification(recorded.raw)
        if self._ids and event_id not in self._ids:
            return
        if len(self.events) >= MAX_EVENTS:
            self.omitted += 1
            return
        verdicts.sort(key=lambda verdict: verdict.verdict == "no_match")
        kept = tuple(verdicts[:MAX_VERDICTS])
        more = len(verdicts) - len(kept)
        self.events.append(ExplainedEvent(recorded.place, event_id, timestamp, about, kept, more))

    def take_outputs(self) -> Outputs:
        """As Replay does."""
        outputs = super().take_outputs()
        for published in outputs.published:
            alarms, alarm = self._alarms[published.key[0]], published.alarm.alarm_id
            if alarm not in alarms and self._alarm_count < MAX_ALARMS:
                alarms.add(alarm)
                self._alarm_count += 1
        return outputs

    @property
    def invalid(self) -> Counter[str]:
        """Number of invalid events by reason, of those too whose key is valid."""
        return self.ledger.events.invalid + self.ledger.deliveries.invalid

    def directives(self) -> list[ExplainedDirective]:
        """What became of the selected directives, and those that an event concerned, by id."""
        for id_, count in self._explaining.take_finished_by_time().items():
            self._summary(id_).finished += count
        return [
            _explained(self._summaries[id_], len(self._alarms[id_]))
            for id_ in sorted(self._summaries)
        ]


class _Identification(Struct):
    event_id: Any = ""
    timestamp: Any = ""
    plugin_id: Any = ""
    plugin_sid: Any = ""
    product: Any = ""
    category: Any = ""
    src_ip: Any = ""
    dst_ip: Any = ""
    title: Any = ""


_identifications = msgspec.json.Decoder(_Identification)


def _identification(raw: bytes) -> tuple[str, str, str]:
    """The id and the timestamp of an event as they were sent, cut, and what it is about.

    "" for what it does not have.
    """
    try:
        found = _identifications.decode(raw)
    except Exception:  # RecursionError and UnicodeDecodeError are not MsgspecErrors
        return "", "", ""
    kind = f"{found.plugin_id}:{found.plugin_sid}" if found.plugin_id else ""
    parts = (
        kind or f"{found.product}, {found.category}".strip(", "),
        f"{found.src_ip} → {found.dst_ip}".strip("→ "),
        found.title,
    )
    about = "; ".join(str(part) for part in parts if part)
    return str(found.event_id)[:MAX_TEXT], str(found.timestamp)[:MAX_TEXT], about[:MAX_TEXT]


def _explained(summary: DirectiveSummary, alarms: int) -> ExplainedDirective:
    best = summary.best()
    events = best[1] if best is not None else summary.opening
    directive, rules = summary.compiled.directive, summary.compiled.rules
    return ExplainedDirective(
        directive=directive.id,
        name=directive.name,
        sentence=sentence(summary, alarms),
        events=summary.events,
        opened=summary.opened,
        finished=summary.finished,
        alarms=alarms,
        repeated=summary.repeated,
        whitelisted=summary.whitelisted,
        suppressed=summary.suppressed,
        stage=events.stage,
        stages=len(rules),
        needed=rules[events.stage - 1].record.occurrence,
        taken=events.taken,
        came=events.came,
        refused=tuple(events.refused),
        late=events.late_events,
        late_seconds=tuple(events.late),
        sticky_seen=events.sticky_seen,
        out_of_order=events.out_of_order,
        too_late=events.too_late,
        averted=summary.averted,
        unasked=summary.unasked,
    )
