"""The configuration and the events of the scenarios, as bytes.

The scenarios are interleaved, one event of each in turn, so that the events of one are far apart.
"""

from collections.abc import Iterator
from itertools import zip_longest

import msgspec

from benchmarks.peers.scenarios import SCENARIOS, Json, Scenario
from benchmarks.peers.workloads import NODE, SUBJECT, Config, timestamp, with_masks
from benchmarks.support import synthetic
from tests.support.nats_server import frame

RATE = 200
"""Events per second."""
INSTANCES = 3
"""Number of runs of each script, each with other addresses."""
_PLUGIN = 1001
_PROBE = Scenario("probe", [{"occurrence": 1}, {"occurrence": 1_000_000}], [{"stage": 1}])
"""For events that only show that the backend is ready."""
_PROBE_NUMBER = 99


def config() -> Config:
    """The files of the node."""
    directives = [_directive(number, scenario) for number, scenario in enumerate(SCENARIOS, 1)]
    directives.append(_directive(_PROBE_NUMBER, _PROBE))
    return {
        "assets_bench.json": with_masks(synthetic.assets()),
        f"directives_{NODE}_all.json": msgspec.json.encode({"directives": directives}),
    }


def probe(number: int) -> bytes:
    """The NATS frame of a probe."""
    event = _event(_PROBE_NUMBER, 0, number, {"stage": 1})
    return frame(SUBJECT, msgspec.json.encode(event | {"timestamp": timestamp()}))


def is_probe(event_id: str) -> bool:
    """Whether this is the id of a probe."""
    return event_id.startswith(f"{_PROBE_NUMBER}-")


def scenario_of(event_id: str) -> Scenario:
    """The scenario of the event with this id."""
    return SCENARIOS[int(event_id[:2]) - 1]


def _directive(number: int, scenario: Scenario) -> Json:
    rules = [_complete_rule(number, stage, rule) for stage, rule in enumerate(scenario.rules, 1)]
    return {
        "id": number,
        "name": f"{scenario.name} (SRC_IP to DST_IP)",
        "kingdom": "Comparison",
        "category": "Scenario",
        "priority": 5,
        "rules": rules,
        **scenario.more,
    }


def _complete_rule(number: int, stage: int, rule: Json) -> Json:
    """Add the missing fields of a rule; its `sid` or `sids` are stages whose signatures it has."""
    fields = {key: value for key, value in rule.items() if key not in ("sid", "sids")}
    stages = rule.get("sids", [rule.get("sid", stage)])
    complete = {
        "name": f"stage {stage}",
        "type": "PluginRule",
        "stage": stage,
        "from": "ANY",
        "to": "ANY",
        "port_from": "ANY",
        "port_to": "ANY",
        "protocol": "TCP/IP",
        "reliability": min(10, 4 + 2 * stage),
        "timeout": 0 if stage == 1 else 3600,
        **fields,
    }
    if complete["type"] == "TaxonomyRule":
        return complete | {"category": _category(number, stages[0])}
    return complete | {"plugin_id": _PLUGIN, "plugin_sid": [_sid(number, each) for each in stages]}


def _sid(number: int, stage: int) -> int:
    return 100 * number + stage


def _category(number: int, stage: int) -> str:
    return f"category {number}-{stage}"


def events() -> Iterator[bytes]:
    """All events, one of each script in turn; the timestamp is set when an event is generated."""
    scripts = [_script(number, one) for number, one in enumerate(SCENARIOS, 1)]
    for row in zip_longest(*scripts):
        for event in filter(None, row):
            late = event.pop("late", 0)
            yield msgspec.json.encode(event | {"timestamp": timestamp(-late)})


def _script(number: int, scenario: Scenario) -> Iterator[Json]:
    for instance in range(INSTANCES):
        for at, step in enumerate(scenario.steps):
            yield _event(number, instance, step.get("again", at), step)


def _event(number: int, instance: int, at: int, step: Json) -> Json:
    stage = step["stage"]
    fields = {
        "event_id": f"{number:02}-{instance}-{at:02}",
        "title": "event",
        "sensor": "sensor-1",
        "src_ip": f"100.{number}.{instance}.1",
        "dst_ip": f"10.0.1.{1 + 10 * instance}",
        "src_port": 40_000,
        "dst_port": 443,
        "protocol": "TCP/IP",
        "plugin_id": _PLUGIN,
        "plugin_sid": _sid(number, stage),
        "product": "Firewall",
        "category": _category(number, stage),
    }
    own = {key: value for key, value in step.items() if key not in ("stage", "again")}
    return fields | {key: value for key, value in own.items() if value is not None}
