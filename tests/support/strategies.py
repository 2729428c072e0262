"""Random small scenarios: assets, directives, options, and a stream of events and ticks.

Everything is chosen from tiny pools of values, so that events collide with conditions, with each
other and with what they refer to. All of it is valid; what is invalid is the matter of other tests.

Each choice is one byte of random bytes, not a draw of its own: a hundred times as fast, and it
shrinks as well, since the byte 0 chooses the first of a pool, and that is the plainest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.support.oracle import Options

Json = dict[str, Any]
T = TypeVar("T")

BASE = 1_672_531_200  # 2023-01-01T00:00:00Z
BYTES_PER_DIRECTIVE = 12
"""Bytes of its first rule that decide about the directive itself."""
BYTES_PER_RULE = BYTES_PER_DIRECTIVE + 28
BYTES_PER_MOMENT = 28
MOMENTS = 40

ADDRESSES = ["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "203.0.113.9", "2001:db8::1"]
ODD_ADDRESSES = ["0.0.0.0", "::", "::ffff:10.0.0.1", "2001:DB8:0::1", "192.168.0.1", "10.1.0.1"]
PORTS = [22, 22, 22, 80]
ODD_PORTS = ["22", "80", 0, None, 65535]
TEXTS = ["admin", "admin", "admin", "Admin", "root"]
ODD_TEXTS = [" admin ", "ROOT", "", None, "admin,root", "10.0.0.1", "22", "adm*", " r\\oot"]
PROTOCOLS = ["TCP", "TCP", "tcp ", "UDP", "", None]
PRODUCTS = ["Firewall", "Proxy"]
CATEGORIES = ["Packet", "Web"]
SUBCATEGORIES = ["Drop", "Pass"]
STICKY = [
    *("DST_PORT", "SRC_PORT", "SRC_IP", "DST_IP", "PLUGIN_SID"),
    *("CUSTOM_DATA1", "CUSTOM_DATA2", "CUSTOM_DATA3"),
]

ASSETS: list[Json] = [
    {"name": "home", "cidr": "10.0.0.0/8", "value": 3},
    {"name": "lab", "cidr": "10.0.0.0/24", "value": 5},
    {"name": "DST_IP mail", "cidr": "10.0.0.2", "value": 4},
    {"name": "six", "cidr": "2001:db8::/32", "value": 2},
    {"name": "unknown", "cidr": "0.0.0.0/8", "value": 5},
    {"name": "scanners", "cidr": "192.168.0.0/16", "value": 5, "whitelisted": True},
]

OPEN_ADDRESSES = ["ANY", "ANY", "HOME_NET", "!HOME_NET"]
ADDRESS_CONDITIONS = [
    *("10.0.0.1", "!10.0.0.1", "10.0.0.0/24, !10.0.0.1", "!10.0.0.1 10.0.0.0/8"),
    *("2001:db8::/64,203.0.113.9", "!203.0.113.0/24", "0.0.0.0/0", "!0.0.0.0", "10.0.0.1 10.0.0.2"),
]
OPEN_TEXTS = ["", "ANY", None, None]
PORT_CONDITIONS = ["22", "!22", "22,80", "!22, 80", "80 !22", "!80"]
TEXT_CONDITIONS = [
    *(
        "admin",
        "admin,root",
        "Admin, root",
        "!admin,root",
        " ADMIN ",
        "!admin",
        "Admin,",
        "!root, ",
    ),
    *("adm*", "!*o?t", "Adm??,r*", "!ad*n, *", "*a*m*", "*\\*", "R\\OOT"),
]
"""With "wildcards" some have another meaning."""
PROTOCOL_CONDITIONS = ["tcp", "!TCP", "udp, tcp", "TCP/IP", "t*", "!?dp,t\\cp"]
TEXT_FIELDS = ["protocol", "custom_data1", "custom_data2", "custom_data3"]
REFERENCED_FIELDS = {
    **{name: ["from", "to", "to", *TEXT_FIELDS] for name in ("from", "to")},
    **{name: ["port_from", "port_to", *TEXT_FIELDS] for name in ("port_from", "port_to")},
    **{name: [*TEXT_FIELDS, "from", "to", "port_from", "port_to"] for name in TEXT_FIELDS},
}
"""The fields that a reference in each condition can name."""
TIMES = ["Z", ".999Z", "+00:00", "", ".5+0000"]


@dataclass(frozen=True)
class Moment:
    """One event, or a tick when there is none, at a time of the clock."""

    event: Json | None
    now: int


@dataclass(frozen=True)
class Scenario:
    """All that an engine is told, from its start to its end."""

    assets: list[Json]
    directives: list[Json]
    options: Options
    moments: list[Moment]


class Dice:
    """Choices from random bytes; when they are used up, the first of each pool."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def pick(self, pool: Sequence[T]) -> T:
        return pool[next(self._data, 0) % len(pool)]

    def happens(self, once_in: int) -> bool:
        """Never with the byte 0."""
        return next(self._data, 0) % once_in == once_in - 1

    def some(self, pool: Sequence[T]) -> list[T]:
        """One of the pool, or two different ones."""
        first, second = self.pick(pool), self.pick(pool)
        return [first] if first == second else [first, second]

    def mostly(self, common: Sequence[T], rare: Sequence[T]) -> T:
        return self.pick(rare if self.happens(4) else common)


