"""Command lines: precedence, spellings, settings files, origins, usage errors."""

from pathlib import Path

import pytest

from shards.exit_codes import NO_PATH
from shards.settings.command_line import Command, parse_command
from shards.settings.schema import Origin, UsageError
from shards.settings.settings import SETTINGS_TABLE, Settings
from shards.settings.spellings import canonical_arguments
from tests.support.settings_parsing import REPLAY, SERVE, VALIDATE, fault, origins, serve, settings


def test_flag_goes_before_variable_before_file_before_default(file: Path) -> None:
    at = f"--settings={file}"
    assert settings().node == ""
    assert settings(at).node == "from-file"
    assert settings(at, DSIEM_NODE="from-variable").node == "from-variable"
    assert settings(at, "--node", "from-flag", DSIEM_NODE="from-variable").node == "from-flag"


def test_a_glued_short_option_goes_before_the_variable() -> None:
    assert settings("-nflag", DSIEM_NODE="variable").node == "flag"
    assert settings("-n=flag", DSIEM_NODE="variable").node == "flag"


def test_the_file_may_be_named_by_a_variable(file: Path) -> None:
    assert settings(DSIEM_SETTINGS=str(file)).node == "from-file"


def test_an_empty_variable_is_unset(file: Path) -> None:
    assert settings(f"--settings={file}", DSIEM_NODE="").node == "from-file"
    assert settings(DSIEM_MEDRISKMIN="", DSIEM_TAGS="", DSIEM_SETTINGS="") == Settings()


@pytest.mark.parametrize("flag", ["--med-risk-min", "--med_risk_min", "--medRiskMin"])
@pytest.mark.parametrize("joint", [" ", "="])
def test_three_spellings_of_every_flag(flag: str, joint: str) -> None:
    assert settings(*f"{flag}{joint}5".split()).med_risk_min == 5


