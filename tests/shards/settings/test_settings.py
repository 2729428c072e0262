"""Settings: precedence, spellings, values, and what a wrong one is answered with."""

import os
import pickle
from pathlib import Path

import pytest

from shards.settings.command_line import Command, canonical_arguments, parse_command
from shards.settings.schema import MISSING, USAGE, Origin, Setting, UsageError
from shards.settings.settings import SETTINGS_TABLE, Settings, settings_of

REPLAY = Command("replay", "help", "EVENTS", "help")
VALIDATE = Command("validate", "help", "PATH", "help")
SERVE = Command("serve", "help")


def settings(*arguments: str, verb: Command = REPLAY, **environ: str) -> Settings:
    """Return what the arguments and variables give, with one operand that is not looked at."""
    operands = ["operand"] if verb.operands else []
    parsed = parse_command(verb, canonical_arguments([*arguments, *operands]), environ)
    assert parsed.operands == operands
    return parsed.settings


def serve(*arguments: str, **environ: str) -> Settings:
    """Return the same for serve."""
    return settings(*arguments, verb=SERVE, **environ)


def origins(*arguments: str, **environ: str) -> dict[str, str]:
    """Return where each setting of serve that is not a default came from, in words."""
    parsed = parse_command(SERVE, canonical_arguments(arguments), environ)
    assert list(parsed.origins) == [row.name for row in settings_of("serve")]
    found = {name: str(origin) for name, origin in parsed.origins.items()}
    return {name: words for name, words in found.items() if words != "default"}


def fault(*arguments: str, verb: Command = REPLAY, **environ: str) -> str:
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
        frontend="http://frontend:8080",
        msq="nats://dsiem-nats:4222",
        max_eps=1000,
        cache=10,
        max_queue=25000,
        hold_duration=10,
        max_delay=180,
        intel_private_ip=False,
        reload_backlogs=True,
        checkpoint_interval=5,
        frontend_wait=30,
        nats_creds="",
        nats_tls_ca="",
        nats_tls_cert="",
        nats_tls_key="",
        nats_monitor="",
        mode="standalone",
        address="127.0.0.1",
        port=8080,
        workers=max(1, len(os.sched_getaffinity(0)) - 1),
        max_future=3600,
        expiry_grace=10,
        shutdown_timeout=8,
        api_token="",
        check=False,
        debug=False,
        trace=False,
        json=False,
    )
    assert serve() == settings()


def test_settings_go_to_another_process_as_they_are() -> None:
    found = serve("--node=n1", "--api-token=hunter2", "--tags=A,B")
    assert pickle.loads(pickle.dumps(found)) == found


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


Variable = tuple[str, str, str, object]
VARIABLES: list[Variable] = [
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
]
VARIABLES_OF_SERVE: list[Variable] = [
    ("DSIEM_FRONTEND", "frontend", "https://f:1", "https://f:1"),
    ("DSIEM_MSQ", "msq", "nats://n:1", "nats://n:1"),
    ("DSIEM_MAXEPS", "max_eps", "1", 1),
    ("DSIEM_CACHEDURATION", "cache", "0", 0),
    ("DSIEM_MAXQUEUE", "max_queue", "0", 0),
    ("DSIEM_HOLDDURATION", "hold_duration", "3", 3),
    ("DSIEM_MAXDELAY", "max_delay", "0", 0),
    ("DSIEM_INTELPRIVATEIP", "intel_private_ip", "T", True),
    ("DSIEM_RELOAD_BACKLOGS", "reload_backlogs", "False", False),
    ("DSIEM_CHECKPOINT_INTERVAL", "checkpoint_interval", "0", 0),
    ("DSIEM_FRONTEND_WAIT", "frontend_wait", "0", 0),
    ("DSIEM_NATS_CREDS", "nats_creds", "/c", "/c"),
    ("DSIEM_NATS_TLS_CA", "nats_tls_ca", "/a", "/a"),
    ("DSIEM_NATS_TLS_CERT", "nats_tls_cert", "/b", "/b"),
    ("DSIEM_NATS_TLS_KEY", "nats_tls_key", "/k", "/k"),
    ("DSIEM_NATS_MONITOR", "nats_monitor", "http://n:8222", "http://n:8222"),
    ("DSIEM_MODE", "mode", "cluster-backend", "cluster-backend"),
    ("DSIEM_ADDRESS", "address", "0.0.0.0", "0.0.0.0"),
    ("DSIEM_PORT", "port", "0", 0),
    ("DSIEM_WORKERS", "workers", "7", 7),
    ("DSIEM_MAX_FUTURE", "max_future", "0", 0),
    ("DSIEM_EXPIRY_GRACE", "expiry_grace", "0", 0),
    ("DSIEM_SHUTDOWN_TIMEOUT", "shutdown_timeout", "1", 1),
    ("DSIEM_API_TOKEN", "api_token", "t0k=n", "t0k=n"),
    ("DSIEM_CHECK", "check", "true", True),
    ("DSIEM_LOOKUP_PROXY", "lookup_proxy", "http://p:3128", "http://p:3128"),
    ("DSIEM_LOOKUP_CA", "lookup_ca", "ca.pem", "ca.pem"),
    ("DSIEM_CLUSTER_SIZE", "cluster_size", "1", 1),
    ("DSIEM_CLUSTER_INDEX", "cluster_index", "0", "0"),
    ("DSIEM_OPS_ADDRESS", "ops_address", "0.0.0.0", "0.0.0.0"),
    ("DSIEM_OPS_PORT", "ops_port", "0", 0),
    ("DSIEM_METRICS_PER_DIRECTIVE", "metrics_per_directive", "true", True),
]


