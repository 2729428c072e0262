"""The oracle: a model of correlation that is as slow and as obvious as possible.

It walks all directives, all rules and all backlogs for each event, and has a function for each
sentence of the specified behaviour. It must stay simple and must not import the engine: a test
cannot find a fault in code that both share.

Events, assets and directives are the valid JSON objects of the files. An alarm_id is written as
"directive id/name of the opening event"; the oracle does not compute the hash of a real one. The
name of an event is its id, with a number if another event had this id before.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

Json = dict[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNSPECIFIED = ("0.0.0.0", "::")
OPEN_ADDRESS_CONDITIONS = ("ANY", "HOME_NET", "!HOME_NET")
CUSTOM = ("custom_data1", "custom_data2", "custom_data3")
LABELS = ("custom_label1", "custom_label2", "custom_label3")
EVENT_FIELD = {
    "from": "src_ip",
    "to": "dst_ip",
    "port_from": "src_port",
    "port_to": "dst_port",
    "protocol": "protocol",
    **{name: name for name in CUSTOM},
}


@dataclass(frozen=True)
class Options:
    """The settings that correlation and its output depend on; times in seconds."""

    node: str = ""
    min_alarm_lifetime: int = 0
    match_protocol: bool = False
    med_risk_min: int = 3
    med_risk_max: int = 6
    status: str = "Open"
    tag: str = "Identified Threat"
    expiry_grace: int = 0
    out_of_order_tolerance: int = 5
    repeat_window: int = 600


@dataclass
class Output:
    """What one event or tick led to; alarms as their JSON lines say them, keys in that order."""

    alarm_events: list[Json] = field(default_factory=list)
    alarms: list[Json] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    due: list[Json] = field(default_factory=list)

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


@dataclass
class Stage:
    """What a backlog knows of one of its stages."""

    rule: Json
    ids: list[str] = field(default_factory=list)
    first: Json | None = None
    sticky_seen: list[tuple[str, str | int]] = field(default_factory=list)
    start_time: int | None = None
    end_time: int | None = None
    status: str = ""


@dataclass
class Backlog:
    """One open backlog of a directive."""

    directive: Json
    opening: Json
    title: str
    stages: dict[int, Stage]
    now_at_stage: int
    current: int = 1
    src_ips: list[str] = field(default_factory=list)
    dst_ips: list[str] = field(default_factory=list)
    custom_data: list[Json] = field(default_factory=list)
    pairs: list[str] = field(default_factory=list)
    risk: int = 0
    update_time: int = 0
    created_time: int | None = None
    published: int = 0
    """Number of finished stages in its last line."""
    changed_at: int | None = None
    """When an earlier stage took an event last, until the alarm is written."""

    @property
    def alarm_id(self) -> str:
        return f"{self.directive['id']}/{self.opening['name']}"


# Events: the valid ones, made uniform.


def normalize(event: Json) -> Json:
    """Absent or null is 0 or ""; digits are numbers; addresses canonical; time in seconds."""
    numbers = ("plugin_id", "plugin_sid", "src_port", "dst_port")
    texts = ("product", "category", "subcategory", "protocol", *CUSTOM, *LABELS)
    as_sent = ("event_id", "timestamp", "sensor", "src_ip", "dst_ip", "title", "conn_id")
    content = [event.get(name) for name in as_sent]
    content += [int(event.get(name) or 0) for name in numbers]
    content += [event.get(name) or "" for name in texts]
    return {
        "identity": repr(content),
        "event_id": event["event_id"],
        "time": seconds(event["timestamp"]),
        "src_ip": str(address(event["src_ip"])),
        "dst_ip": str(address(event["dst_ip"])),
        **{name: int(event.get(name) or 0) for name in numbers},
        **{name: event.get(name) or "" for name in texts},
    }


def seconds(timestamp: str) -> int:
    """Whole seconds since the epoch, fractions cut; without an offset it is UTC."""
    moment = datetime.fromisoformat(timestamp)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.replace(microsecond=0).timestamp())


@cache
def address(text: str) -> Address:
    """IPv4-mapped IPv6 becomes IPv4."""
    parsed = ipaddress.ip_address(text)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


@cache
def network(text: str) -> Network:
    """A bare IP is /32 or /128; host bits are masked; IPv4-mapped becomes IPv4."""
    if "/" not in text:
        return ipaddress.ip_network(address(text))
    parsed = ipaddress.ip_network(text, strict=False)
    first = address(str(parsed.network_address))
    if first.version == 4 and parsed.version == 6 and parsed.prefixlen >= 96:
        return ipaddress.ip_network(f"{first}/{parsed.prefixlen - 96}", strict=False)
    return parsed


def contains(cidr: str, ip: str) -> bool:
    """An address is in no network of the other family."""
    return address(ip) in network(cidr)


# Assets.


class Assets:
    """Facts about addresses, each by walking the assets in their order in the files."""

    def __init__(self, assets: list[Json]) -> None:
        self.all = assets
        self.home = [asset for asset in assets if not asset.get("whitelisted")]

    def in_home_net(self, ip: str) -> bool:
        return any(contains(asset["cidr"], ip) for asset in self.home)

    def whitelisted(self, ip: str) -> bool:
        whitelist = [asset for asset in self.all if asset.get("whitelisted")]
        return any(contains(asset["cidr"], ip) for asset in whitelist)

    def value(self, ip: str) -> int:
        """The highest value of the HOME_NET assets that contain it, else 0."""
        values = [asset["value"] for asset in self.home if contains(asset["cidr"], ip)]
        return max(values, default=0)

    def name(self, ip: str) -> str:
        """The name of its host asset, else ""."""
        hosts = [asset for asset in self.all if is_host(network(asset["cidr"]))]
        return next((host["name"] for host in hosts if contains(host["cidr"], ip)), "")

    def networks(self, ip: str) -> list[str]:
        """The CIDRs of the HOME_NET assets that contain it, masked, hosts left out."""
        around = [asset["cidr"] for asset in self.home if contains(asset["cidr"], ip)]
        return once(str(network(cidr)) for cidr in around if not is_host(network(cidr)))


def is_host(net: Network) -> bool:
    return net.prefixlen == net.max_prefixlen


def once(items: Iterable[str]) -> list[str]:
    """Equal ones once, in the order of their first appearance."""
    return list(dict.fromkeys(items))


# Conditions.


def list_matches(items: list[str], equal: Callable[[str], bool]) -> bool:
    """The first equal item decides; when none is equal, any `!` item makes it match."""
    for item in items:
        if equal(item.removeprefix("!").strip()):
            return not item.startswith("!")
    return any(item.startswith("!") for item in items)


def address_matches(condition: str, ip: str, assets: Assets) -> bool:
    if condition == "ANY":
        return True
    if condition in ("HOME_NET", "!HOME_NET"):
        return assets.in_home_net(ip) == (condition == "HOME_NET")
    return list_matches(blank_separated(condition), lambda item: contains(item, ip))


def port_matches(condition: str, port: int) -> bool:
    if condition in ("", "ANY"):
        return True
    return list_matches(blank_separated(condition), lambda item: int(item) == port)


def text_matches(condition: str, text: str, wildcards: bool) -> bool:
    """One text without regard to case and outer blanks, or a list that must equal it as it is."""
    if condition in ("", "ANY"):
        return True
    if "," in condition:
        items = comma_separated(condition)
        return list_matches(items, lambda item: item_matches(item, text, wildcards))
    return protocol_matches(condition.strip(), text, wildcards)


def item_matches(item: str, text: str, wildcards: bool) -> bool:
    return wild_matches(item, text) if wildcards else item == text


def protocol_matches(condition: str, protocol: str, wildcards: bool) -> bool:
    """As a text condition, but without regard to case and outer blanks in a list too."""
    if condition in ("", "ANY"):
        return True
    return list_matches(
        comma_separated(condition),
        lambda item: item_matches(folded(item), folded(protocol), wildcards),
    )


def folded(text: str) -> str:
    return text.strip().casefold()


def blank_separated(condition: str) -> list[str]:
    """Items between commas or blanks; empty ones are ignored."""
    return [item for item in re.split(r"[,\s]+", condition) if item]


def comma_separated(condition: str) -> list[str]:
    """Items between commas, their outer blanks cut; empty ones are ignored."""
    return [item.strip() for item in condition.split(",") if item.strip()]


def wild_matches(pattern: str, text: str) -> bool:
    """`*` is any number of characters, `?` one, and a backslash takes the next one as it is."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(wild_matches(pattern[1:], text[start:]) for start in range(len(text) + 1))
    if pattern[0] == "?":
        return bool(text) and wild_matches(pattern[1:], text[1:])
    escaped = pattern[0] == "\\" and len(pattern) > 1
    literal, rest = (pattern[1], pattern[2:]) if escaped else (pattern[0], pattern[1:])
    return text[:1] == literal and wild_matches(rest, text[1:])


