"""What became of a directive in the words that a person would use."""

from collections.abc import Iterator

from engine.alarm import RuleRecord
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.directives.condition import is_reference
from engine.explain.rule_checks import UNKNOWN
from engine.explain.summary import DirectiveSummary, RefusedEvents, StageEvents
from engine.explain.verdict import Refusal

_SHOWN = 5
"""Number of values, and of different refusals, that a sentence names."""
_OTHER = {
    "from": ("came from", "source"),
    "to": ("went to", "destination"),
    "port_from": ("had", "source port"),
    "port_to": ("had", "destination port"),
}
"""The verb and the noun of a condition; of others `had` and the name of the field."""
_HOME_NET = {
    ("from", "HOME_NET"): "came from a source outside HOME_NET",
    ("from", "!HOME_NET"): "came from a source in HOME_NET",
    ("to", "HOME_NET"): "went to a destination outside HOME_NET",
    ("to", "!HOME_NET"): "went to a destination in HOME_NET",
}


def sentence(summary: DirectiveSummary, alarms: int) -> str:
    """How far the directive got, and what held it up; `alarms`: number of alarms written."""
    return " ".join((_beginning(summary, alarms), *_rest(summary, alarms)))


def refusal_phrase(refusal: Refusal) -> str:
    """What a refused event did, as `came from another source than 203.0.113.7 (from is :1)`."""
    field, rule, wants = refusal.field, refusal.rule, refusal.wants
    text = f"({field} is {rule})"
    if phrase := _HOME_NET.get((field, rule.strip())):
        return f"{phrase} {text}"
    verb, noun = _OTHER.get(field, ("had", field))
    if wants.startswith(UNKNOWN):
        return f"could not be compared with {wants} {text}"
    if is_reference(rule) and rule.startswith("!"):
        return f"{verb} the {noun} {wants.removeprefix('!')}, which is not wanted {text}"
    if "!" in wants and wants == rule:
        return f"{verb} a {noun} that is not wanted {text}"
    return f"{verb} another {noun} than {wants} {text if rule != wants else ''}".rstrip()


def shown_value(refusal: Refusal) -> str:
    """The value of the refused event, for people; "" if it has none."""
    no_port = refusal.field in ("port_from", "port_to") and refusal.got == "0"
    return "0 (no port)" if no_port else refusal.got


def _beginning(summary: DirectiveSummary, alarms: int) -> str:
    stages = _all_stages(len(summary.compiled.rules))
    finished = summary.finished
    if not alarms:
        times = f": {_count(finished, 'backlog')} got through {stages}" if finished else ""
        return f"It did not fire{times}{', but with a risk of 0' if finished else ''}."
    written = _count(alarms, "alarm")
    if not finished:
        return f"{written}, but none with {stages} finished."
    if finished == alarms:
        return f"{written}, with {stages} finished."
    if finished < alarms:
        return f"{written}, {finished:,} of them with {stages} finished."
    return f"{written}; {finished:,} backlogs got through {stages}, some with a risk of 0."


def _all_stages(number: int) -> str:
    return {1: "its only stage", 2: "both stages"}.get(number, f"all {number} stages")


def _rest(summary: DirectiveSummary, alarms: int) -> Iterator[str]:
    if summary.suppressed and (suppress := summary.compiled.suppress):
        when = f"within {suppress.seconds:,} s after an alarm"
        same = f"with the same {' and '.join(suppress.by)}"
        yield f"{_were(summary.suppressed, 'event')} suppressed, {when} {same}."
    if summary.finished and alarms:
        return
    if summary.finished:
        yield _risk_of(summary)
        return
    if summary.averted:
        yield f"{_were(summary.averted, 'backlog')} averted: what an absent stage excludes came."
    yield from _how_far(summary)
    if summary.repeated:
        yield f"{_were(summary.repeated, 'repeated event')} not counted (--repeat-window)."
    if summary.whitelisted:
        dropped = _were(summary.whitelisted, "event of its kinds", "events of its kinds")
        yield f"{dropped} dropped: the source is in a whitelisted asset."
    if summary.unasked:
        yield "There were too many backlogs to ask all of them about each event."


def _how_far(summary: DirectiveSummary) -> Iterator[str]:
    """The stage that the furthest backlog got to, and what held it up there."""
    best = summary.open_of_best()
    if best is not None:
        backlog, open_stages = best
        if summary.opened > 1:
            furthest = f"The furthest of its {summary.opened:,} backlogs"
            yield f"{furthest} {_got_to(backlog, open_stages)}."
        for events in open_stages[:_SHOWN]:
            yield from _of_stage(events, backlog.compiled)
    elif summary.opened:
        yield f"{_were(summary.opened, 'backlog')} opened."
        yield from _of_stage(StageEvents(2), summary.compiled)
    else:
        yield from _never_opened(summary)