@pytest.mark.parametrize("key", ["med-risk-min", "med_risk_min", "medRiskMin", "--med-risk-min"])
def test_three_spellings_of_every_key_in_the_file(key: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(f"{key} = 5  # why\n")
    assert settings("--settings", str(tmp_path / "s")).med_risk_min == 5


def test_short_options() -> None:
    found = settings("-n", "n1", "-l", "2", "-s", "New", "-t", "Tag")
    assert (found.node, found.min_alarm_lifetime) == ("n1", 2)
    assert (found.status, found.tags) == (("New",), ("Tag",))


def test_short_options_of_serve() -> None:
    found = serve("-f", "http://f", "-n", "n1", "-e5", "-c", "6", "-q", "7", "-d=8", "-vv", "-j")
    assert (found.frontend, found.node, found.max_eps) == ("http://f", "n1", 5)
    assert (found.cache, found.max_queue, found.max_delay) == (6, 7, 8)
    assert (found.debug, found.trace, found.json) == (False, True, True)


@pytest.mark.parametrize("flag", ["--cache", "--cache-duration", "--cacheDuration"])
def test_cache_has_two_names(flag: str) -> None:
    assert serve(flag, "3").cache == 3


def test_spellings_of_dsiem_with_capitals_inside() -> None:
    found = serve("--maxEPS", "3", "--intelPrivateIP")
    assert (found.max_eps, found.intel_private_ip) == (3, True)
    assert serve("--maxEps=3").max_eps == 3
    assert not serve("--noIntelPrivateIP", DSIEM_INTELPRIVATEIP="true").intel_private_ip


@pytest.mark.parametrize(
    "flag", ["--no-match-protocol", "--no_match_protocol", "--noMatchProtocol"]
)
def test_a_switch_may_be_negated(flag: str) -> None:
    assert not settings(flag, DSIEM_MATCH_PROTOCOL="true").match_protocol


def test_a_switch_does_not_take_the_operand_for_its_value() -> None:
    parsed = parse_command(REPLAY, canonical_arguments(["--alarms", "events.ndjson", "-"]), {})
    assert parsed.settings.alarms
    assert parsed.operands == ["events.ndjson", "-"]


def test_after_two_dashes_all_are_operands() -> None:
    parsed = parse_command(REPLAY, canonical_arguments(["--alarms", "--", "-n", "--alarms"]), {})
    assert parsed.operands == ["-n", "--alarms"]


def test_options_may_stand_between_operands() -> None:
    words = ["a", "--alarms", "b", "--node", "n1", "-", "--log-dir", "logs", "--", "--c"]
    parsed = parse_command(REPLAY, canonical_arguments(words), {})
    assert parsed.operands == ["a", "b", "-", "--c"]
    assert (parsed.settings.node, parsed.settings.log_dir.name) == ("n1", "logs")


def test_a_settings_file_may_stand_between_operands(file: Path) -> None:
    words = ["a", "--settings", str(file), "b"]
    parsed = parse_command(REPLAY, canonical_arguments(words), {})
    assert parsed.operands == ["a", "b"]
    assert parsed.settings.node == "from-file"


def test_a_list_may_be_given_in_parts() -> None:
    assert settings("--tags", "A,B", "--node=n", "--tags=C", "-t", "D").tags == ("A", "B", "C", "D")


@pytest.mark.parametrize("line", ["tags: A b, C", "tags = [A b, C]", 'tags: ["A b", "C"]'])
def test_lists_in_the_file(line: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(line + "\n")
    assert settings("--settings", str(tmp_path / "s")).tags == ("A b", "C")


def test_an_empty_key_in_the_file_is_unset(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("min-alarm-lifetime:\n")
    assert settings("--settings", str(tmp_path / "s")) == Settings()


def test_one_file_serves_every_command(file: Path) -> None:
    assert settings("--settings", str(file), command=VALIDATE).node == ""


def test_a_key_that_is_no_setting_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("nodes: x\n")
    assert "there is no setting 'nodes'" in fault("--settings", str(tmp_path / "s"))


def test_a_file_that_is_not_utf8_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"node: \xff\n")
    assert "is not UTF-8" in fault("--settings", str(tmp_path / "s"))


def test_a_missing_file_is_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as caught:
        settings("--settings", str(tmp_path / "none"))
    assert caught.value.exit_code == NO_PATH


def test_a_wrong_value_is_named_with_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("medRiskMin: x\n")
    variable = fault(DSIEM_MEDRISKMIN="x")
    assert variable.startswith("DSIEM_MEDRISKMIN (--med-risk-min) is 'x', should be")
    key = fault("--settings", str(tmp_path / "s"))
    assert key.startswith(f"med-risk-min in {tmp_path / 's'} (--med-risk-min) is 'x', should be")
    flag = fault("--med-risk-min", "y", DSIEM_MEDRISKMIN="x")
    assert flag.startswith("--med-risk-min is 'y', should be")


@pytest.mark.parametrize("flag", ["--nod", "--bogus", "-x", "--no-node", "--no-alarms=true"])
def test_no_abbreviations_and_no_unknown_flags(flag: str) -> None:
    assert "unrecognized arguments" in fault(flag)


def test_a_setting_of_another_command_is_unknown() -> None:
    assert "unrecognized arguments: --node=x" in fault("--node=x", command=VALIDATE)


@pytest.mark.parametrize("name", ["demo", "schema", "completion"])
@pytest.mark.parametrize("flag", ["--format=json", "--lenient-directives"])
def test_a_setting_that_a_command_would_ignore_is_unknown(name: str, flag: str) -> None:
    assert "unrecognized arguments" in fault(flag, command=Command(name, "help"))


def test_a_flag_without_its_value_is_named() -> None:
    with pytest.raises(UsageError, match="--node: expected one argument"):
        parse_command(REPLAY, canonical_arguments(["operand", "--node"]), {})


def test_serve_has_no_operands() -> None:
    assert "unrecognized arguments: x" in fault("x", command=SERVE)


def test_the_origin_of_each_setting_is_known(file: Path) -> None:
    found = origins("-q7", "--settings", str(file), DSIEM_MAXEPS="9", DSIEM_MAXQUEUE="8")
    assert found == {
        "node": f"file {file}",
        "mode": "derived from --node",
        "max_eps": "variable DSIEM_MAXEPS",
        "max_queue": "flag --max-queue",
    }
    assert Origin("file", "f").name_of(SETTINGS_TABLE["max_eps"]) == "max-eps in f (--max-eps)"


def test_a_value_that_equals_the_default_is_still_given() -> None:
    assert origins("--no-debug", DSIEM_PORT="8080") == {
        "debug": "flag --debug",
        "port": "variable DSIEM_PORT",
    }