@dataclass(frozen=True)
class Reference:
    """A condition that stands for the value of an event field of the first event of a stage."""

    stage: int
    field: str
    negated: bool


def reference_in(name: str, condition: str) -> Reference | None:
    """The reference that a condition is: `:N`, `:N.to`, `!:N` or `!:N.to`."""
    form = re.fullmatch(r"(!?):([1-9][0-9]?)(\.[a-z_0-9]+)?", condition)
    if form is None or (form[3] or f".{name}")[1:] not in EVENT_FIELD:
        return None
    return Reference(int(form[2]), EVENT_FIELD[(form[3] or f".{name}")[1:]], form[1] == "!")


# Matching a rule.


class Matcher:
    """Does an event match a rule, within a backlog or, to open one, without."""

    def __init__(self, assets: Assets, options: Options) -> None:
        self.assets = assets
        self.options = options

    def matches(self, rule: Json, event: Json, backlog: Backlog | None = None) -> bool:
        if rule["type"] == "PluginRule" and not plugin_matches(rule, event):
            return False
        if rule["type"] == "TaxonomyRule" and not taxonomy_matches(rule, event):
            return False
        return all(self.field_matches(rule, name, event, backlog) for name in self.compared())

    def compared(self) -> list[str]:
        """The protocol is compared only when asked for."""
        return [name for name in EVENT_FIELD if name != "protocol" or self.options.match_protocol]

    def field_matches(self, rule: Json, name: str, event: Json, backlog: Backlog | None) -> bool:
        value = event[EVENT_FIELD[name]]
        condition = rule.get(name) or ""
        bound = bound_value(rule, name, backlog) if backlog else None
        if bound is not None:
            reference = reference_in(name, condition)
            other = reference.field if reference else EVENT_FIELD[name]
            negated = reference is not None and reference.negated
            return self.equals_bound({EVENT_FIELD[name], other}, bound, value) is not negated
        if name in ("from", "to"):
            return address_matches(condition, value, self.assets)
        if name in ("port_from", "port_to"):
            return port_matches(condition, value)
        if name == "protocol":
            return protocol_matches(condition, value, rule["wildcards"])
        return text_matches(condition, value, rule["wildcards"])

    def equals_bound(self, fields: set[str], bound: str | int, value: str | int) -> bool:
        """As texts without regard to case and outer blanks if custom data or protocol is there."""
        if fields & {"protocol", *CUSTOM}:
            return folded(str(bound)) == folded(str(value))
        return bound == value