def _got_to(backlog: Backlog, open_stages: list[StageEvents]) -> str:
    if not backlog.compiled.directive.any_order:
        return f"got to stage {open_stages[0].stage}"
    stages = len(backlog.compiled.rules)
    return f"finished {stages - len(open_stages)} of {stages} stages, which may come in any order"


def _risk_of(summary: DirectiveSummary) -> str:
    """Why the risk was 0: the highest asset value of the addresses, if a backlog is known."""
    compiled, best = summary.compiled, summary.best()
    reliability = max(rule.record.reliability for rule in compiled.rules)
    priority = compiled.directive.priority
    needs = f"Priority {priority} × reliability {reliability} × asset value, divided by 25,"
    question = "must be 1 or more: do the assets contain these addresses?"
    if best is None:
        return f"{needs} {question}"
    info = compiled.assets.address_info
    value = max(info(address).value for address in best[0].addresses())
    return f"{needs} {question} The highest value of theirs is {value}."


def _of_stage(events: StageEvents, compiled: CompiledDirective) -> Iterator[str]:
    """The events that came for the stage at which a backlog is, and what is missing."""
    record = compiled.rules[events.stage - 1].record
    if record.absent:
        yield _how_to_finish(record)
    if not events.came:
        if not record.absent:
            yield from _nothing_came(compiled, events)
        return
    came = _count(events.came, "event")
    needed = "" if record.absent else f", {_were(record.occurrence)} needed"
    yield f"{came} came for stage {events.stage}{needed}."
    yield from _refusals(events.refused)
    if events.late_events:
        shortest, longest = events.late
        late = f"{shortest:,} s" if shortest == longest else f"{shortest:,} to {longest:,} s"
        yield f"{events.late_events:,} came {late} after the timeout ({record.timeout} s)."
    if events.sticky_seen:
        sticky = f"(sticky_different is {record.sticky_different})"
        yield f"{events.sticky_seen:,} had a value that was counted before {sticky}."
    if events.out_of_order:
        yield f"{events.out_of_order:,} came out of order, before the end of the previous stage."
    if events.too_late:
        yield f"{events.too_late:,} came after its timeout, too late to prevent it."
    yield f"{_were(events.taken)} taken." if events.taken else "None was taken."


def _how_to_finish(record: RuleRecord) -> str:
    """What finishes an absent stage."""
    fewer = "no event" if record.occurrence == 1 else f"fewer than {record.occurrence:,} events"
    come = "comes" if record.occurrence == 1 else "come"
    when = f"{come} within {record.timeout:,} s"
    return f"Stage {record.stage} is finished if {fewer} ({_kind(record)}) {when}."


def _never_opened(summary: DirectiveSummary) -> Iterator[str]:
    opening = summary.opening
    if opening.came:
        yield f"{_count(opening.came, 'event')} came for stage 1, none opened a backlog."
        yield from _refusals(opening.refused)
        return
    yield from _nothing_came(summary.compiled, opening)


def _nothing_came(compiled: CompiledDirective, events: StageEvents) -> Iterator[str]:
    """That no event came for a stage; of its plugin, the plugin_sids that came instead."""
    record = compiled.rules[events.stage - 1].record
    yield f"No event came for stage {events.stage} ({_kind(record)})."
    if events.same_plugin:
        sids = events.other_sids.most_common(_SHOWN)
        counted = [f"{sid} ({n:,})" if len(sids) > 1 else sid for sid, n in sids]
        number = _count(events.same_plugin, "event")
        yield f"{number} of plugin_id {record.plugin_id} had plugin_sid {', '.join(counted)}."


def _refusals(refused: list[RefusedEvents]) -> Iterator[str]:
    for one in refused[:_SHOWN]:
        refusal = one.refusal
        got = shown_value(refusal) if refusal.rule == refusal.wants else ""
        example = f", such as {got}" if got else ""
        yield f"{one.events:,} {refusal_phrase(refusal)}{example}."
    if more := sum(one.events for one in refused[_SHOWN:]):
        yield f"{more:,} did not meet other conditions."


def _kind(record: RuleRecord) -> str:
    """The events that a rule is about."""
    if record.type == "PluginRule":
        return f"plugin_id {record.plugin_id}, plugin_sid {_some(record.plugin_sid)}"
    return f"category {record.category}, product {_some(record.product)}"


def _some(values: tuple[int, ...] | tuple[str, ...]) -> str:
    shown = ", ".join(map(str, values[:_SHOWN]))
    return f"{shown}, …" if len(values) > _SHOWN else shown


def _count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def _were(number: int, noun: str = "", nouns: str = "") -> str:
    counted = _count(number, noun, nouns) if noun else f"{number:,}"
    return f"{counted} was" if number == 1 else f"{counted} were"
