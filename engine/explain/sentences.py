"""What became of a directive in the words that a person would use."""

from collections.abc import Iterator

from engine.alarm import RuleRecord
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.explain.summary import DirectiveSummary, RefusedEvents, StageEvents
from engine.explain.verdict import Refusal

_SHOWN = 5
"""Number of values, and of different refusals, that a sentence names."""
_OTHER = {
    "from": "came from another source than",
    "to": "went to another destination than",
    "port_from": "had another source port than",
    "port_to": "had another destination port than",
}
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
    text = f"({refusal.field} is {refusal.rule})"
    if phrase := _HOME_NET.get((refusal.field, refusal.rule.strip())):
        return f"{phrase} {text}"
    phrase = _OTHER.get(refusal.field, f"had another {refusal.field} than")
    return f"{phrase} {refusal.wants} {text if refusal.rule != refusal.wants else ''}".rstrip()


def _beginning(summary: DirectiveSummary, alarms: int) -> str:
    stages = len(summary.compiled.rules)
    if alarms:
        whole = f"{summary.finished:,} of them with" if summary.finished else "none with"
        whole = "with" if summary.finished == alarms else whole
        return f"{_count(alarms, 'alarm')}, {whole} all {stages} stages finished."
    if summary.finished:
        return f"{_count(summary.finished, 'time')} all {stages} stages finished, with a risk of 0."
    return "It did not fire."


def _rest(summary: DirectiveSummary, alarms: int) -> Iterator[str]:
    if summary.finished and alarms:
        return
    if summary.finished:
        yield _risk_of(summary.compiled)
        return
    best = summary.best()
    if best is not None:
        if summary.opened > 1:
            yield f"The furthest of its {summary.opened:,} backlogs got to stage {best[1].stage}."
        yield from _of_stage(best[1], best[0])
    elif summary.opened:
        yield f"{_count(summary.opened, 'backlog')} opened. {_nothing_came(summary.compiled, 2)}"
    else:
        yield from _never_opened(summary)


def _risk_of(compiled: CompiledDirective) -> str:
    reliability = max(rule.record.reliability for rule in compiled.rules)
    priority = compiled.directive.priority
    return (
        f"Priority {priority} × reliability {reliability} × the value of the highest asset, "
        "divided by 25, must be 1 or more: do the assets contain these addresses?"
    )


def _of_stage(events: StageEvents, backlog: Backlog) -> Iterator[str]:
    """The events that came for the stage at which the backlog is, and what is missing."""
    record = backlog.compiled.rules[events.stage - 1].record
    if not events.came:
        yield _nothing_came(backlog.compiled, events.stage)
        return
    came = _count(events.came, "event")
    yield f"{came} came for stage {events.stage}, {_were(record.occurrence)} needed."
    yield from _refusals(events.refused)
    if events.late_events:
        shortest, longest = events.late
        late = f"{shortest} s" if shortest == longest else f"{shortest} to {longest} s"
        yield f"{events.late_events:,} came {late} after the timeout ({record.timeout} s)."
    if events.sticky_seen:
        sticky = record.sticky_different
        yield f"{events.sticky_seen:,} had a value that was there (sticky_different is {sticky})."
    if events.out_of_order:
        yield f"{events.out_of_order:,} came out of order, before the end of the stage before."
    yield f"{_were(events.taken)} taken."


def _never_opened(summary: DirectiveSummary) -> Iterator[str]:
    opening, record = summary.opening, summary.compiled.rules[0].record
    if opening.came:
        yield f"{_count(opening.came, 'event')} came for stage 1, none opened a backlog."
        yield from _refusals(opening.refused)
        return
    yield _nothing_came(summary.compiled, 1)
    if summary.same_plugin:
        sids = ", ".join(f"{sid} ({n:,})" for sid, n in summary.other_sids.most_common(_SHOWN))
        number = _count(summary.same_plugin, "event")
        yield f"{number} with plugin_id {record.plugin_id} came with plugin_sid {sids}."


def _nothing_came(compiled: CompiledDirective, stage: int) -> str:
    return f"No event came for stage {stage} ({_kind(compiled.rules[stage - 1].record)})."


def _refusals(refused: list[RefusedEvents]) -> Iterator[str]:
    for one in refused[:_SHOWN]:
        example = f", as {one.refusal.got}" if one.refusal.got else ""
        yield f"{one.events:,} {refusal_phrase(one.refusal)}{example}."
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


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _were(number: int) -> str:
    return f"{number:,} was" if number == 1 else f"{number:,} were"