def is_for(rule: Json, event: Json) -> bool:
    """Is the rule for events of this plugin, or of this category and product?"""
    if rule["type"] == "PluginRule":
        return plugin_matches(rule, event)
    return bool(event["category"] == rule["category"] and event["product"] in rule["product"])


def plugin_matches(rule: Json, event: Json) -> bool:
    return event["plugin_id"] == rule["plugin_id"] and event["plugin_sid"] in rule["plugin_sid"]


def taxonomy_matches(rule: Json, event: Json) -> bool:
    if event["category"] != rule["category"] or event["product"] not in rule["product"]:
        return False
    wanted = rule.get("subcategory") or []
    return not wanted or "ANY" in wanted or event["subcategory"] in wanted


def bound_value(rule: Json, name: str, backlog: Backlog) -> str | int | None:
    """The value that a condition has come to mean in this backlog; None: what the file says."""
    condition = rule.get(name) or ""
    value: str | int
    reference = reference_in(name, condition)
    if reference is not None:
        first = backlog.stages[reference.stage].first
        if first is None:
            return None
        value = first[reference.field]
        return value
    if name in ("from", "to") and is_pinned(rule, condition, backlog):
        value = backlog.opening[EVENT_FIELD[name]]
        return value
    return None


def is_pinned(rule: Json, condition: str, backlog: Backlog) -> bool:
    """With all_rules_always_active the open addresses of stage 1 become those of the opening."""
    always = backlog.directive.get("all_rules_always_active", False)
    return always and rule["stage"] == 1 and condition in OPEN_ADDRESS_CONDITIONS


