"""Directives and events of the engine, as unit tests of correlation make them."""

from typing import Any

from msgspec.structs import replace

from engine.address import parse_network
from engine.alarm import RuleRecord
from engine.asset import Asset, NetworkAssets
from engine.correlation.compiled_directive import CompiledDirective
from engine.directives.directive import Directive
from engine.event import NormalizedEvent
from engine.options import Options
from tests.support.events import make_event

ASSETS = NetworkAssets(
    [
        Asset("lan", parse_network("10.0.0.0/8")[0], 2),
        Asset("server", parse_network("10.0.0.5")[0], 5),
    ]
)
EVENT = make_event("e1", 1000, dst_ip="10.0.0.5", plugin_id=1, plugin_sid=1)
RULE = RuleRecord(
    name="r",
    type="PluginRule",
    stage=1,
    plugin_id=1,
    plugin_sid=(1,),
    occurrence=1,
    from_="ANY",
    to="ANY",
    port_from="ANY",
    port_to="ANY",
    protocol="ANY",
    reliability=5,
    timeout=60,
)


def rule(stage: int, **more: Any) -> RuleRecord:
    """A rule whose plugin_sid is its stage."""
    return replace(RULE, stage=stage, plugin_sid=(stage,), **more)


def directive(*rules: RuleRecord, **more: Any) -> Directive:
    """A directive with these rules, or with two that match the source of the first event."""
    rules = rules or (rule(1), rule(2, from_=":1"))
    fields = {"id": 7, "name": "d", "kingdom": "k", "category": "c", "priority": 5}
    return Directive(**fields | {"always_active": False} | more, rules=rules)  # type: ignore[arg-type]


def compiled(*rules: RuleRecord, options: Options | None = None, **more: Any) -> CompiledDirective:
    """Such a directive, compiled."""
    return CompiledDirective(directive(*rules, **more), ASSETS, options or Options())


def event(stage: int, id_: str = "e", **more: Any) -> NormalizedEvent:
    """An event that matches the rule of a stage."""
    given: Any = {"time": 1000, "dst_ip": "10.0.0.5"} | more
    return make_event(id_, plugin_id=1, plugin_sid=stage, **given)