# Directives.


def directive_from(number: int, rule_bytes: list[bytes]) -> Json:
    dice = Dice(rule_bytes[0])
    always_active = dice.happens(3)
    rules = [
        rule_from(stage, Dice(data[BYTES_PER_DIRECTIVE:]))
        for stage, data in enumerate(rule_bytes, 1)
    ]
    return {
        "id": number,
        "name": dice.pick(["Trouble", "SRC_IP to DST_IP"]),
        "kingdom": "Kingdom",
        "category": "Category",
        "priority": dice.pick([5, 3]),
        "disabled": dice.happens(24),
        "all_rules_always_active": always_active,
        "wildcards": dice.happens(2),
        "rules": rules[::-1] if number == 2 else rules,
        **suppress_from(dice),
    }


def suppress_from(dice: Dice) -> Json:
    """A cool-down for one directive in three."""
    if not dice.happens(3):
        return {}
    by = dice.some(["src_ip", "custom_data1", "dst_port", "plugin_sid", "protocol"])
    return {"suppress": {"seconds": dice.pick([60, 5, 600]), "by": by}}


def rule_from(stage: int, dice: Dice) -> Json:
    seldom = 3 if stage == 1 else 1
    later = {
        "occurrence": dice.pick([1, 2, 2, 3]),
        "sticky_different": dice.some(STICKY)
        if dice.happens(4)
        else dice.mostly(["", *STICKY[:4]], STICKY),
        "timeout": dice.pick([600, 600, 600, 120, 120, 30, 5, 0]),
    }
    rule = {
        "name": f"rule {stage}",
        "stage": stage,
        **identity(dice),
        "from": condition(dice, "from", 2 * seldom, OPEN_ADDRESSES, ADDRESS_CONDITIONS, stage),
        "to": condition(dice, "to", 2 * seldom, OPEN_ADDRESSES, ADDRESS_CONDITIONS, stage),
        "reliability": dice.pick([10, 6, 3, 0]),
        **later,
        "port_from": condition(dice, "port_from", 6 * seldom, OPEN_TEXTS, PORT_CONDITIONS, stage),
        "port_to": condition(dice, "port_to", 4 * seldom, OPEN_TEXTS, PORT_CONDITIONS, stage),
        "protocol": condition(dice, "protocol", 4 * seldom, OPEN_TEXTS, PROTOCOL_CONDITIONS, stage),
        "custom_data1": condition(
            dice, "custom_data1", 2 * seldom, OPEN_TEXTS, TEXT_CONDITIONS, stage
        ),
        "custom_data2": condition(
            dice, "custom_data2", 6 * seldom, OPEN_TEXTS, TEXT_CONDITIONS, stage
        ),
        "custom_data3": condition(
            dice, "custom_data3", 8 * seldom, OPEN_TEXTS, TEXT_CONDITIONS, stage
        ),
        "custom_label1": dice.pick([None, "", "user"]),
    }
    first = {"occurrence": 1} if stage == 1 else {}
    return {name: value for name, value in (rule | first).items() if value is not None}


def identity(dice: Dice) -> Json:
    """A rule of a plugin or, one in four, of a taxonomy."""
    if not dice.happens(4):
        return {"type": "PluginRule", "plugin_id": 1, "plugin_sid": dice.some([1, 2, 3])}
    return {
        "type": "TaxonomyRule",
        "product": dice.some(PRODUCTS),
        "category": dice.pick(CATEGORIES),
        "subcategory": dice.pick([None, [], ["Drop"], ["Pass", "ANY"]]),
    }


def condition(
    dice: Dice,
    name: str,
    narrow_once_in: int,
    unset: Sequence[T],
    kinds: Sequence[T | str],
    stage: int,
) -> T | str:
    """Open, or narrow: and then, after stage 1, mostly a reference."""
    if not dice.happens(narrow_once_in):
        return dice.pick(unset)
    if stage > 1 and not dice.happens(3):
        return reference(dice, name, dice.pick(range(1, stage)))
    return dice.pick(kinds)


