"""The scenarios for the comparison of alarms: small directives, each with a script of events."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

Json = dict[str, Any]
_SAME: Mapping[str, Any] = {"from": ":1", "to": ":1"}
_TAXONOMY: Mapping[str, Any] = {"type": "TaxonomyRule", "product": ["Firewall", "VPN"]}
_USER, _PLACE = {"custom_label1": "user"}, {"custom_label2": "place"}


class Scenario(Struct, frozen=True):
    """A directive, named for the rule of correlation that it tests, and its script of events.

    A step has the stage whose rule its event matches, and fields of the event. `again`: the event
    repeats that of the step with this number. `late`: seconds to subtract from its timestamp.
    `more`: further fields of the directive.
    """

    name: str
    rules: Sequence[Json]
    steps: Sequence[Json]
    more: Mapping[str, Any] = {}


def _rule(occurrence: int = 1, **more: Any) -> Json:
    return {"occurrence": occurrence, **more}


def _step(stage: int, **more: Any) -> Json:
    return {"stage": stage, **more}


def _steps(*stages: int, **more: Any) -> list[Json]:
    return [_step(stage, **more) for stage in stages]


def _varied(field: str, *values: Any, stage: int = 2) -> list[Json]:
    """The first stage, then events of another one that differ in a field."""
    return [_step(1), *(_step(stage, **{field: value}) for value in values)]


SCENARIOS = (
    Scenario(
        "references", [_rule(), _rule(3, **_SAME), _rule(2, **_SAME)], _steps(1, 2, 2, 2, 3, 3)
    ),
    Scenario(
        "one signature for all stages",
        [_rule(), _rule(3, sid=1, **_SAME), _rule(4, sid=1, **_SAME)],
        _steps(*[1] * 8),
    ),
    Scenario(
        "finished, and opened again",
        [_rule(), _rule(2, sid=1, **_SAME)],
        _steps(*[1] * 7),
    ),
    Scenario(
        "occurrence without references", [_rule(), _rule(4), _rule(2)], _steps(1, 2, 2, 3, 2, 2, 3)
    ),
    Scenario(
        "sticky DST_PORT",
        [_rule(), _rule(4, sticky_different="DST_PORT", **_SAME)],
        _varied("dst_port", 80, 80, 81, 82, 82, 83, 84),
    ),
    Scenario(
        "sticky SRC_IP",
        [_rule(), _rule(3, to=":1", sticky_different="SRC_IP")],
        _varied("src_ip", "100.64.0.1", "100.64.0.1", "100.64.0.2", "100.64.0.3"),
    ),
    Scenario(
        "sticky CUSTOM_DATA1",
        [_rule(), _rule(3, sticky_different="CUSTOM_DATA1", **_SAME)],
        _varied("custom_data1", "anna", "anna", "bert", "anna", "carl"),
    ),
    Scenario(
        "sticky PLUGIN_SID",
        [_rule(), _rule(3, sids=[2, 3, 4, 5], sticky_different="PLUGIN_SID", **_SAME)],
        _steps(1, 2, 2, 3, 3, 4),
    ),
    Scenario(
        "sticky and one signature",
        [_rule(), _rule(4, sid=1, sticky_different="DST_IP", **{"from": ":1", "to": "HOME_NET"})],
        [_step(1, dst_ip=f"10.0.1.{number}") for number in (1, 2, 2, 3, 3, 4, 5)],
    ),
    Scenario(
        "all rules always active",
        [_rule(), _rule(2, **_SAME), _rule(3, **_SAME)],
        _steps(1, 2, 2, 1, 3, 2, 1, 3, 3),
        {"all_rules_always_active": True},
    ),
    Scenario(
        "taxonomy",
        [_rule(**_TAXONOMY), _rule(2, **_TAXONOMY, subcategory=["Denied", "Reset"], **_SAME)],
        _varied("subcategory", "Allowed", "Denied", "Other", "Reset"),
    ),
    Scenario(
        "taxonomy with custom data",
        [_rule(**_TAXONOMY), _rule(2, **_TAXONOMY, custom_data1="anna", **_SAME)],
        _varied("custom_data1", "bert", "anna", "bert", "anna"),
    ),
    Scenario("both types of rule", [_rule(**_TAXONOMY), _rule(2, **_SAME)], _steps(1, 2, 2)),
    Scenario(
        "custom data",
        [_rule(custom_data1="anna"), _rule(2, custom_data2="!home", **_SAME)],
        [
            _step(1, custom_data1="bert", **_USER),
            _step(1, custom_data1="anna", **_USER),
            *(_step(2, custom_data2=place, **_PLACE) for place in ("home", "work", "train")),
        ],
    ),
    Scenario(
        "custom data by reference",
        [_rule(custom_data1="ANY"), _rule(2, custom_data1=":1", **_SAME)],
        [_step(1, custom_data1="anna"), *_varied("custom_data1", "bert", "anna", "anna")[1:]],
    ),
    Scenario(
        "custom data by reference to none",
        [_rule(), _rule(2, custom_data1=":1", **_SAME)],
        [_step(1, custom_data1="anna"), *_varied("custom_data1", "bert", "anna", "anna")[1:]],
    ),
    Scenario(
        "port by reference",
        [_rule(), _rule(2, port_to=":1", **_SAME)],
        [_step(1, dst_port=22), *(_step(2, dst_port=number) for number in (80, 22, 22))],
    ),
    Scenario(
        "ports",
        [_rule(port_to="22,80"), _rule(2, port_from="!53", **_SAME)],
        [
            _step(1, dst_port=443),
            _step(1, dst_port=22),
            *(_step(2, src_port=number) for number in (53, 5000, 5001)),
        ],
    ),
    Scenario(
        "port by reference to a condition",
        [_rule(port_to="22,80"), _rule(2, port_to=":1", **_SAME)],
        [_step(1, dst_port=22), *(_step(2, dst_port=number) for number in (80, 22, 22))],
    ),
    Scenario(
        "address lists",
        [
            _rule(1, **{"from": "!HOME_NET", "to": "10.0.1.0/24,192.168.0.0/16"}),
            _rule(2, **{"from": ":1", "to": "!10.0.1.1,10.0.1.0/24"}),
        ],
        [
            _step(1, src_ip="10.0.2.2"),
            _step(1, dst_ip="10.0.3.3"),
            _step(1),
            *(_step(2, dst_ip=ip) for ip in ("10.0.1.1", "8.8.8.8", "10.0.1.9", "10.0.1.8")),
        ],
    ),
    Scenario(
        "reference to a condition",
        [_rule(1, **{"from": "100.0.0.0/8"}), _rule(2, **_SAME)],
        _varied("src_ip", "100.99.9.9", None, None),
    ),
    Scenario(
        "reference to the second stage",
        [_rule(), _rule(1, to=":1"), _rule(2, **{"from": ":2", "to": ":1"})],
        [
            _step(1),
            _step(2, src_ip="100.64.0.7"),
            _step(3),
            _step(3, src_ip="100.64.0.7"),
            _step(3, src_ip="100.64.0.7"),
        ],
    ),
    Scenario("timeout", [_rule(), _rule(3, timeout=3, **_SAME)], _steps(1, 2)),
    Scenario(
        "timeout of the third stage",
        [_rule(), _rule(1, **_SAME), _rule(2, timeout=3, **_SAME)],
        _steps(1, 2, 3),
    ),
    Scenario(
        "repeated event",
        [_rule(), _rule(3, **_SAME)],
        [*_steps(1, 2), _step(2, again=1), *_steps(2, 2)],
    ),
    Scenario(
        "repeated opening event",
        [_rule(), _rule(3, sid=1, **_SAME)],
        [_step(1), _step(1, again=0), *_steps(1, 1)],
    ),
    Scenario(
        "out of order",
        [_rule(), _rule(2, **_SAME)],
        [*_steps(1, 2), _step(2, late=60), *_steps(2)],
    ),
    Scenario(
        "nothing of value", [_rule(), _rule(2, **_SAME)], _steps(1, 2, 2, dst_ip="198.51.100.7")
    ),
    Scenario("whitelisted source", [_rule(), _rule(1, **_SAME)], _steps(1, 2, src_ip="10.9.9.9")),
    Scenario(
        "IPv6",
        [_rule(), _rule(2, **_SAME)],
        _steps(1, 2, 2, src_ip="2001:db8::7"),
    ),
    Scenario(
        "all custom data of an alarm",
        [_rule(), _rule(2, **_SAME)],
        [
            _step(1, custom_data1="anna", **_USER),
            _step(2, custom_data1="bert", custom_data2="work", **_USER, **_PLACE),
            _step(2, custom_data1="anna", custom_data3="x", custom_label3="more", **_USER),
        ],
    ),
)