def sticky_names(rule: Json) -> list[str]:
    """The names of sticky_different, which is one or a list."""
    names = rule.get("sticky_different") or []
    return names if isinstance(names, list) else [names]


def sticky_values(rule: Json, event: Json) -> list[tuple[str, str | int]]:
    """The values of the event that have to differ, each with its name."""
    return [(name, event[name.lower()]) for name in sticky_names(rule)]


# Correlation.


class Oracle:
    """All directives over one stream of events."""

    def __init__(
        self, assets: list[Json], directives: list[Json], options: Options | None = None
    ) -> None:
        self.options = options or Options()
        self.backlogs: list[Backlog] = []
        self.configure(assets, directives)
        self.taken_at: dict[tuple[int, str], int] = {}
        """By directive and identity: when an event was taken."""
        self.written: dict[str, tuple[int, int]] = {}
        """By alarm: the number of finished stages in the last line, and when it was written."""
        self.cool_downs: dict[tuple[int, str], int] = {}
        """By directive and values: when the last alarm was finished that suppresses others."""
        self.names: dict[str, list[str]] = {}
        """By event id: the identities of the events that had it, in order."""
        self.last_taken: dict[str, str] = {}
        """By event id: the identity of the last event taken."""

    def configure(self, assets: list[Json], directives: list[Json]) -> None:
        self.assets = Assets(assets)
        self.matcher = Matcher(self.assets, self.options)
        self.directives = [with_settings(one) for one in directives if not one.get("disabled")]

    @property
    def open_backlogs(self) -> int:
        return len(self.backlogs)

    def reload(self, assets: list[Json], directives: list[Json], now: int) -> Output:
        """Each backlog keeps its directive as it was; those of directives that are gone close."""
        output = Output()
        self.configure(assets, directives)
        ids = [directive["id"] for directive in self.directives]
        for backlog in list(self.backlogs):
            if backlog.directive["id"] not in ids:
                self.close_without_line(backlog, "removed", now, output)
        return output

    def close_without_line(self, backlog: Backlog, why: str, now: int, output: Output) -> None:
        self.backlogs.remove(backlog)
        output.count(why)
        self.remember_lines(backlog, now)

    def remember_lines(self, backlog: Backlog, now: int) -> None:
        """The lines of an alarm are known for a time after its backlog has closed."""
        if backlog.published and not self.is_less_than_written(backlog, backlog.published, now):
            self.written[backlog.alarm_id] = backlog.published, now

    def tick(self, now: int) -> Output:
        """Write what was changed in another second; close what has expired by now."""
        output = Output()
        for backlog in list(self.backlogs):
            if backlog.changed_at not in (None, now):
                self.publish(backlog, now, output, lookups=False)
            while not is_closed(backlog) and self.expires_at(backlog) <= now:
                self.expire(backlog, now, output)
        return output

    def end(self) -> Output:
        """Write what is not written."""
        output = Output()
        for backlog in self.backlogs:
            if backlog.changed_at is not None:
                self.publish(backlog, backlog.update_time, output, lookups=False)
        return output

    def event(self, event: Json, now: int) -> Output:
        """Close what has expired by now, then look at the event."""
        output = self.tick(now)
        seen = normalize(event)
        seen["name"] = self.name(seen)
        if not self.assets.whitelisted(seen["src_ip"]):
            for directive in self.directives:
                if self.concerns(seen, directive):
                    self.correlate(directive, seen, now, output)
        return output

    def concerns(self, event: Json, directive: Json) -> bool:
        """Has the directive a rule for its plugin or taxonomy, or had it when a backlog opened?"""
        backlogs = self.backlogs_of(directive)
        definitions = [directive, *(backlog.directive for backlog in backlogs)]
        return any(is_for(rule, event) for one in definitions for rule in one["rules"])

    def backlogs_of(self, directive: Json) -> list[Backlog]:
        return [one for one in self.backlogs if one.directive["id"] == directive["id"]]

    def name(self, event: Json) -> str:
        """The id of the event, with a number if another one had this id before."""
        identities = self.names.setdefault(event["event_id"], [])
        if event["identity"] not in identities:
            identities.append(event["identity"])
        number = identities.index(event["identity"])
        return f"{event['event_id']}#{number}" if number else str(event["event_id"])

    def is_remembered(self, since: int, now: int) -> bool:
        """Within the window; with a window of 0 nothing is."""
        return self.options.repeat_window > 0 and now - since <= self.options.repeat_window

    def correlate(self, directive: Json, event: Json, now: int, output: Output) -> None:
        """A repeat leaves no trace; an event that is taken is remembered."""
        key = (directive["id"], event["identity"])
        if key in self.taken_at and self.is_remembered(self.taken_at[key], now):
            output.count("repeated")
            return
        before = len(output.alarm_events)
        self.correlate_new(directive, event, now, output)
        if len(output.alarm_events) > before:
            self.taken_at[key] = now
            last = self.last_taken.get(event["event_id"], event["identity"])
            if last != event["identity"]:
                output.count("id_reused")
            self.last_taken[event["event_id"]] = event["identity"]

    def correlate_new(self, directive: Json, event: Json, now: int, output: Output) -> None:
        """Offer it to every open backlog, oldest first; if none consumed it, it may open one."""
        mine = self.backlogs_of(directive)
        consumed = [self.offer(backlog, event, now, output) for backlog in mine]
        if any(consumed) or not self.matcher.matches(rule_of(directive, 1), event):
            return
        if self.is_suppressed(directive, event, now):
            output.count("suppressed")
        else:
            self.open(directive, event, now, output)

    def is_suppressed(self, directive: Json, event: Json, now: int) -> bool:
        """Is it within the cool-down after an alarm of the same values?"""
        until = self.cool_downs.get((directive["id"], cool_down_values(directive, event)), now)
        return now < until

    def open(self, directive: Json, event: Json, now: int, output: Output) -> None:
        stages = {rule["stage"]: Stage(rule) for rule in directive["rules"]}
        title = self.title(directive["name"], event)
        backlog = Backlog(directive, event, title, stages, now_at_stage=now)
        for number, stage in stages.items():
            if number == 1 or directive.get("any_order"):
                stage.start_time = event["time"]
        for other in self.backlogs_of(directive):
            if other.alarm_id == backlog.alarm_id:
                self.remember_lines(other, now)
        self.backlogs.append(backlog)
        output.count("opened")
        self.take(backlog, stages[1], event, now, output)

    def title(self, name: str, event: Json) -> str:
        """SRC_IP and DST_IP are replaced, in one pass, with the asset name, else the address."""

        def shown(token: re.Match[str]) -> str:
            ip: str = event[token.group().lower()]
            return self.assets.name(ip) or ip

        return re.sub("SRC_IP|DST_IP", shown, name)

    def offer(self, backlog: Backlog, event: Json, now: int, output: Output) -> bool:
        """Does the backlog consume the event? The lowest open stage that it matches decides."""
        for stage in open_stages(backlog):
            if self.matcher.matches(stage.rule, event, backlog):
                refusal = refused(backlog, stage, event, self.options.out_of_order_tolerance)
                output.count(refusal or "taken")
                if not refusal:
                    self.take(backlog, stage, event, now, output)
                return True
        if backlog.directive.get("all_rules_always_active"):
            return self.offer_to_earlier_stages(backlog, event, now, output)
        return False

    def offer_to_earlier_stages(
        self, backlog: Backlog, event: Json, now: int, output: Output
    ) -> bool:
        for number in range(1, backlog.current):
            stage = backlog.stages[number]
            if not self.matcher.matches(stage.rule, event, backlog):
                continue
            output.count("taken")
            note(backlog, stage, event, now, output)
            backlog.changed_at = now
            return True
        return False

    def take(self, backlog: Backlog, stage: Stage, event: Json, now: int, output: Output) -> None:
        """Taken at an open stage; the last event that an absent stage excludes closes all."""
        note(backlog, stage, event, now, output)
        if len(stage.ids) < stage.rule["occurrence"]:
            return
        if stage.rule.get("absent"):
            stage.status = "averted"
            self.close_without_line(backlog, "averted", now, output)
        else:
            self.finish(backlog, stage, event["time"], now, output)

    def finish(self, backlog: Backlog, stage: Stage, end: int, now: int, output: Output) -> None:
        """A stage is finished at this time; the next one begins then, if not all are open."""
        stage.status = "finished"
        stage.end_time = end
        backlog.risk = self.risk(backlog, stage)
        backlog.now_at_stage = now
        if finished_stages(backlog) == len(backlog.stages):
            output.count("finished")
            self.backlogs.remove(backlog)
            self.begin_cool_down(backlog, now)
        elif not backlog.directive.get("any_order"):
            backlog.current += 1
            backlog.stages[backlog.current].start_time = end
        self.publish(backlog, now, output, lookups=True)
        if backlog not in self.backlogs:
            self.remember_lines(backlog, now)

    def begin_cool_down(self, backlog: Backlog, now: int) -> None:
        """A finished alarm suppresses others that its directive would open for the same values."""
        directive = backlog.directive
        if directive.get("suppress") and backlog.risk:
            key = directive["id"], cool_down_values(directive, backlog.opening)
            self.cool_downs[key] = now + directive["suppress"]["seconds"]

    def risk(self, backlog: Backlog, stage: Stage) -> int:
        """In any order, the reliability is that of as many stages as are finished."""
        addresses = backlog.src_ips + backlog.dst_ips
        value = max(self.assets.value(ip) for ip in addresses)
        if backlog.directive.get("any_order"):
            stage = backlog.stages[finished_stages(backlog)]
        priority: int = backlog.directive["priority"]
        reliability: int = stage.rule["reliability"]
        return priority * reliability * value // 25

    def expires_at(self, backlog: Backlog) -> int:
        """When its stage's time is over, and the grace of wall time has passed too."""
        over = deadline(first_to_expire(backlog)) + self.options.min_alarm_lifetime + 1
        return max(over, backlog.now_at_stage + self.options.expiry_grace)

    def expire(self, backlog: Backlog, now: int, output: Output) -> None:
        """An absent stage is finished by its timeout; any other one closes the backlog.

        What follows from the finish begins when it was due, however late that is noticed.
        """
        stage = first_to_expire(backlog)
        if stage.rule.get("absent"):
            backlog.update_time = max(backlog.update_time, deadline(stage))
            self.finish(backlog, stage, deadline(stage), self.expires_at(backlog), output)
            return
        stage.status = "timeout"
        self.backlogs.remove(backlog)
        output.count("expired")
        self.publish(backlog, now, output, lookups=False)
        self.remember_lines(backlog, now)

    def publish(self, backlog: Backlog, now: int, output: Output, *, lookups: bool) -> None:
        """Nothing when the risk is 0 or the alarm would go back; else the whole record again."""
        backlog.changed_at = None
        if backlog.risk == 0:
            return
        finished = finished_stages(backlog)
        if self.is_less_than_written(backlog, finished, now):
            output.count("outdated")
            return
        self.written[backlog.alarm_id] = finished, now
        backlog.published = finished
        if backlog.created_time is None:
            backlog.created_time = backlog.update_time
        output.alarms.append(self.alarm_record(backlog))
        if lookups:
            output.due.append(due_record(backlog))

    def is_less_than_written(self, backlog: Backlog, stages: int, now: int) -> bool:
        """Was a line of this alarm with more finished stages written, as far as is known?"""
        most, at = self.written.get(backlog.alarm_id, (0, now))
        return stages < most and self.is_remembered(at, now)

    def alarm_record(self, backlog: Backlog) -> Json:
        directive = backlog.directive
        addresses = backlog.src_ips + backlog.dst_ips
        record = {
            "alarm_id": backlog.alarm_id,
            "title": backlog.title,
            "status": self.options.status,
            "tag": self.options.tag,
            "kingdom": directive["kingdom"],
            "category": directive["category"],
            "created_time": backlog.created_time,
            "update_time": backlog.update_time,
            "risk": backlog.risk,
            "risk_class": self.risk_class(backlog.risk),
            "rules": [rule_record(backlog, number) for number in sorted(backlog.stages)],
            "src_ips": list(backlog.src_ips),
            "dst_ips": list(backlog.dst_ips),
            "networks": once(net for ip in addresses for net in self.assets.networks(ip)),
        }
        if backlog.custom_data:
            record["custom_data"] = [dict(pair) for pair in backlog.custom_data]
        return record

    def risk_class(self, risk: int) -> str:
        if risk < self.options.med_risk_min:
            return "Low"
        return "Medium" if risk <= self.options.med_risk_max else "High"


