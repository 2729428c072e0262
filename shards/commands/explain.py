"""The explain command: what became of recorded events, and why directives did not fire."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.text import Text

from engine.explain.rule_checks import TYPE_FIELDS
from engine.explain.sentences import refusal_phrase, shown_value
from engine.explain.verdict import CONSUMED, Verdict
from shards.commands.recordings import open_recordings, read_recordings, warn_of_times
from shards.commands.terminal import OutputConsole, counted, print_error, print_json
from shards.config.config_folder import Config
from shards.exit_codes import INVALID
from shards.replay.event_reader import EventReader
from shards.replay.explaining_replay import ExplainedDirective, ExplainedEvent, ExplainingReplay
from shards.safe_text import escape_control
from shards.settings.schema import UsageError
from shards.settings.settings import Settings

MAX_DIRECTIVES = 100
"""Directives that are shown to people; `--format json` has all."""
MAX_EVENTS = 20
"""Input of at most so many events is shown event by event; `--event` selects from more."""
MAX_VERDICTS = 10
"""Verdicts on one event that are shown to people."""
_EVENTS_PER_TURN = 100
"""Number of events whose outputs are taken together."""


def run(settings: Settings, names: list[str]) -> int:
    """Replay the files, print what became of the events, and return the exit code."""
    selected = selected_directives(settings.directive)
    opened = open_recordings(settings, names, "nothing was explained")
    if isinstance(opened, int):
        return opened
    reader, config = opened
    if unknown := _unknown(selected, config):
        print_error(f"{settings.config_dir} has no directive {unknown} that is enabled")
        return INVALID
    replay = ExplainingReplay(config, settings, selected)
    _process(replay, reader)
    if settings.format == "json":
        print_json(_document(replay))
    else:
        _print(replay, settings)
    warn_of_times(reader, replay)
    return reader.exit_code


def _process(replay: ExplainingReplay, reader: EventReader) -> None:
    def process(event: Any) -> None:
        try:
            replay.process_event(event)
        finally:
            if replay.ledger.events.received % _EVENTS_PER_TURN == 0:
                replay.take_outputs()

    read_recordings(reader, process)
    reader.close()
    replay.finish()
    replay.take_outputs()


def selected_directives(texts: Iterable[str]) -> tuple[int, ...]:
    """The ids of --directive; UsageError if one is not a number."""
    for text in texts:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise UsageError(f"--directive is {text!r}, should be ids, like 1001,1002")
    return tuple(dict.fromkeys(map(int, texts)))


def _unknown(selected: Iterable[int], config: Config) -> str:
    known = {directive.id for directive in config.directives}
    return ", ".join(str(id_) for id_ in selected if id_ not in known)


def _document(replay: ExplainingReplay) -> dict[str, Any]:
    """The explanation for programs; docs/explain.md describes it."""
    return {
        "events_received": replay.ledger.events.received,
        "invalid": replay.invalid,
        "unmatched": replay.ledger.events.unmatched,
        "whitelisted": replay.ledger.events.whitelisted,
        "directives": replay.directives(),
        "events": replay.events,
        "events_omitted": replay.omitted,
    }


def _print(replay: ExplainingReplay, settings: Settings) -> None:
    console = OutputConsole(highlight=False)
    directives = sorted(replay.directives(), key=lambda one: (one.alarms > 0, one.directive))
    if settings.event and not settings.directive:
        concerned = {one.directive for event in replay.events for one in event.verdicts}
        directives = [one for one in directives if one.directive in concerned]
    for directive in directives[:MAX_DIRECTIVES]:
        console.print(_headline(directive), soft_wrap=True)
    if (more := len(directives) - MAX_DIRECTIVES) > 0:
        directives_left = counted(more, "more directive")
        print_error(f"{directives_left}: --format json has all, --directive selects")
    if settings.event or len(replay.events) + replay.omitted <= MAX_EVENTS:
        for event in replay.events:
            console.print(*_event_lines(event), sep="\n", soft_wrap=True)
    print_error(_totals(replay))
    missing = set(settings.event) - {event.event_id for event in replay.events}
    if missing:
        print_error(f"no event has the id {escape_control(', '.join(sorted(missing)))}")


def _headline(directive: ExplainedDirective) -> Text:
    """`1001 SSH brute force: …`, green if there is an alarm, else yellow."""
    style = "green" if directive.alarms else "yellow"
    return Text.assemble(
        (escape_control(f"{directive.directive} {directive.name}"), f"bold {style}"),
        ": ",
        escape_control(directive.sentence),
    )


def _totals(replay: ExplainingReplay) -> str:
    events = replay.ledger.events
    invalid = replay.invalid.total()
    concern = events.routed - replay.ledger.deliveries.invalid.total()
    return (
        f"{counted(events.received, 'event')}: "
        f"{counted(concern, 'concerns', 'concern')} a directive, "
        f"{counted(events.unmatched, 'concerns', 'concern')} none, "
        f"{counted(events.whitelisted, 'is', 'are')} from whitelisted assets, {invalid:,} invalid"
    )


def _event_lines(event: ExplainedEvent) -> Iterator[Text]:
    """The event, and a line for each verdict on it."""
    identification = f"{event.event_id or event.place} {event.timestamp}".rstrip()
    about = escape_control(f" {event.about}".rstrip())
    yield Text.assemble((escape_control(identification), "bold"), about)
    verdicts = [one for one in event.verdicts if not _is_of_another_stage(one, event.verdicts)]
    for verdict in verdicts[:MAX_VERDICTS]:
        where = _place(verdict, verdicts)
        yield Text.assemble(f"  {where}", (escape_control(describe(verdict)), _style(verdict)))
    if more := event.more + max(0, len(verdicts) - MAX_VERDICTS):
        yield Text(f"  … and {counted(more, 'more verdict')}")


def _is_of_another_stage(verdict: Verdict, verdicts: Iterable[Verdict]) -> bool:
    """Whether it only says that an event which backlogs were asked about is not one for stage 1."""
    if verdict.backlog or verdict.refusal is None or verdict.refusal.field not in TYPE_FIELDS:
        return False
    return any(one.backlog and one.directive == verdict.directive for one in verdicts)


def _place(verdict: Verdict, verdicts: Iterable[Verdict]) -> str:
    """`1001 stage 2: `, with the backlog if its directive has verdicts of several ones."""
    if not verdict.directive:
        return ""
    stage = f" stage {verdict.stage}" if verdict.stage else ""
    backlogs = {one.backlog for one in verdicts if one.directive == verdict.directive} - {""}
    backlog = f" backlog {verdict.backlog}" if verdict.backlog and len(backlogs) > 1 else ""
    return f"{verdict.directive}{stage}{escape_control(backlog)}: "


def _style(verdict: Verdict) -> str:
    if verdict.verdict in ("opened", "taken", "finished", "revisited"):
        return "green"
    return "" if verdict.verdict in CONSUMED else "yellow"


def describe(verdict: Verdict) -> str:
    """What became of an event, in words."""
    if verdict.refusal is not None:
        met = f"{verdict.refusal.met} of {verdict.refusal.conditions} conditions met"
        got = shown_value(verdict.refusal) or "nothing"
        return f"no match: it {refusal_phrase(verdict.refusal)}, got {got}; {met}"
    of = f" ({verdict.count} of {verdict.needed})"
    return {
        "invalid": f"invalid: {verdict.detail}",
        "whitelisted": "dropped: its source is in a whitelisted asset",
        "unmatched": "no rule has its plugin_id and plugin_sid, or its product and category",
        "opened": "opened a backlog",
        "taken": f"taken{of}",
        "finished": f"taken{of}: the stage is finished",
        "revisited": "taken at an earlier stage (all_rules_always_active)",
        "repeated": "a repeat: the directive has taken this event before",
        "suppressed": "suppressed: an alarm with the same values is not long ago",
        "sticky_seen": f"not counted{of}: sticky_different wants a new value",
        "out_of_order": f"out of order: {verdict.seconds} s before the end of the previous stage",
        "too_late": f"not counted: {verdict.seconds} s after the timeout of the absent stage",
        "averted": f"taken{of}: the absent stage cannot finish, and the backlog closes",
        "expired_before": f"too late: {verdict.seconds} s after the timeout of the stage",
    }[verdict.verdict]
