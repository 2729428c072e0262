"""Settings: precedence, spellings, values, and what a wrong one is answered with."""

from pathlib import Path

import pytest

from shards.commandline import MISSING, USAGE, UsageError, Verb, canonical, parse
from shards.settings import TABLE, Settings

REPLAY = Verb("replay", "help", "EVENTS", "help")
VALIDATE = Verb("validate", "help", "PATH", "help")


def settings(*arguments: str, verb: Verb = REPLAY, **environ: str) -> Settings:
    """Return what the arguments and variables give, with one operand that is not looked at."""
    found, operands = parse(verb, canonical([*arguments, "operand"]), environ)
    assert operands == ["operand"]
    return found


def fault(*arguments: str, verb: Verb = REPLAY, **environ: str) -> str:
    """Return the text of the usage error that the arguments and variables must give."""
    with pytest.raises(UsageError) as caught:
        settings(*arguments, verb=verb, **environ)
    assert caught.value.exit_code == USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.conf"
    path.write_text("node: from-file\n")
    return path


def test_defaults_are_those_of_the_peers() -> None:
    assert settings() == Settings(
        config_dir=Path("configs"),
        log_dir=Path("logs"),
        node="",
        lenient_directives=False,
        match_protocol=False,
        min_alarm_lifetime=0,
        med_risk_min=3,
        med_risk_max=6,
        status=("Open", "In-Progress", "Closed"),
        tags=("Identified Threat", "False Positive", "Valid Threat", "Security Incident"),
        format="text",
        alarms=False,
    )


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


@pytest.mark.parametrize(
    ("variable", "name", "text", "value"),
    [
        ("DSIEM_NODE", "node", "n1", "n1"),
        ("DSIEM_MINALARMLIFETIME", "min_alarm_lifetime", "5", 5),
        ("DSIEM_MEDRISKMIN", "med_risk_min", "4", 4),
        ("DSIEM_MEDRISKMAX", "med_risk_max", "7", 7),
        ("DSIEM_STATUS", "status", "New", ("New",)),
        ("DSIEM_TAGS", "tags", "A,B", ("A", "B")),
        ("DSIEM_CONFIG_DIR", "config_dir", "/c", Path("/c")),
        ("DSIEM_LOG_DIR", "log_dir", "/l", Path("/l")),
        ("DSIEM_MATCH_PROTOCOL", "match_protocol", "true", True),
        ("DSIEM_LENIENT_DIRECTIVES", "lenient_directives", "1", True),
        ("DSIEM_FORMAT", "format", "json", "json"),
        ("DSIEM_DEBUG", "debug", "true", True),
        ("DSIEM_TRACE", "trace", "true", True),
        ("DSIEM_JSON", "json", "true", True),
    ],
)
def test_variables(variable: str, name: str, text: str, value: object) -> None:
    found, _ = parse(REPLAY, ["operand"], {variable: text})
    assert getattr(found, name) == value


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


@pytest.mark.parametrize("text", ["true", "True", "T", "t", "TRUE", "1"])
def test_true_in_every_spelling(text: str) -> None:
    assert settings("--match-protocol", text).match_protocol
    assert settings(f"--match-protocol={text}").match_protocol
    assert settings(DSIEM_MATCH_PROTOCOL=text).match_protocol


@pytest.mark.parametrize("text", ["false", "False", "F", "f", "FALSE", "0"])
def test_false_in_every_spelling_overrides_what_comes_after(text: str) -> None:
    assert not settings("--match-protocol", text, DSIEM_MATCH_PROTOCOL="t").match_protocol
    assert not settings(f"--match-protocol={text}", DSIEM_MATCH_PROTOCOL="t").match_protocol
    assert not settings(DSIEM_MATCH_PROTOCOL=text).match_protocol


@pytest.mark.parametrize(
    "flag", ["--no-match-protocol", "--no_match_protocol", "--noMatchProtocol"]
)
def test_a_switch_may_be_negated(flag: str) -> None:
    assert not settings(flag, DSIEM_MATCH_PROTOCOL="true").match_protocol


def test_a_switch_does_not_take_the_operand_for_its_value() -> None:
    found, operands = parse(REPLAY, canonical(["--alarms", "events.ndjson", "-"]), {})
    assert found.alarms
    assert operands == ["events.ndjson", "-"]


def test_after_two_dashes_all_are_operands() -> None:
    _, operands = parse(REPLAY, canonical(["--alarms", "--", "-n", "--alarms"]), {})
    assert operands == ["-n", "--alarms"]