def cool_down_values(directive: Json, event: Json) -> str:
    """Texts without regard to case and outer blanks; "" without a cool-down."""
    names = sorted((directive.get("suppress") or {}).get("by", []))
    return repr([(name, str(event[name]).strip().casefold()) for name in names])


def finished_stages(backlog: Backlog) -> int:
    return sum(stage.status == "finished" for stage in backlog.stages.values())


def with_settings(directive: Json) -> Json:
    """The directive with what it says of the texts of its rules in each of them."""
    wildcards = directive.get("wildcards", False)
    return directive | {"rules": [rule | {"wildcards": wildcards} for rule in directive["rules"]]}


def rule_of(directive: Json, stage: int) -> Json:
    rule: Json = next(rule for rule in directive["rules"] if rule["stage"] == stage)
    return rule


def open_stages(backlog: Backlog) -> list[Stage]:
    """The current stage; in any order, all that are not finished, lowest first."""
    if not backlog.directive.get("any_order"):
        return [backlog.stages[backlog.current]]
    return [backlog.stages[n] for n in sorted(backlog.stages) if not backlog.stages[n].status]


def is_closed(backlog: Backlog) -> bool:
    statuses = [stage.status for stage in backlog.stages.values()]
    return "timeout" in statuses or "averted" in statuses or "" not in statuses


