"""The correlation cases of tests/correlation/*.json: reading them, and filling in what they omit.

Only the format of the cases lives here. Nothing that decides what an engine should do.

A file is `{"about": text, "cases": [case, ...]}`. A case:

    {"name": "a sentence that says the behaviour",
     "assets": [...], "directives": [...], "options": {...},   (what is omitted is defaulted)
     "steps": [...], "open": how many backlogs are open at the end}

All times are small numbers, in seconds after 2023-01-01T00:00:00Z.

A step is `{"event": {...}}` or `{"tick": time}`, and what is expected of it; what is not mentioned
must not happen. `now` of an event's step is the highest event time so far unless it is given.
- An event shows only what differs from the defaults: the n-th event of a case has the event_id
  `en`, comes at `"t": n`, from 10.0.0.1 to 10.0.0.2, with plugin_id 1001 and plugin_sid 1 (or none
  of the two when it has a product). `timestamp` may be given in place of `t`.
- A rule shows only what differs from: PluginRule (TaxonomyRule when it has a product), its stage
  the position in the list, plugin_id 1001, plugin_sid [stage], from and to ANY, occurrence 1,
  timeout 600, and reliability 0, with which no alarm is published. null leaves a field out.
- `opens`: the ids of the directives that open a backlog with this event. If another event had the
  same event_id before, the backlogs are `1/e1#1`, `1/e1#2`, …
- `takes`: `"1/e1 2"`, the backlog and the stage at which it takes this event.
- `counts`: the other counts. Opened and taken are counted from `opens` and `takes`.
- `alarms`: one `{"id": "1/e1", ...}` per publish. The first of a backlog states what differs from
  a fresh record of its directive (created and updated now, 10.0.0.1 to 10.0.0.2 in 10.0.0.0/8),
  risk and risk_class always; each later one what differs from the one before. It is a merge patch
  (null removes), with `rules` by stage, and `stages` as a short way to state the times and the
  status of each: `"1..2 finished"`, `"2.."`, `"2.. timeout"`, `""`. A publish with lookups has
  `due`, the addresses, and `pairs`, when there are any. `"fresh": true`: of another backlog with
  the same id.
- `lines`: in place of `alarms`, the JSON lines themselves, to the letter; then `due` is a key of
  the step. `event_lines` likewise.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.paths import TESTS

Json = dict[str, Any]

BASE = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
FOLDER = TESTS / "correlation"

ASSETS: list[Json] = [{"name": "home", "cidr": "10.0.0.0/8", "value": 5}]
ALARM_KEYS = (
    *("alarm_id", "title", "status", "tag", "kingdom", "category", "created_time", "update_time"),
    *("risk", "risk_class", "rules", "src_ips", "dst_ips", "networks", "custom_data"),
)
RULE_KEYS = (
    *("name", "type", "stage", "plugin_id", "plugin_sid", "occurrence", "from", "to"),
    *("port_from", "port_to", "protocol", "reliability", "timeout"),
    *("product", "category", "subcategory", "start_time", "end_time", "status"),
    *("sticky_different", "custom_data1", "custom_data2", "custom_data3"),
    *("custom_label1", "custom_label2", "custom_label3", "absent"),
)
CONTENT = (
    *("event_id", "timestamp", "sensor", "src_ip", "dst_ip", "plugin_id", "plugin_sid", "title"),
    *("product", "category", "subcategory", "src_port", "dst_port", "protocol", "conn_id"),
    *("custom_data1", "custom_data2", "custom_data3"),
    *("custom_label1", "custom_label2", "custom_label3"),
)
"""The fields that make two events with the same id different ones."""
TIMES = ("created_time", "update_time", "start_time", "end_time")
CASE_KEYS = {"name", "assets", "directives", "options", "steps", "open"}
STEP_KEYS = {
    *("event", "tick", "now", "opens", "takes", "counts", "alarms"),
    *("lines", "event_lines", "due"),
}


@dataclass
class Expected:
    """Exactly what a step leads to; the lines only where a case pins them to the letter."""

    alarm_events: list[Json] = field(default_factory=list)
    alarms: list[Json] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    due: list[Json] = field(default_factory=list)
    lines: list[str] | None = None
    event_lines: list[str] | None = None


@dataclass(frozen=True)
class Step:
    """One event, or a tick when there is none, at a moment of the clock."""

    event: Json | None
    now: int
    expected: Expected


@dataclass(frozen=True)
class Case:
    """A case with everything spelled out."""

    name: str
    assets: list[Json]
    directives: list[Json]
    options: Json
    steps: list[Step]
    open_backlogs: int


def load_cases(folder: Path = FOLDER) -> list[Case]:
    """Every case of every file, named `file: case`."""
    return [
        expand_case(path.stem, case)
        for path in sorted(folder.glob("*.json"))
        for case in json.loads(path.read_text("utf-8"))["cases"]
    ]


def expand_case(topic: str, case: Json) -> Case:
    check_keys(case, CASE_KEYS, case["name"])
    directives = [fill_directive(one, i) for i, one in enumerate(case["directives"], 1)]
    return Case(
        name=f"{topic}: {case['name']}",
        assets=case.get("assets", ASSETS),
        directives=directives,
        options=case.get("options", {}),
        steps=expand_steps(case["steps"], directives),
        open_backlogs=case["open"],
    )


def check_keys(given: Json, known: set[str], where: str) -> None:
    """A misspelt expectation would expect nothing."""
    if unknown := given.keys() - known:
        raise ValueError(f"{where}: unknown {sorted(unknown)}")


def fill_directive(directive: Json, position: int) -> Json:
    filled = {
        "id": position,
        "name": "Trouble",
        "kingdom": "Kingdom",
        "category": "Category",
        "priority": 5,
        **directive,
    }
    filled["rules"] = [fill_rule(rule, i) for i, rule in enumerate(directive["rules"], 1)]
    return filled


def fill_rule(rule: Json, position: int) -> Json:
    stage = rule.get("stage", position)
    is_taxonomy = "product" in rule and "plugin_sid" not in rule
    plugin = {} if is_taxonomy else {"plugin_id": 1001, "plugin_sid": [stage]}
    filled = {
        "name": f"rule {stage}",
        "type": "TaxonomyRule" if is_taxonomy else "PluginRule",
        "stage": stage,
        **plugin,
        "occurrence": 1,
        "from": "ANY",
        "to": "ANY",
        "reliability": 0,
        "timeout": 600,
        **rule,
    }
    return {name: value for name, value in filled.items() if value is not None}


def expand_steps(steps: list[Json], directives: list[Json]) -> list[Step]:
    """Event n is called en and comes at time n; the clock is the highest time so far."""
    expanded: list[Step] = []
    latest: dict[str, Json] = {}
    contents: dict[str, list[Json]] = {}
    now, number = BASE, 0
    for step in steps:
        check_keys(step, STEP_KEYS, f"step {len(expanded) + 1}")
        event = None
        if "event" in step:
            number += 1
            event = fill_event(step["event"], number)
        now = clock(step, event, now)
        expected = expand_expected(step, event, now, directives, latest)
        if event:
            rename_opened(expected, step, event, contents.setdefault(event["event_id"], []))
        expanded.append(Step(event, now, expected))
    return expanded


def clock(step: Json, event: Json | None, before: int) -> int:
    if event is None:
        return BASE + int(step["tick"])
    if "now" in step:
        return BASE + int(step["now"])
    return max(before, int(datetime.fromisoformat(with_offset(event["timestamp"])).timestamp()))


def with_offset(timestamp: str) -> str:
    """A timestamp without an offset is UTC."""
    has_offset = datetime.fromisoformat(timestamp).tzinfo is not None
    return timestamp if has_offset else timestamp + "Z"


def fill_event(event: Json, number: int) -> Json:
    plugin = {} if "product" in event else {"plugin_id": 1001, "plugin_sid": 1}
    shown = dict(event)
    moment = datetime.fromtimestamp(BASE + shown.pop("t", number), UTC)
    return {
        "event_id": f"e{number}",
        "timestamp": moment.isoformat().replace("+00:00", "Z"),
        "sensor": "sensor",
        "src_ip": "10.0.0.1",
        "dst_ip": "10.0.0.2",
        **plugin,
        **shown,
    }


def expand_expected(
    step: Json, event: Json | None, now: int, directives: list[Json], latest: dict[str, Json]
) -> Expected:
    expected = Expected(counts=dict(step.get("counts", {})))
    if event is not None:
        expect_events(expected, step, event["event_id"])
    for item in step.get("alarms", []):
        expect_alarm(expected, item, now, directives, latest)
    expect_lines(expected, step)
    return expected


def expect_events(expected: Expected, step: Json, event_id: str) -> None:
    """`opens` and `takes`, as counts and as alarm event records."""
    taken = [take.rsplit(" ", 1) for take in step.get("takes", [])]
    opened = [[f"{directive_id}/{event_id}", "1"] for directive_id in step.get("opens", [])]
    expected.alarm_events = [
        {"alarm_id": alarm_id, "stage": int(stage), "event_id": event_id}
        for alarm_id, stage in taken + opened
    ]
    counts = {"taken": len(taken), "opened": len(opened)}
    expected.counts |= {what: count for what, count in counts.items() if count}


def rename_opened(expected: Expected, step: Json, event: Json, contents: list[Json]) -> None:
    """The n-th event with an id opens the backlogs `id#n`, from 1, unless it is the first."""
    content = {name: value for name, value in event.items() if name in CONTENT}
    if content not in contents:
        contents.append(content)
    if number := contents.index(content):
        opened = expected.alarm_events[len(expected.alarm_events) - len(step.get("opens", [])) :]
        for record in opened:
            record["alarm_id"] += f"#{number}"


def expect_alarm(
    expected: Expected, item: Json, now: int, directives: list[Json], latest: dict[str, Json]
) -> None:
    """One publish: the record before it, or a fresh one, with the changes that the case states."""
    changes = copy.deepcopy(item)
    alarm_id = changes.pop("id")
    due, pairs = changes.pop("due", None), changes.pop("pairs", [])
    is_fresh = changes.pop("fresh", False) or alarm_id not in latest
    directive = next(one for one in directives if str(one["id"]) == alarm_id.split("/")[0])
    if is_fresh:
        latest[alarm_id] = fresh_alarm(alarm_id, directive, now)
    latest[alarm_id] = changed_alarm(latest[alarm_id], changes)
    expected.alarms.append(latest[alarm_id])
    if due is not None:
        expected.due.append({"alarm_id": alarm_id, "addresses": due, "pairs": pairs})


def expect_lines(expected: Expected, step: Json) -> None:
    if "lines" in step:
        expected.lines = step["lines"]
        expected.alarms = [json.loads(line) for line in step["lines"]]
        expected.due = step.get("due", [])
    if "event_lines" in step:
        expected.event_lines = step["event_lines"]


def fresh_alarm(alarm_id: str, directive: Json, now: int) -> Json:
    return {
        "alarm_id": alarm_id,
        "title": directive["name"],
        "status": "Open",
        "tag": "Identified Threat",
        "kingdom": directive["kingdom"],
        "category": directive["category"],
        "created_time": now,
        "update_time": now,
        "rules": [fresh_rule(rule) for rule in sorted(directive["rules"], key=stage_of)],
        "src_ips": ["10.0.0.1"],
        "dst_ips": ["10.0.0.2"],
        "networks": ["10.0.0.0/8"],
    }


def stage_of(rule: Json) -> int:
    stage: int = rule["stage"]
    return stage


def fresh_rule(rule: Json) -> Json:
    always: Json = {"plugin_id": 0, "plugin_sid": [], "timeout": 0}
    unset = {name: rule.get(name) or "ANY" for name in ("port_from", "port_to", "protocol")}
    given = {name: rule[name] for name in RULE_KEYS if rule.get(name) not in (None, "", [])}
    return in_order(always | given | unset, RULE_KEYS)


def changed_alarm(alarm: Json, changes: Json) -> Json:
    """The record with the changes merged in, as a new one."""
    changed = copy.deepcopy(alarm)
    rules = {str(rule["stage"]): rule for rule in changed["rules"]}
    for stage, text in enumerate(changes.pop("stages", []), 1):
        merge(rules[str(stage)], parse_stage(text))
    for stage_text, patch in changes.pop("rules", {}).items():
        merge(rules[stage_text], patch)
    merge(changed, changes)
    changed["rules"] = [in_order(rule, RULE_KEYS) for rule in rules.values()]
    return in_order(changed, ALARM_KEYS)


def parse_stage(text: str) -> Json:
    """`start..end status` as a patch, each of the three possibly absent."""
    times, _, status = text.partition(" ")
    start, _, end = times.partition("..")
    return {
        "start_time": int(start) if start else None,
        "end_time": int(end) if end else None,
        "status": status or None,
    }


def merge(record: Json, patch: Json) -> None:
    """A merge patch of one level: null removes; times count from BASE."""
    for key, value in patch.items():
        if value is None:
            record.pop(key, None)
        else:
            record[key] = BASE + value if key in TIMES else value


def in_order(record: Json, keys: tuple[str, ...]) -> Json:
    check_keys(record, set(keys), "record")
    return {key: record[key] for key in keys if key in record}