def test_lists_are_split_at_commas_and_trimmed() -> None:
    assert settings("--tags", " A b ,, C ").tags == ("A b", "C")


@pytest.mark.parametrize("line", ["tags: A b, C", "tags = [A b, C]", 'tags: ["A b", "C"]'])
def test_lists_in_the_file(line: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(line + "\n")
    assert settings("--settings", str(tmp_path / "s")).tags == ("A b", "C")


def test_an_empty_key_in_the_file_is_unset(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("min-alarm-lifetime:\n")
    assert settings("--settings", str(tmp_path / "s")) == Settings()


def test_one_file_serves_every_verb(file: Path) -> None:
    assert settings("--settings", str(file), verb=VALIDATE).node == ""


def test_a_key_that_is_no_setting_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("nodes: x\n")
    assert "there is no setting 'nodes'" in fault("--settings", str(tmp_path / "s"))


def test_a_file_that_is_not_utf8_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"node: \xff\n")
    assert "is not UTF-8" in fault("--settings", str(tmp_path / "s"))


def test_a_missing_file_is_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as caught:
        settings("--settings", str(tmp_path / "none"))
    assert caught.value.exit_code == MISSING


@pytest.mark.parametrize(
    ("flag", "text", "right"),
    [
        ("--min-alarm-lifetime", "-1", "a whole number from 0 up"),
        ("--min-alarm-lifetime", "1.5", "a whole number from 0 up"),
        ("--min-alarm-lifetime", "", "a whole number from 0 up"),
        ("--min-alarm-lifetime", "9" * 5000, "a whole number from 0 up"),
        ("--min-alarm-lifetime", "1_0", "a whole number from 0 up"),
        ("--med-risk-min", "1", "a whole number from 2 to 8"),
        ("--med-risk-max", "10", "a whole number from 3 to 9"),
        ("--match-protocol", "maybe", "true or false"),
        ("--format", "xml", "text or json"),
        ("--status", " , ", "one or more texts with commas between them"),
        ("--config-dir", "", "a path"),
    ],
)
def test_a_wrong_value_is_named_with_its_flag_and_what_is_right(
    flag: str, text: str, right: str
) -> None:
    assert fault(f"{flag}={text}") == f"{flag} is {text!r}, should be {right}"


def test_a_wrong_value_is_named_with_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("medRiskMin: x\n")
    variable = fault(DSIEM_MEDRISKMIN="x")
    assert variable.startswith("DSIEM_MEDRISKMIN (--med-risk-min) is 'x', should be")
    key = fault("--settings", str(tmp_path / "s"))
    assert key.startswith(f"med-risk-min in {tmp_path / 's'} (--med-risk-min) is 'x', should be")
    flag = fault("--med-risk-min", "y", DSIEM_MEDRISKMIN="x")
    assert flag.startswith("--med-risk-min is 'y', should be")


@pytest.mark.parametrize(("least", "most"), [(2, 9), (2, 3), (8, 9)])
def test_medium_risk_at_its_limits(least: int, most: int) -> None:
    found = settings(f"--med-risk-min={least}", f"--med-risk-max={most}")
    assert (found.med_risk_min, found.med_risk_max) == (least, most)


@pytest.mark.parametrize(("least", "most"), [(5, 5), (6, 5)])
def test_medium_risk_must_be_a_range(least: int, most: int) -> None:
    message = fault(f"--med-risk-min={least}", DSIEM_MEDRISKMAX=str(most))
    assert f"is {least} and" in message
    assert f"is {most}, should be 2 <= med-risk-min < med-risk-max <= 9" in message


@pytest.mark.parametrize("flag", ["--nod", "--bogus", "-x", "--no-node", "--no-alarms=true"])
def test_no_abbreviations_and_no_unknown_flags(flag: str) -> None:
    assert "unrecognized arguments" in fault(flag)


def test_a_setting_of_another_verb_is_unknown() -> None:
    assert "unrecognized arguments: --node=x" in fault("--node=x", verb=VALIDATE)


def test_a_flag_without_its_value_is_named() -> None:
    with pytest.raises(UsageError, match="--node: expected one argument"):
        parse(REPLAY, canonical(["operand", "--node"]), {})


def test_no_flag_variable_or_short_option_means_two_settings() -> None:
    for names in (
        [row.env for row in TABLE.values()],
        [row.spec.short for row in TABLE.values() if row.spec.short],
    ):
        assert len(set(names)) == len(names)