def deadline(stage: Stage) -> int:
    return (stage.start_time or 0) + int(stage.rule.get("timeout", 0))


def first_to_expire(backlog: Backlog) -> Stage:
    """Of two that expire at once, one that is not absent, then the lower one."""

    def order(stage: Stage) -> tuple[int, bool, int]:
        return deadline(stage), stage.rule.get("absent", False), stage.rule["stage"]

    return min(open_stages(backlog), key=order)


def refused(backlog: Backlog, stage: Stage, event: Json, tolerance: int) -> str:
    """Why an event that matches an open stage is not taken, "" when it is."""
    if any(value in stage.sticky_seen for value in sticky_values(stage.rule, event)):
        return "sticky_seen"
    if is_out_of_order(backlog, event, tolerance):
        return "out_of_order"
    too_late = stage.rule.get("absent") and event["time"] > deadline(stage)
    return "too_late" if too_late else ""


def is_out_of_order(backlog: Backlog, event: Json, tolerance: int) -> bool:
    """Is it that many seconds or more older than the end of an earlier stage?

    In any order only stage 1 is earlier than others.
    """
    earlier = [1] if backlog.directive.get("any_order") else list(backlog.stages)
    ends = [backlog.stages[number].end_time for number in earlier]
    return any(event["time"] + tolerance <= end for end in ends if end is not None)


