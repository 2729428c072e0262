"""What the directives of a correlator would make of an event, without changing anything.

The verdicts follow the engine: the backlogs that will consume an event are those that it finds
itself, and refusals come from its compiled rules.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from engine.asset import AddressInfo
from engine.correlation import compact_set
from engine.correlation.absence_backlog import refusal
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.directive_backlogs import DirectiveBacklogs
from engine.directives.rule import CompiledRule
from engine.event import NormalizedEvent
from engine.explain.rule_checks import TYPE_FIELDS, OwnResult, RuleChecks
from engine.explain.verdict import CONSUMED, Verdict, VerdictKind

MAX_BACKLOGS = 1000
"""Open backlogs of a directive that are asked about one event; and as many that consume it."""
MAX_ASKED = 1_000_000
"""Number of times that backlogs of one directive are asked, until FEW_BACKLOGS are for each event:
so many events may concern so many backlogs that asking them all has no end."""
FEW_BACKLOGS = 5
_KNOWN_RULES = 10_000
"""Number of rules whose checks are kept."""
AddressLookup = Callable[[str], AddressInfo]
BacklogVerdict = tuple[Backlog | None, Verdict]
"""A verdict, with the backlog that it is of, if any."""


class DirectiveVerdicts(Struct, frozen=True):
    """The verdicts of one directive on one event, oldest backlog first.

    `unasked`: open backlogs that were not asked, since there are too many.
    """

    directive: int
    verdicts: list[BacklogVerdict]
    unasked: int = 0


class Explainer:
    """Makes verdicts; keeps the checks of the rules that it has met."""

    def __init__(self) -> None:
        self._checks: dict[CompiledRule, RuleChecks] = {}
        self._asked: Counter[int] = Counter()
        """By directive: how often its backlogs were asked."""

    def explain(
        self,
        backlogs: DirectiveBacklogs,
        event: NormalizedEvent,
        now: int,
        expired: Iterable[Backlog] = (),
    ) -> DirectiveVerdicts:
        """The verdicts on an event that is about to be correlated at `now`.

        `expired`: closed backlogs whose last stage may have missed the event.
        """
        compiled = backlogs.compiled
        directive = compiled.directive.id
        if backlogs.is_repeat(event, now):
            return DirectiveVerdicts(directive, [(None, Verdict("repeated", directive))])
        asked = _Asked(self, event, compiled.assets.address_info, now)
        few = self._asked[directive] >= MAX_ASKED
        late = [*expired][-FEW_BACKLOGS:] if few else [*expired]
        verdicts = asked.of_open(backlogs, FEW_BACKLOGS if few else MAX_BACKLOGS)
        self._asked[directive] += len(late) + len(verdicts)
        unasked = len(backlogs.backlogs()) - len(verdicts)
        verdicts = [*asked.late(late), *verdicts]
        if not any(verdict.verdict in CONSUMED for _, verdict in verdicts):
            opening = asked.of_opening(compiled)
            if opening.verdict == "opened" and backlogs.is_suppressed(event, now):
                opening = Verdict("suppressed", directive, 1)
            verdicts.append((None, opening))
        return DirectiveVerdicts(directive, verdicts, unasked)

    def checks_of(self, rule: CompiledRule, compiled: CompiledDirective) -> RuleChecks:
        """The checks of a rule."""
        checks = self._checks.get(rule)
        if checks is None:
            if len(self._checks) >= _KNOWN_RULES:
                self._checks.clear()
            checks = self._checks[rule] = RuleChecks(rule, compiled)
        return checks


class _Asked:
    """One event, with what the assets say of its addresses, and the time at which it comes."""

    def __init__(
        self, explainer: Explainer, event: NormalizedEvent, info: AddressLookup, now: int
    ) -> None:
        self._explainer = explainer
        self._event = event
        self._src = info(event.src_ip)
        self._dst = info(event.dst_ip)
        self._now = now
        self._own: dict[CompiledRule, tuple[RuleChecks, OwnResult]] = {}
        """By rule, its checks and the result of those that do not depend on a backlog."""

    def late(self, expired: Iterable[Backlog]) -> Iterator[BacklogVerdict]:
        """The verdicts of closed backlogs that have waited for this event."""
        for backlog in expired:
            verdict = self._of_expired(backlog)
            if verdict.refusal is None:
                yield backlog, verdict

    def of_open(self, backlogs: DirectiveBacklogs, most: int) -> list[BacklogVerdict]:
        """The verdicts of the oldest open backlogs, and of those that consume the event."""
        some = backlogs.stages.find_some_consumers(self._event, self._src, self._dst, MAX_BACKLOGS)
        consumers = dict(some)
        asked = dict.fromkeys(islice(backlogs.backlogs(), most))
        if any(backlog not in asked for backlog in consumers):
            asked |= dict.fromkeys(consumers)
        return [(backlog, self._of_backlog(backlog, consumers.get(backlog))) for backlog in asked]

    def of_opening(self, compiled: CompiledDirective) -> Verdict:
        """Whether the event opens a backlog, or why not."""
        rule, directive = compiled.rules[0], compiled.directive.id
        checks, own = self._checks_of(rule, compiled)
        refusal = checks.refusal(self._event, own)
        if refusal is not None:
            return Verdict("no_match", directive, 1, refusal=refusal)
        return Verdict("opened", directive, 1, count=1, needed=1)

    def _checks_of(
        self, rule: CompiledRule, compiled: CompiledDirective
    ) -> tuple[RuleChecks, OwnResult]:
        found = self._own.get(rule)
        if found is None:
            checks = self._explainer.checks_of(rule, compiled)
            own = checks.own_result(self._event, self._src, self._dst)
            found = self._own[rule] = checks, own
        return found

    def _of_backlog(self, backlog: Backlog, consuming: int | None) -> Verdict:
        """`consuming`: the stage at which the backlog will consume the event, if it will."""
        if backlog.expires_at <= self._now:
            return self._of_expired(backlog)
        if consuming is None:
            return self._of_refusing(backlog)
        if consuming not in backlog.open_stages:
            directive = backlog.compiled.directive.id
            return Verdict("revisited", directive, consuming, backlog.alarm_id)
        return _of_open_stage(backlog, consuming, self._event)

    def _of_refusing(self, backlog: Backlog) -> Verdict:
        """The verdict of a backlog none of whose open stages, at least, matches.

        Of several open stages that of the nearest one: whose kind the event is, and the lowest.
        """
        verdicts = [self._of_stage(backlog, stage) for stage in backlog.open_stages]
        return max(verdicts, key=_nearness)

    def _of_stage(self, backlog: Backlog, stage: int) -> Verdict:
        """Why an event does not match an open stage of a backlog; without a refusal if it does."""
        compiled = backlog.compiled
        checks, own = self._checks_of(compiled.rules[stage - 1], compiled)
        refusal = checks.refusal(self._event, own, backlog.bound)
        return Verdict("no_match", compiled.directive.id, stage, backlog.alarm_id, refusal=refusal)

    def _of_expired(self, backlog: Backlog) -> Verdict:
        verdict = self._of_refusing(backlog)
        if verdict.refusal is not None:
            return verdict
        expired = backlog.expiring_stage
        rule = backlog.compiled.rules[expired - 1].record
        late = self._event.time - backlog.start_of(expired) - rule.timeout
        return replace(verdict, verdict="expired_before", seconds=max(0, late))


def _nearness(verdict: Verdict) -> tuple[bool, bool]:
    refusal = verdict.refusal
    return refusal is None, refusal is not None and refusal.field not in TYPE_FIELDS


def _of_open_stage(backlog: Backlog, stage: int, event: NormalizedEvent) -> Verdict:
    """What a backlog makes of an event that matches this open stage of it."""
    compiled = backlog.compiled
    record = compiled.rules[stage - 1].record
    directive, alarm = compiled.directive.id, backlog.alarm_id
    needed, count = record.occurrence, compact_set.size(backlog.ids_of(stage))
    refused = refusal(backlog, stage, event)
    if refused is not None:
        seconds = {
            "sticky_seen": 0,
            "out_of_order": backlog.latest_end - event.time,
            "too_late": event.time - backlog.start_of(stage) - record.timeout,
        }
        return Verdict(refused, directive, stage, alarm, count, needed, seconds[refused])
    kind: VerdictKind = "taken"
    if count + 1 >= needed:
        kind = "averted" if record.absent else "finished"
    return Verdict(kind, directive, stage, alarm, count + 1, needed)
