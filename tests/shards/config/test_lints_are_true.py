"""What a lint claims about a directive holds for random directives, assets and events."""

from collections import Counter, defaultdict
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, event, given, settings

from engine.directives.asset_document import parse_asset_items
from engine.directives.directive import parse_directives
from engine.errors import Finding
from shards.config.config_lints import ConfigLints
from tests.support.engine_adapter import EngineUnderTest
from tests.support.examples import examples
from tests.support.strategies import Json, Scenario, scenarios

WHITELISTED = ("10.0.0.1", "10.0.0.2")
"""Assets of these addresses: conditions name them, and events come from them."""


def low_assets(scenario: Scenario) -> list[Json]:
    """The assets, with values so low that many risks are 0, and with single whitelisted ones."""
    low: list[Json] = [asset | {"value": 1} for asset in scenario.assets]
    cidr = WHITELISTED[len(scenario.moments) % 2]
    return [*low, {"name": "scanner", "cidr": cidr, "value": 1, "whitelisted": True}]


def claims(assets: list[Json], directives: list[Json]) -> list[Finding]:
    lints = ConfigLints()
    parsed, _ = parse_asset_items(msgspec.json.encode({"assets": assets}))
    lints.add_assets(Path("assets_a.json"), parsed)
    lints.know_all_assets()
    return [
        finding
        for one in parse_directives(msgspec.json.encode({"directives": directives}))
        for finding in lints.of_directive(one)
    ]


def with_copy(directives: list[Json]) -> list[Json]:
    return [*directives, directives[0] | {"id": 1000, "name": "a copy"}]


def directive_of(line: Json) -> int:
    return int(line["alarm_id"].partition("/")[0])


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(scenarios())
def test_a_claim_is_true_in_the_engine(scenario: Scenario) -> None:
    assets, directives = low_assets(scenario), with_copy(scenario.directives)
    engine = EngineUnderTest(assets, directives, scenario.options)
    taken: dict[int, Counter[tuple[int, str]]] = defaultdict(Counter)
    published: set[int] = set()
    for moment in scenario.moments:
        now = moment.now
        output = engine.event(moment.event, now) if moment.event else engine.tick(now)
        for line in output.alarm_events:
            taken[directive_of(line)][line["stage"], line["event_id"]] += 1
        published.update(map(directive_of, output.alarms))
    for finding in claims(assets, directives):
        event(finding.code)
        id_, stage = finding.directive or 0, finding.stage or 0
        if finding.code == "no-risk":
            assert id_ not in published
        elif finding.code == "never-matches":
            assert all(number < stage for number, _ in taken[id_])
        elif finding.code == "same-rules":
            [first] = [one["id"] for one in directives if f" {one['id']}: " in finding.message]
            assert taken[id_] == taken[first]