def note(backlog: Backlog, stage: Stage, event: Json, now: int, output: Output) -> None:
    """Step 1 of taken: all that the backlog keeps of an event, and its alarm event record."""
    stage.ids.append(event["event_id"])
    stage.first = stage.first or event
    stage.sticky_seen += sticky_values(stage.rule, event)
    join_address(backlog.src_ips, event["src_ip"])
    join_address(backlog.dst_ips, event["dst_ip"])
    join_custom_data(backlog.custom_data, event)
    join_pairs(backlog.pairs, event)
    backlog.update_time = max(backlog.update_time, now)
    number, event_id = stage.rule["stage"], event["event_id"]
    output.alarm_events.append(
        {"alarm_id": backlog.alarm_id, "stage": number, "event_id": event_id}
    )


def join_address(side: list[str], ip: str) -> None:
    """0.0.0.0 leaves a side once there is another."""
    if ip not in side:
        side.append(ip)
    if len(side) > 1 and "0.0.0.0" in side:
        side.remove("0.0.0.0")


def join_custom_data(pairs: list[Json], event: Json) -> None:
    """Each non-empty custom data with its label, equal pairs once."""
    for data, label in zip(CUSTOM, LABELS, strict=True):
        pair = {"label": event[label], "content": event[data]}
        if event[data] and pair not in pairs:
            pairs.append(pair)


