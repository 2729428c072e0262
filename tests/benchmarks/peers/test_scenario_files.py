"""The scenarios as directives and events."""

from collections import Counter

import msgspec

from benchmarks.engine.engine_setup import parse_valid_directives
from benchmarks.peers import scenario_files
from benchmarks.peers.scenarios import SCENARIOS


def test_each_scenario_is_a_valid_directive_with_a_name_of_its_own() -> None:
    files = scenario_files.config()
    (name,) = (name for name in files if name.startswith("directives_"))
    assert len(parse_valid_directives(files[name])) == len(SCENARIOS) + 1  # and that of the probe
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_each_script_runs_three_times_with_other_addresses() -> None:
    events = [msgspec.json.decode(event) for event in scenario_files.events()]
    counts = Counter(scenario_files.scenario_of(event["event_id"]).name for event in events)
    assert counts == {scenario.name: 3 * len(scenario.steps) for scenario in SCENARIOS}
    destinations = {event["dst_ip"] for event in events if event["event_id"].startswith("01-")}
    assert len(destinations) == 3


def test_the_events_of_different_scenarios_are_interleaved() -> None:
    events = [msgspec.json.decode(event) for event in scenario_files.events()]
    first = [event["event_id"][:2] for event in events[: len(SCENARIOS)]]
    assert first == [f"{number:02}" for number in range(1, len(SCENARIOS) + 1)]


def test_only_repeated_steps_repeat_an_id() -> None:
    events = [msgspec.json.decode(event) for event in scenario_files.events()]
    counts = Counter(event["event_id"] for event in events)
    repeated = {
        scenario_files.scenario_of(event_id).name for event_id, n in counts.items() if n > 1
    }
    assert repeated == {"repeated event", "repeated opening event"}


def test_probes_are_not_events_of_a_scenario() -> None:
    probe = msgspec.json.decode(scenario_files.probe(3).partition(b"\r\n")[2])
    assert scenario_files.is_probe(probe["event_id"])
    events = map(msgspec.json.decode, scenario_files.events())
    assert not any(scenario_files.is_probe(event["event_id"]) for event in events)
