"""A directive as people write them, and alarms of it as dsiem-backend saves them; helpers for both.

Several tests of saved backlogs begin with these.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings

from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.correlation.snapshot import BacklogSnapshot
from engine.directives.asset_document import parse_assets
from engine.directives.directive import Directive, parse_directives
from engine.dsiem_format.saved_alarm import snapshot_from_alarm
from engine.dsiem_format.saved_document import parse_saved_alarms
from engine.event import NormalizedEvent
from engine.options import Options
from tests.support.events import make_event
from tests.support.examples import examples

Json = dict[str, Any]
T0 = 1_700_000_000
ASSETS = [
    {"name": "lan", "cidr": "10.0.0.0/8", "value": 3},
    {"name": "mail", "cidr": "10.0.0.25/32", "value": 5},
]
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
few = settings(max_examples=examples(120), deadline=None, suppress_health_check=SLOW)
NAME = "Brute force, SRC_IP to DST_IP"


def rule(stage: int, sid: int, **more: Any) -> Json:
    fields = {"name": f"step {stage}", "type": "PluginRule", "stage": stage, "plugin_id": 1001}
    fields |= {"plugin_sid": [sid], "occurrence": 1, "from": ":1", "to": ":1"}
    fields |= {"port_from": "ANY", "port_to": "ANY", "protocol": "TCP/IP"}
    return fields | {"reliability": 1, "timeout": 0} | more


BRUTE_FORCE: Json = {
    "id": 5,
    "name": NAME,
    "kingdom": "Exploit",
    "category": "Password Guessing",
    "priority": 4,
    "rules": [
        rule(1, 1, **{"from": "HOME_NET", "to": "ANY"}),
        rule(2, 2, occurrence=3, timeout=600, reliability=5, sticky_different="SRC_PORT"),
        rule(3, 3, occurrence=2, timeout=3600, reliability=10, port_to=":2"),
    ],
}
BOUND = {"from": "10.0.0.7", "to": "10.0.0.25"}
FIRST = rule(1, 1, **{"from": "HOME_NET", "to": "ANY"}) | {
    "start_time": T0,
    "end_time": T0,
    "status": "finished",
    "saved_event_ids": ["e1"],
}


def alarm(*rules: Json, **more: Any) -> Json:
    """A record as dsiem-backend writes it, with members of its own, and nulls."""
    fields: Json = {
        "alarm_id": "V1StGXR8_",
        "title": "Brute force, 10.0.0.7 to mail",
        "status": "Open",
        "tag": "Identified Threat",
        "kingdom": "Exploit",
        "category": "Password Guessing",
        "created_time": T0 + 5,
        "update_time": T0 + 40,
        "risk": 4,
        "risk_class": "Medium",
        "rules": rules,
        "src_ips": ["10.0.0.7"],
        "dst_ips": ["10.0.0.25"],
        "networks": ["10.0.0.0/8"],
        "custom_data": [{"label": "user", "content": "root"}],
        "intel_hits": None,
        "perm_index": "siem_alarms",
    }
    return fields | more


def second(sticky: list[int], **more: Any) -> Json:
    """The rule of stage 2, with the ports that it has seen."""
    fields = {"occurrence": 3, "timeout": 600, "reliability": 5, "sticky_different": "SRC_PORT"}
    fields |= {"saved_sticky_diffdata": {"sdiff_string": [], "sdiff_int": sticky}}
    return rule(2, 2, **BOUND, **fields, start_time=T0, **more)


def third(**more: Any) -> Json:
    """The rule of stage 3."""
    fields = {"occurrence": 2, "timeout": 3600, "reliability": 10, "port_to": "22"}
    return rule(3, 3, **BOUND, **fields, **more)


AT_STAGE_2 = alarm(
    FIRST, second([4001, 4002], saved_event_ids=["e2", "e3"]), third(), created_time=0, risk=0
)
AT_STAGE_3 = alarm(
    FIRST,
    second(
        [4001, 4002, 4003],
        end_time=T0 + 30,
        status="finished",
        saved_event_ids=["e2", "e3", "e4"],
    ),
    third(start_time=T0 + 30, saved_event_ids=["e5"]),
    risk=20,
)


def directive_of(item: Json = BRUTE_FORCE) -> Directive:
    [checked] = parse_directives(msgspec.json.encode({"directives": [item]}))
    assert checked.directive is not None, checked.findings
    return checked.directive


def correlator_of(item: Json = BRUTE_FORCE, options: Options | None = None) -> Correlator:
    assets, _ = parse_assets(msgspec.json.encode({"assets": ASSETS}))
    return Correlator([directive_of(item)], NetworkAssets(assets), options or Options())


def state_of(item: Json, directive: Json = BRUTE_FORCE) -> BacklogSnapshot:
    document = parse_saved_alarms(msgspec.json.encode([item]))
    assert document.faults == ()
    return snapshot_from_alarm(document.alarms[0], directive_of(directive), Options())


def going_on(*items: Json, directive: Json = BRUTE_FORCE) -> Correlator:
    """A correlator that has taken up all of these."""
    correlator = correlator_of(directive)
    assert correlator.restore(state_of(item, directive) for item in items) == []
    return correlator


def event(id_: str, sid: int, after: int, **more: Any) -> NormalizedEvent:
    fields = {"src_ip": "10.0.0.7", "dst_ip": "10.0.0.25", "src_port": 4004, "dst_port": 22}
    given: Any = fields | more
    return make_event(id_, T0 + after, plugin_id=1001, plugin_sid=sid, **given)


def take(correlator: Correlator, *args: Any, **more: Any) -> Outputs:
    taken = event(*args, **more)
    return correlator.process_event(taken, taken.time)


def changed(item: Json, **more: Any) -> Json:
    """A deep copy of an alarm or directive with other members; `rule2={...}` those of a rule."""
    made: Json = json.loads(json.dumps(item))
    for name, value in more.items():
        if name.startswith("rule") and name != "rules":
            made["rules"][int(name[4:]) - 1] |= value
        else:
            made[name] = value
    return made


ACTIVE = changed(BRUTE_FORCE, all_rules_always_active=True)
ACTIVE_AT_3 = changed(
    AT_STAGE_3, rule1={"from": "10.0.0.7", "to": "10.0.0.25", "saved_event_ids": ["e1", "e8"]}
)


EDITED = changed(
    BRUTE_FORCE,
    priority=2,
    rule2={"occurrence": 1, "plugin_sid": [2, 7]},
    rule3={"occurrence": 1, "reliability": 4, "timeout": 10, "from": "ANY"},
)