def join_pairs(pairs: list[str], event: Json) -> None:
    """Address and port, src before dst; neither 0.0.0.0, :: nor port 0 is ever looked up."""
    for ip, port in (("src_ip", "src_port"), ("dst_ip", "dst_port")):
        pair = f"{event[ip]}:{event[port]}"
        if event[port] and event[ip] not in UNSPECIFIED and pair not in pairs:
            pairs.append(pair)


def due_record(backlog: Backlog) -> Json:
    """What is to be looked up: addresses, src side first, and address:port of the events taken."""
    addresses = once(backlog.src_ips + backlog.dst_ips)
    return {
        "alarm_id": backlog.alarm_id,
        "addresses": [ip for ip in addresses if ip not in UNSPECIFIED],
        "pairs": list(backlog.pairs),
    }


def rule_record(backlog: Backlog, number: int) -> Json:
    """A rule in an alarm: what it always has, then what it has when not empty."""
    stage = backlog.stages[number]
    rule = stage.rule
    always = {
        "name": rule.get("name", ""),
        "type": rule["type"],
        "stage": number,
        "plugin_id": rule.get("plugin_id", 0),
        "plugin_sid": rule.get("plugin_sid", []),
        "occurrence": rule["occurrence"],
        "from": shown(backlog, rule, "from"),
        "to": shown(backlog, rule, "to"),
        "port_from": shown(backlog, rule, "port_from", unset="ANY"),
        "port_to": shown(backlog, rule, "port_to", unset="ANY"),
        "protocol": shown(backlog, rule, "protocol", unset="ANY"),
        "reliability": rule["reliability"],
        "timeout": rule.get("timeout", 0),
    }
    optional = {
        "product": rule.get("product"),
        "category": rule.get("category"),
        "subcategory": rule.get("subcategory"),
        "start_time": stage.start_time,
        "end_time": stage.end_time,
        "status": stage.status,
        "sticky_different": ",".join(sticky_names(rule)),
        **{name: shown(backlog, rule, name) for name in CUSTOM},
        **{name: rule.get(name) for name in LABELS},
        "absent": rule.get("absent"),
    }
    return always | {name: value for name, value in optional.items() if value}


def shown(backlog: Backlog, rule: Json, name: str, unset: str = "") -> str:
    """The value that a reference is bound to, as text, else the text of the file."""
    bound = bound_value(rule, name, backlog)
    reference = reference_in(name, rule.get(name) or "")
    if bound is not None:
        return f"!{bound}" if reference and reference.negated else str(bound)
    text: str = rule.get(name) or unset
    return text