@pytest.mark.parametrize(("variable", "name", "text", "value"), VARIABLES)
def test_variables(variable: str, name: str, text: str, value: object) -> None:
    assert getattr(parse_command(REPLAY, ["operand"], {variable: text}).settings, name) == value
    assert getattr(parse_command(SERVE, [], {variable: text}).settings, name) == value


@pytest.mark.parametrize(("variable", "name", "text", "value"), VARIABLES_OF_SERVE)
def test_variables_of_serve(variable: str, name: str, text: str, value: object) -> None:
    assert getattr(parse_command(SERVE, ["--node=n1"], {variable: text}).settings, name) == value


def test_every_variable_of_serve_is_tried_above() -> None:
    tried = [variable for variable, *_ in VARIABLES + VARIABLES_OF_SERVE]
    assert sorted(tried) == sorted(row.env for row in settings_of("serve"))


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
    parsed = parse_command(REPLAY, canonical_arguments(["--alarms", "events.ndjson", "-"]), {})
    assert parsed.settings.alarms
    assert parsed.operands == ["events.ndjson", "-"]


def test_after_two_dashes_all_are_operands() -> None:
    parsed = parse_command(REPLAY, canonical_arguments(["--alarms", "--", "-n", "--alarms"]), {})
    assert parsed.operands == ["-n", "--alarms"]


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


@pytest.mark.parametrize(
    ("flag", "text", "right"),
    [
        ("--workers", "0", "a whole number from 1 up"),
        ("--max-eps", "0", "a whole number from 1 up"),
        ("--max-queue", "-1", "a whole number from 0 up"),
        ("--shutdown-timeout", "0", "a whole number from 1 up"),
        ("--port", "65536", "a whole number from 0 to 65535"),
        ("--port", "-1", "a whole number from 0 to 65535"),
        ("--mode", "cluster-frontend", "standalone or cluster-backend"),
        ("--frontend", "frontend:8080", "a URL like http://frontend:8080"),
        ("--frontend", "", "a URL like http://frontend:8080"),
        ("--msq", "", "a URL like nats://dsiem-nats:4222"),
        ("--address", "http://x", "an IP address or a host name"),
    ],
)
def test_a_wrong_value_of_serve(flag: str, text: str, right: str) -> None:
    assert fault(f"{flag}={text}", verb=SERVE) == f"{flag} is {text!r}, should be {right}"


@pytest.mark.parametrize("token", ["hunter2\n", "hunter 2", "hünter2"])
def test_a_wrong_secret_is_not_shown(token: str) -> None:
    assert fault(verb=SERVE, DSIEM_API_TOKEN=token) == (
        "DSIEM_API_TOKEN (--api-token) is '***', "
        "should be visible ASCII characters, no blanks or line ends"
    )
    shown = fault(verb=SERVE, DSIEM_FRONTEND=f"ftp://user:{token}@host")
    assert "is 'ftp://***@host', should be" in shown


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
        parse_command(REPLAY, canonical_arguments(["operand", "--node"]), {})


