"""What became of one directive over many events: how far it got, and what held it up."""

from collections import Counter

from msgspec import Struct

from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.explain.explainer import DirectiveVerdicts
from engine.explain.rule_checks import TYPE_FIELDS
from engine.explain.verdict import Refusal, Verdict

MAX_BACKLOGS = 1000
"""Backlogs of a directive whose present stage is followed; the least advanced are given up."""
MAX_REFUSALS = 20
"""Different refusals of one stage that are kept apart; further ones count by their field."""


class RefusedEvents(Struct, frozen=True):
    """Number of events that one condition refused, with the refusal of the first of them."""

    refusal: Refusal
    events: int


class StageEvents:
    """The events that came for one stage of one backlog, or to open one, by what became of them."""

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self.taken = 0
        self.sticky_seen = 0
        self.out_of_order = 0
        self.too_late = 0
        self.late: list[int] = []
        """The shortest and the longest time after the timeout, in seconds."""
        self.late_events = 0
        self.same_plugin = 0
        """Events with the plugin of the stage, and a plugin_sid that it does not have."""
        self.other_sids: Counter[str] = Counter()
        """Their plugin_sids, the first MAX_REFUSALS."""
        self._refused: dict[tuple[str, str], list[Refusal]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    @property
    def came(self) -> int:
        """Number of events that came for the stage."""
        held_up = self.late_events + self.sticky_seen + self.out_of_order + self.too_late
        return self.taken + held_up + self._counts.total()

    @property
    def refused(self) -> list[RefusedEvents]:
        """What refused events, most first."""
        return [
            RefusedEvents(self._refused[key][0], count) for key, count in self._counts.most_common()
        ]

    def add(self, verdict: Verdict) -> None:
        """Add a verdict on an event of the kind that the stage is about."""
        match verdict.verdict:
            case "taken" | "opened" | "finished" | "averted":
                self.taken += 1
            case "sticky_seen":
                self.sticky_seen += 1
            case "out_of_order":
                self.out_of_order += 1
            case "too_late":
                self.too_late += 1
            case "expired_before":
                self.late_events += 1
                seconds = [*self.late, verdict.seconds]
                self.late = [min(seconds), max(seconds)]
            case "no_match" if verdict.refusal is not None:
                self._add_refusal(verdict.refusal)

    def add_other_kind(self, refusal: Refusal) -> None:
        """Add an event that did not come for the stage: count it if only its plugin_sid differs."""
        if refusal.field != "plugin_sid":
            return
        self.same_plugin += 1
        if refusal.got in self.other_sids or len(self.other_sids) < MAX_REFUSALS:
            self.other_sids[refusal.got] += 1

    def _add_refusal(self, refusal: Refusal) -> None:
        key = (refusal.field, refusal.wants)
        if key not in self._counts and len(self._counts) >= MAX_REFUSALS:
            key = (refusal.field, "")
        self._refused.setdefault(key, [refusal])
        self._counts[key] += 1


_Followed = tuple[Backlog, dict[int, StageEvents]]
"""A backlog with the events of its open stages."""


class DirectiveSummary:
    """What became of one directive, verdict by verdict.

    `events`: those on which there were verdicts; `opened`, `averted`, `finished`: backlogs, to
    which the owner adds those whose last stage was absent, since no event finishes them;
    `repeated`: events that had been taken before; `whitelisted`: events for one of its stages that
    were dropped since they come from a whitelisted asset; `suppressed`: events that a cool-down
    kept from opening a backlog; `unasked`: number of times that an open backlog was not asked about
    an event.
    """

    def __init__(self, compiled: CompiledDirective) -> None:
        self.compiled = compiled
        self.events = 0
        self.opened = 0
        self.finished = 0
        self.averted = 0
        self.repeated = 0
        self.whitelisted = 0
        self.suppressed = 0
        self.unasked = 0
        self.opening = StageEvents(1)
        self._followed: dict[Backlog, dict[int, StageEvents]] = {}
        """The events of the open stages of backlogs, as far as any came."""
        self.furthest: _Followed | None = None
        """The backlog that got furthest of those that were given up or have closed."""

    def add(self, found: DirectiveVerdicts) -> None:
        """Add the verdicts of this directive on one event."""
        self.events += 1
        self.unasked += found.unasked
        for backlog, verdict in found.verdicts:
            if backlog is not None:
                self._add_of_backlog(backlog, verdict)
            elif verdict.verdict == "repeated":
                self.repeated += 1
            elif verdict.verdict == "suppressed":
                self.suppressed += 1
            else:
                self._add_of_opening(verdict)

    def best(self) -> tuple[Backlog, StageEvents] | None:
        """The backlog that got furthest, with the events of its present stage.

        Of several open stages that is the lowest one.
        """
        open_stages = self.open_of_best()
        return (open_stages[0], open_stages[1][0]) if open_stages is not None else None

    def open_of_best(self) -> tuple[Backlog, list[StageEvents]] | None:
        """As `best`, with the events of each open stage."""
        followed = list(self._followed.items())
        if self.furthest is not None:
            followed.append(self.furthest)
        best = max(followed, key=_progress, default=None)
        return best and (best[0], _open_stages(*best))

    def _add_of_opening(self, verdict: Verdict) -> None:
        opened = verdict.verdict == "opened"
        self.opened += opened
        self.finished += opened and len(self.compiled.rules) == 1
        refusal = verdict.refusal
        if refusal is None or refusal.field not in TYPE_FIELDS:
            self.opening.add(verdict)
        else:
            self.opening.add_other_kind(refusal)

    def _add_of_backlog(self, backlog: Backlog, verdict: Verdict) -> None:
        refusal = verdict.refusal
        if refusal is not None and refusal.field in TYPE_FIELDS:
            if refusal.field == "plugin_sid":
                self._events_of(backlog, verdict.stage).add_other_kind(refusal)
            return
        if verdict.verdict == "revisited":
            return
        events = self._events_of(backlog, verdict.stage)
        events.add(verdict)
        if verdict.verdict == "finished":
            self._finish(backlog, events)
        elif verdict.verdict == "averted":
            self.averted += 1
            self._give_up(backlog)

    def _events_of(self, backlog: Backlog, stage: int) -> StageEvents:
        """The events of an open stage of a backlog."""
        followed = self._followed.get(backlog)
        if followed is None:
            followed = self._follow(backlog)
        events = followed.get(stage)
        if events is None:
            if not backlog.compiled.directive.any_order:
                followed.clear()
            events = followed[stage] = StageEvents(stage)
            events.taken = compact_set.size(backlog.ids_of(stage))
        return events

    def _finish(self, backlog: Backlog, events: StageEvents) -> None:
        """The event that is about to be correlated finishes a stage of a backlog."""
        any_order, stages = backlog.compiled.directive.any_order, len(backlog.compiled.rules)
        if (len(backlog.starts) if any_order else events.stage) == stages:
            self.finished += 1
            self._give_up(backlog)
            return
        followed = self._followed[backlog]
        del followed[events.stage]
        if not any_order:
            followed[events.stage + 1] = StageEvents(events.stage + 1)

    def _follow(self, backlog: Backlog) -> dict[int, StageEvents]:
        if len(self._followed) >= MAX_BACKLOGS:
            for least in sorted(self._followed.items(), key=_progress)[: MAX_BACKLOGS // 10]:
                self._give_up(least[0])
        followed = self._followed[backlog] = {}
        return followed

    def _give_up(self, backlog: Backlog) -> None:
        """Follow a backlog no longer; keep it if it is the one that got furthest."""
        candidate = (backlog, self._followed.pop(backlog))
        if self.furthest is None or _progress(candidate) > _progress(self.furthest):
            self.furthest = candidate


def _progress(followed: _Followed) -> tuple[int, int, int]:
    """How far a backlog is: its stage, the events of it that were taken, and those that came.

    In any order its stage is one more than the number of those that are finished.
    """
    backlog, by_stage = followed
    events = by_stage.values()
    taken, came = sum(one.taken for one in events), sum(one.came for one in events)
    any_order = backlog.compiled.directive.any_order
    return (len(backlog.starts) if any_order else max(by_stage, default=0)), taken, came


def _open_stages(backlog: Backlog, by_stage: dict[int, StageEvents]) -> list[StageEvents]:
    """The events of each open stage; of the last one for a backlog whose stages are finished."""
    if backlog.compiled.directive.any_order:
        numbers = backlog.open_stages or (len(backlog.compiled.rules),)
    else:  # time may have finished an absent one since its last event
        numbers = (max([*by_stage, *backlog.open_stages], default=1),)
    return [by_stage.get(number) or StageEvents(number) for number in numbers]