def reference(dice: Dice, name: str, stage: int) -> str:
    """Mostly to the same field; to another one, or negated."""
    negated = dice.pick(["", "", "", "", "!"])
    other = f".{dice.pick(REFERENCED_FIELDS[name])}" if dice.happens(4) else ""
    return f"{negated}:{stage}{other}"


# Events.


def fields_from(dice: Dice, rule: Json, previous: Json | None) -> Json:
    """All of an event but its id and time: mostly with the identity of the rule."""
    like_before = previous is not None and not dice.happens(2)
    fields = dict(previous) if previous and like_before else values_from(dice)
    return fields | (identity_of(dice, rule) if not dice.happens(8) else any_identity(dice))


def values_from(dice: Dice) -> Json:
    values = {
        "sensor": "sensor",
        "src_ip": dice.mostly(ADDRESSES, ODD_ADDRESSES),
        "dst_ip": dice.mostly(ADDRESSES, ODD_ADDRESSES),
        "dst_port": dice.mostly(PORTS, ODD_PORTS),
        "custom_data1": dice.mostly(TEXTS, ODD_TEXTS),
        "protocol": dice.pick(PROTOCOLS),
        "src_port": dice.mostly(PORTS, ODD_PORTS),
        "custom_data2": dice.mostly(TEXTS, ODD_TEXTS),
        "custom_data3": dice.mostly(TEXTS, ODD_TEXTS),
        "custom_label1": dice.pick(["user", "", None]),
    }
    absent = {name for name in ("src_port", "dst_port", "custom_data1") if dice.happens(8)}
    return {name: value for name, value in values.items() if name not in absent}


def identity_of(dice: Dice, rule: Json) -> Json:
    """What makes the event one for this rule."""
    if rule["type"] == "PluginRule":
        sid = dice.pick(rule["plugin_sid"])
        return {"plugin_id": rule["plugin_id"], "plugin_sid": dice.pick([sid, sid, str(sid)])}
    subcategory = dice.pick(rule.get("subcategory") or SUBCATEGORIES)
    product = dice.pick(rule["product"])
    return {"product": product, "category": rule["category"], "subcategory": subcategory}


def any_identity(dice: Dice) -> Json:
    return {
        "plugin_id": dice.pick([1, 1, 2]),
        "plugin_sid": dice.pick([1, 2, 3]),
        "product": dice.pick(PRODUCTS),
        "category": dice.pick(CATEGORIES),
        "subcategory": dice.pick([*SUBCATEGORIES, None]),
    }


def event_from(dice: Dice, rules: list[Json], made: list[Json], time: int) -> Json:
    """A new event, the same as one before, or another one with the id of one before."""
    again = dice.pick([False] * 7 + [True])
    before = dice.pick(made[-8:]) if made else None
    if before and again:
        return before
    rule = dice.pick(rules)
    same_id = before is not None and dice.happens(12)
    late = dice.pick([0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 6, 20, 60])
    event = {
        **fields_from(dice, rule, before),
        "event_id": before["event_id"] if before and same_id else f"e{len(made)}",
        "timestamp": timestamp(time - late, dice.pick(TIMES)),
    }
    made.append(event)
    return event


def timestamp(time: int, ending: str) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S") + ending


def seconds_of(event: Json) -> int:
    """The time that `timestamp` was given."""
    return int(datetime.fromisoformat(event["timestamp"][:19] + "Z").timestamp())


def moments_from(
    directives: list[Json], moment_bytes: tuple[bytes, ...], *, serving: bool
) -> list[Moment]:
    """Time goes on in small steps, now and then in a large one; serving, the clock is its own."""
    rules = [rule for directive in directives for rule in weighted_rules(directive)]
    time = now = BASE
    made: list[Json] = []
    moments: list[Moment] = []
    for data in filter(any, moment_bytes):
        dice = Dice(data)
        time += dice.pick([0, 1, 1, 2, 3, 5, 7, 20]) + dice.pick([0] * 23 + [300])
        ticks = dice.happens(12)
        event = None if ticks else event_from(dice, rules, made, time)
        now = max(now, time if serving or event is None else seconds_of(event))
        moments.append(Moment(event, now))
    return moments


def weighted_rules(directive: Json) -> list[Json]:
    """The first stage once and the others twice: what opens is then more often gone on with."""
    rules = sorted(directive["rules"], key=lambda rule: int(rule["stage"]))
    return rules + rules[1:]


