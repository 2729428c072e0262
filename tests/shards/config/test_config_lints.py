"""Lints of a whole configuration: risks, whitelisted assets and copies of directives."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.finding_codes import CODES
from shards.config.config_reader import ConfigReader
from shards.settings.settings import Settings

Object = dict[str, Any]


def asset(cidr: str, value: int = 2, **more: Any) -> Object:
    return {"name": f"asset {cidr}", "cidr": cidr, "value": value} | more


LAN = asset("10.0.0.0/8")


def rule(stage: int, reliability: int, from_: str, to: str) -> Object:
    return {
        "name": "r",
        "type": "PluginRule",
        "stage": stage,
        "occurrence": 1,
        "plugin_id": 1,
        "plugin_sid": [1, 2],
        "from": from_,
        "to": to,
        "reliability": reliability,
        "timeout": 60,
    }


def directive(id_: int, *rules: Object, **more: Any) -> Object:
    rules = rules or (rule(1, 1, "ANY", "HOME_NET"), rule(2, 10, ":1", ":1"))
    given = {"id": id_, "name": f"d{id_}", "kingdom": "k", "category": "c", "priority": 3}
    return given | more | {"rules": rules}


def lints(
    folder: Path, assets: list[Object], *directives: Object, wanted: bool = True
) -> list[tuple[str, str]]:
    """The code and the text of each lint of a folder, without its path."""
    (folder / "assets_a.json").write_text(json.dumps({"assets": assets}))
    (folder / "directives_a.json").write_text(json.dumps({"directives": directives}))
    reader = ConfigReader(Settings(), lints=wanted)
    reader.read_folder(folder)
    assert not reader.faulty
    return [
        (problem.finding.code, f"{problem.subject}: {problem.finding.message}")
        for problem in reader.problems.listed
    ]


def risk(priority: int, reliability: int, value: int) -> str:
    return (
        f"directive 1, priority: is {priority}, with a reliability of at most {reliability} and "
        f"assets of at most {value}: the risk is 0 at each stage, so that no alarm is written"
    )


def test_a_risk_that_is_always_0(tmp_path: Path) -> None:
    low = directive(1, rule(1, 1, "ANY", "HOME_NET"), rule(2, 4, ":1", ":1"))
    assert lints(tmp_path, [LAN], low) == [("no-risk", risk(3, 4, 2))]
    assert lints(tmp_path, [asset("10.0.0.0/8", 3)], low) == []  # 3 × 4 × 3 is 36
    whitelisted = asset("192.0.2.1", 5, whitelisted=True)
    assert lints(tmp_path, [LAN, whitelisted], low) == [("no-risk", risk(3, 4, 2))]


@pytest.mark.parametrize(
    ("from_", "to", "value"),
    [
        ("!HOME_NET", "!HOME_NET", 0),
        ("!HOME_NET", "10.0.0.9", 2),
        ("!HOME_NET", "10.0.0.5", 5),
        ("!HOME_NET", "10.0.0.5, !10.0.0.9", 5),
        ("!HOME_NET", "10.0.0.9 192.0.2.1", 2),
        ("192.0.2.1", "::1", 0),
        ("10.0.0.8/31", "::1", 5),  # no claim about networks
        ("ANY", "!HOME_NET", 5),
        ("HOME_NET", "!HOME_NET", 5),
    ],
)
def test_the_conditions_bound_the_value(from_: str, to: str, value: int, tmp_path: Path) -> None:
    rules = (rule(1, 1, from_, to), rule(2, 2, ":1", ":1"))
    found = lints(tmp_path, [LAN, asset("10.0.0.5", 5)], directive(1, *rules))
    assert found == ([] if 3 * 2 * value >= 25 else [("no-risk", risk(3, 2, value))])


@pytest.mark.parametrize(
    ("condition", "value"),
    [(":1", 2), (":1.to", 2), ("!:1", 5), (":1.custom_data1", 5), ("!:1.to", 5)],
)
def test_a_reference_adds_addresses_unless_it_is_to_one(
    condition: str, value: int, tmp_path: Path
) -> None:
    rules = (rule(1, 1, "!HOME_NET", "10.0.0.9"), rule(2, 2, condition, ":1"))
    found = lints(tmp_path, [LAN, asset("10.0.0.5", 5)], directive(1, *rules))
    assert found == ([] if 3 * 2 * value >= 25 else [("no-risk", risk(3, 2, value))])


def test_a_stage_has_the_addresses_of_the_stages_before_it(tmp_path: Path) -> None:
    far = (rule(1, 1, "ANY", "!HOME_NET"), rule(2, 10, "!HOME_NET", "192.0.2.1"))
    assert lints(tmp_path, [LAN], directive(1, *far)) == []
    early = (rule(1, 10, "!HOME_NET", "192.0.2.1"), rule(2, 1, "ANY", "HOME_NET"))
    assert lints(tmp_path, [LAN], directive(1, *early)) == [("no-risk", risk(3, 10, 2))]


def test_with_a_faulty_asset_the_values_are_not_known(tmp_path: Path) -> None:
    low = directive(1, rule(1, 1, "ANY", "HOME_NET"), rule(2, 4, ":1", ":1"))
    (tmp_path / "assets_a.json").write_text(json.dumps({"assets": [LAN, asset("x", 5)]}))
    (tmp_path / "directives_a.json").write_text(json.dumps({"directives": [low]}))
    reader = ConfigReader(Settings(), lints=True)
    reader.read_folder(tmp_path)
    assert [problem.finding.code for problem in reader.problems.listed] == ["bad-address"]


def test_single_files_are_not_judged_by_the_assets_so_far(tmp_path: Path) -> None:
    low = directive(1, rule(1, 1, "ANY", "HOME_NET"), rule(2, 4, ":1", ":1"))
    lints(tmp_path, [LAN], low)
    reader = ConfigReader(Settings(), lints=True)
    for name in ("assets_a.json", "directives_a.json"):
        reader.read_file(tmp_path / name)
    assert len(reader.problems) == 0


def test_whitelisted_sources_alone_never_match(tmp_path: Path) -> None:
    scanners = asset("10.9.0.0/16", whitelisted=True)
    rules = (rule(1, 9, "10.9.0.1, 10.9.9.9", "HOME_NET"), rule(2, 9, "ANY", "10.9.0.1"))
    [(code, text), *more] = lints(tmp_path, [LAN, scanners], directive(1, *rules))
    assert (code, more) == ("never-matches", [])
    assert text == (
        "directive 1, stage 1, from: has only whitelisted addresses: their events are dropped, "
        "so none can match"
    )
    for reachable in ("10.9.0.1, 10.8.0.1", "!10.9.0.1", "10.9.0.0/17", "ANY"):
        rules = (rule(1, 9, reachable, "HOME_NET"), rule(2, 9, ":1", "10.9.0.1"))
        assert lints(tmp_path, [LAN, scanners], directive(1, *rules)) == []


def test_home_net_is_empty_if_all_assets_are_whitelisted(tmp_path: Path) -> None:
    found = lints(tmp_path, [asset("10.0.0.0/8", whitelisted=True)], directive(1))
    assert found[1] == (
        "never-matches",
        "directive 1, stage 1, to: is HOME_NET, and every asset is whitelisted: no event can match",
    )
    assert [code for code, _ in found] == ["no-risk", "never-matches"]


def test_equal_directives_but_for_id_and_names(tmp_path: Path) -> None:
    renamed = directive(2)
    renamed["rules"] = [one | {"name": "other"} for one in renamed["rules"]]
    found = lints(
        tmp_path, [LAN], directive(1), renamed, directive(3, priority=4), directive(4),
        directive(5, disabled=True), directive(6, all_rules_always_active=True),
        directive(7, kingdom="other"),
    )  # fmt: skip
    text = "id: has the rules of directive 1: each of their alarms is raised twice"
    copies = [("same-rules", f"directive {id_}, {text}") for id_ in (2, 4)]
    assert [one for one in found if one[0] == "same-rules"] == copies


def test_an_asset_inside_a_whitelisted_one(tmp_path: Path) -> None:
    assets = [
        asset("10.9.0.5", 5),
        asset("10.9.0.0/16", whitelisted=True),
        asset("10.9.0.0/24"),
        asset("10.0.0.0/8"),
        asset("10.9.0.6", whitelisted=True),
        asset("::ffff:10.9.0.7"),
    ]
    found = lints(tmp_path, assets, directive(1))
    text = (
        'inside the whitelisted asset "asset 10.9.0.0/16", 10.9.0.0/16: events from it are dropped'
    )
    inside = ("10.9.0.5/32", "10.9.0.0/24", "10.9.0.7/32")
    assert found == [("whitelisted-asset", f"cidr: is {one}, {text}") for one in inside]


def test_assets_are_compared_over_files_and_each_has_its_place(tmp_path: Path) -> None:
    outer = tmp_path / "assets_a.json"
    outer.write_text(json.dumps({"assets": [asset("10.9.0.0/16", whitelisted=True)]}))
    inner = tmp_path / "assets_b.json"
    inner.write_text(json.dumps({"assets": [LAN, asset("10.9.0.0/16")]}, indent=0))
    reader = ConfigReader(Settings(), lints=True)
    reader.read_file(inner)
    reader.read_file(outer)
    reader.lint_assets()
    [problem] = reader.problems.listed
    assert (problem.file, problem.line, problem.finding.code) == (
        str(inner),
        10,
        "whitelisted-asset",
    )


def test_only_who_asks_gets_lints(tmp_path: Path) -> None:
    copies = (directive(1), directive(2))
    assert len(lints(tmp_path, [LAN], *copies)) == 1
    assert lints(tmp_path, [LAN], *copies, wanted=False) == []


def test_thousands_of_nested_assets_take_no_long_time(tmp_path: Path) -> None:
    """All in one another, and all whitelisted twice: bounded by the lengths of prefixes."""
    assets = [asset(f"10.0.0.0/{length}") for length in range(8, 33)] * 200
    assets += [asset(f"10.0.0.0/{length}", whitelisted=True) for length in range(8, 33)] * 200
    found = lints(tmp_path, assets, directive(1))
    assert {code for code, _ in found} <= set(CODES)
    assert len(found) == 1000