def test_no_flag_variable_or_short_option_means_two_settings() -> None:
    for names in (
        [row.env for row in SETTINGS_TABLE.values()],
        [row.spec.short for row in SETTINGS_TABLE.values() if row.spec.short],
    ):
        assert len(set(names)) == len(names)


def test_serve_has_no_operands() -> None:
    assert "unrecognized arguments: x" in fault("x", verb=SERVE)


@pytest.mark.parametrize(
    ("arguments", "mode", "origin"),
    [
        ("", "standalone", "default"),
        ("--node=n1", "cluster-backend", "derived from --node"),
        ("--node=n1 --frontend=http://f", "cluster-backend", "derived from --frontend"),
        ("--node=n1 --msq=nats://n", "cluster-backend", "derived from --node"),
        ("--node=n1 --frontend=http://frontend:8080", "cluster-backend", "derived from --frontend"),
        ("--node=", "standalone", "default"),
        ("--node=n1 --msq=nats://n --mode=standalone", "standalone", "flag --mode"),
        ("--node=n1 --mode=cluster-backend", "cluster-backend", "flag --mode"),
    ],
)
def test_the_mode_is_as_given_else_by_what_was_given(
    arguments: str, mode: str, origin: str
) -> None:
    assert serve(*arguments.split()).mode == mode
    assert origins(*arguments.split()).get("mode", "default") == origin


def test_the_mode_follows_a_variable_and_a_file_too(file: Path) -> None:
    assert serve(DSIEM_NODE="n1").mode == "cluster-backend"
    assert serve("--settings", str(file)).mode == "cluster-backend"
    assert serve("--settings", str(file), DSIEM_MODE="standalone").mode == "standalone"


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"DSIEM_FRONTEND": "http://f"}, "derived from --frontend"),
        ({"DSIEM_MSQ": "nats://n"}, "derived from --msq"),
        ({"DSIEM_MODE": "cluster-backend"}, "variable DSIEM_MODE"),
    ],
)
def test_a_cluster_backend_needs_a_node(environ: dict[str, str], why: str) -> None:
    shown = fault(verb=SERVE, **environ)
    assert shown.startswith("--node (DSIEM_NODE) is empty, should be the name of this node")
    assert why in shown


def test_replay_does_not_care_for_the_mode() -> None:
    found = settings("--node=n1", DSIEM_MODE="cluster-backend", DSIEM_MSQ="nats://n")
    assert found == Settings(node="n1")
    assert settings(DSIEM_MODE="cluster-backend", DSIEM_FRONTEND="wrong") == Settings()


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


def test_what_kubernetes_puts_there_is_no_port() -> None:
    assert serve(DSIEM_PORT="tcp://10.0.0.1:8080").port == 8080
    assert "DSIEM_PORT" in fault(verb=SERVE, DSIEM_PORT="http")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://host:4222", "nats://host:4222"),
        ("nats://user:pass@host:4222", "nats://***@host:4222"),
        ("nats://token@host", "nats://***@host"),
        ("user:pass@host", "***@host"),
        ("nats://u:p@a:1,tls://v:q@b:2", "nats://***@a:1,tls://***@b:2"),
        ("nats://a:1,nats://v:q@b:2", "nats://a:1,nats://***@b:2"),
        ("nats://u:p@ss,w/rd@host", "nats://***@host"),
        ("a:1,u:p@b:2", "***@b:2"),
        ("", ""),
    ],
)
def test_who_logs_in_is_never_shown(url: str, shown: str) -> None:
    assert SETTINGS_TABLE["msq"].spec.redact(url) == shown


def test_settings_show_no_secret_in_a_log() -> None:
    shown = repr(Settings(api_token="hunter2", msq="nats://u:hunter2@h", node="n1"))
    assert "hunter2" not in shown
    assert "api_token='***'" in shown
    assert "msq='nats://***@h'" in shown
    assert "node='n1'" in shown


@pytest.mark.parametrize("row", SETTINGS_TABLE.values(), ids=SETTINGS_TABLE)
def test_no_name_of_a_setting_is_that_of_another(row: Setting) -> None:
    names = [row.flag, *(f"--{alias}" for alias in row.spec.aliases), row.spec.short]
    for name in filter(None, names):
        assert canonical_arguments([f"{name}=1"]) == [f"{row.flag}=1"]