# Scenarios.


def options() -> st.SearchStrategy[Options]:
    return st.builds(
        Options,
        min_alarm_lifetime=st.sampled_from([0, 0, 0, 20]),
        match_protocol=st.sampled_from([False, False, True]),
        expiry_grace=st.sampled_from([0, 0, 10]),
    )


def directives(most: int) -> st.SearchStrategy[list[Json]]:
    """One or more directives of up to four rules, seldom of one."""
    rule_bytes = st.binary(min_size=BYTES_PER_RULE, max_size=BYTES_PER_RULE)
    several = st.lists(rule_bytes, min_size=2, max_size=4)
    rules = several | several | several | st.lists(rule_bytes, min_size=1, max_size=1)
    return st.lists(rules, min_size=1, max_size=most).map(
        lambda all_bytes: [directive_from(i, data) for i, data in enumerate(all_bytes, 1)]
    )


def streams() -> st.SearchStrategy[tuple[bytes, ...]]:
    """The bytes of each moment of a stream; one of zeros is left out, which is how it shrinks."""
    moment = st.binary(min_size=BYTES_PER_MOMENT, max_size=BYTES_PER_MOMENT)
    return st.tuples(*[moment] * MOMENTS)


@st.composite
def scenarios(draw: st.DrawFn, *, most_directives: int = 3) -> Scenario:
    some_directives = draw(directives(most_directives))
    moments = moments_from(some_directives, draw(streams()), serving=draw(st.booleans()))
    return Scenario(draw(st.permutations(ASSETS)), some_directives, draw(options()), moments)


# Reloads.

ASSETS_OF_RELOADS = [
    ASSETS,
    ASSETS[:1],
    [asset | {"value": 6 - asset["value"], "name": f"new {asset['name']}"} for asset in ASSETS],
    [*ASSETS, {"name": "none of ours", "cidr": "203.0.113.0/24", "value": 1, "whitelisted": True}],
]
BYTES_PER_RELOAD = 24


@dataclass(frozen=True)
class Configuration:
    """What a reload changes to."""

    assets: list[Json]
    directives: list[Json]


@dataclass(frozen=True)
class ReloadScenario:
    """A scenario, and the configurations that are loaded before moments of it, by their number."""

    scenario: Scenario
    reloads: dict[int, Configuration]


def changed_directive(dice: Dice, first: Json, other: Json) -> Json | None:
    """The directive as it was first, changed in one way, replaced by another one, or gone."""
    chosen = dice.pick(range(11))
    stage = dice.pick(range(1, len(first["rules"]) + 1))
    new_rule = rule_from(stage, dice)
    changes: list[Json | None] = [
        {},
        {"name": "Other trouble"},
        {"priority": 1, "kingdom": "Other kingdom"},
        {"rules": [new_rule if one["stage"] == stage else one for one in first["rules"]]},
        {"all_rules_always_active": not first["all_rules_always_active"]},
        {"wildcards": not first["wildcards"]},
        {"rules": other["rules"]},
        other,
        {"disabled": True},
        None,
        None,
    ]
    change = changes[chosen]
    return None if change is None else first | change | {"id": first["id"]}


def configuration_from(data: bytes, first: list[Json], others: list[Json]) -> Configuration:
    assets = ASSETS_OF_RELOADS[data[0] % len(ASSETS_OF_RELOADS)]
    changed = (
        changed_directive(Dice(data[1 + number :]), *both)
        for number, both in enumerate(zip(first, others, strict=True))
    )
    return Configuration(assets, [one for one in changed if one is not None])


@st.composite
def reload_scenarios(draw: st.DrawFn) -> ReloadScenario:
    """A few reloads of configurations that have much in common, also the same ones again."""
    first = draw(directives(3))
    others = draw(directives(3).filter(lambda some: len(some) >= len(first)))[: len(first)]
    moments = moments_from(first + others, draw(streams()), serving=draw(st.booleans()))
    bytes_of_reload = st.binary(min_size=BYTES_PER_RELOAD, max_size=BYTES_PER_RELOAD)
    loaded = draw(st.lists(bytes_of_reload, min_size=1, max_size=3))
    configurations = [
        Configuration(ASSETS, first),
        *(configuration_from(data, first, others) for data in loaded),
    ]
    numbers = st.integers(0, MOMENTS - 1)
    reloads = draw(st.dictionaries(numbers, st.sampled_from(configurations), min_size=2))
    return ReloadScenario(Scenario(ASSETS, first, draw(options()), moments), reloads)
