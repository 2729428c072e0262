"""The settings: defaults, variables, and secrets that are not shown."""

import pickle
from pathlib import Path

import pytest

from shards.settings.command_line import parse_command
from shards.settings.cpu_limit import usable_cpus
from shards.settings.schema import Setting, UsageError
from shards.settings.settings import SETTINGS_TABLE, Settings, settings_of
from shards.settings.spellings import canonical_arguments
from tests.support.settings_parsing import REPLAY, SERVE, serve, settings


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
        frontend_poll=0,
        watch=False,
        nats_creds="",
        nats_tls_ca="",
        nats_tls_cert="",
        nats_tls_key="",
        nats_monitor="",
        stream="",
        stream_create=False,
        stream_max_age=24,
        stream_max_bytes=10_000_000_000,
        stream_from="new",
        mode="standalone",
        address="127.0.0.1",
        port=8080,
        workers=max(1, usable_cpus() - 1),
        max_future=60,
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


Variable = tuple[str, str, str, object]

VARIABLES: list[Variable] = [
    ("DSIEM_NODE", "node", "n1", "n1"),
    ("DSIEM_MINALARMLIFETIME", "min_alarm_lifetime", "5", 5),
    ("DSIEM_OUT_OF_ORDER_TOLERANCE", "out_of_order_tolerance", "300", 300),
    ("DSIEM_REPEAT_WINDOW", "repeat_window", "60", 60),
    ("DSIEM_MEDRISKMIN", "med_risk_min", "4", 4),
    ("DSIEM_MEDRISKMAX", "med_risk_max", "7", 7),
    ("DSIEM_STATUS", "status", "New", ("New",)),
    ("DSIEM_TAGS", "tags", "A,B", ("A", "B")),
    ("DSIEM_CONFIG_DIR", "config_dir", "/c", Path("/c")),
    ("DSIEM_LOG_DIR", "log_dir", "/l", Path("/l")),
    ("DSIEM_MATCH_PROTOCOL", "match_protocol", "true", True),
    ("DSIEM_LENIENT_DIRECTIVES", "lenient_directives", "1", True),
    ("DSIEM_STRICT_LOOKUPS", "strict_lookups", "true", True),
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
    ("DSIEM_RETAIN_BYTES", "retain_bytes", "1048576", 1 << 20),
    ("DSIEM_HOLDDURATION", "hold_duration", "3", 3),
    ("DSIEM_MAXDELAY", "max_delay", "0", 0),
    ("DSIEM_INTELPRIVATEIP", "intel_private_ip", "T", True),
    ("DSIEM_RELOAD_BACKLOGS", "reload_backlogs", "False", False),
    ("DSIEM_CHECKPOINT_INTERVAL", "checkpoint_interval", "0", 0),
    ("DSIEM_FRONTEND_WAIT", "frontend_wait", "0", 0),
    ("DSIEM_FRONTEND_POLL", "frontend_poll", "60", 60),
    ("DSIEM_WATCH", "watch", "true", True),
    ("DSIEM_NATS_CREDS", "nats_creds", "/c", "/c"),
    ("DSIEM_NATS_TLS_CA", "nats_tls_ca", "/a", "/a"),
    ("DSIEM_NATS_TLS_CERT", "nats_tls_cert", "/b", "/b"),
    ("DSIEM_NATS_TLS_KEY", "nats_tls_key", "/k", "/k"),
    ("DSIEM_NATS_MONITOR", "nats_monitor", "http://n:8222", "http://n:8222"),
    ("DSIEM_SPOOL", "spool", "true", True),
    ("DSIEM_STREAM", "stream", "EVENTS_1", "EVENTS_1"),
    ("DSIEM_STREAM_CREATE", "stream_create", "true", True),
    ("DSIEM_STREAM_MAX_AGE", "stream_max_age", "0", 0),
    ("DSIEM_STREAM_MAX_BYTES", "stream_max_bytes", "0", 0),
    ("DSIEM_STREAM_FROM", "stream_from", "all", "all"),
    ("DSIEM_MODE", "mode", "cluster-backend", "cluster-backend"),
    ("DSIEM_ADDRESS", "address", "0.0.0.0", "0.0.0.0"),
    ("DSIEM_PORT", "port", "0", 0),
    ("DSIEM_WORKERS", "workers", "7", 7),
    ("DSIEM_MAX_FUTURE", "max_future", "0", 0),
    ("DSIEM_EXPIRY_GRACE", "expiry_grace", "0", 0),
    ("DSIEM_SHUTDOWN_TIMEOUT", "shutdown_timeout", "1", 1),
    ("DSIEM_HANG_TIMEOUT", "hang_timeout", "0", 0),
    ("DSIEM_API_TOKEN", "api_token", "t0k=n", "t0k=n"),
    ("DSIEM_CHECK", "check", "true", True),
    ("DSIEM_LOOKUP_PROXY", "lookup_proxy", "http://p:3128", "http://p:3128"),
    ("DSIEM_LOOKUP_CA", "lookup_ca", "ca.pem", "ca.pem"),
    ("DSIEM_CLUSTER_SIZE", "cluster_size", "1", 1),
    ("DSIEM_CLUSTER_INDEX", "cluster_index", "0", "0"),
    ("DSIEM_OPS_ADDRESS", "ops_address", "0.0.0.0", "0.0.0.0"),
    ("DSIEM_OPS_PORT", "ops_port", "0", 0),
    ("DSIEM_CONSOLE", "console", "false", False),
    ("DSIEM_EVENT_LINK", "event_link", "http://k/{event_id}", "http://k/{event_id}"),
    ("DSIEM_METRICS_PER_DIRECTIVE", "metrics_per_directive", "true", True),
    ("DSIEM_OTEL_TRACING_ENABLED", "otel_tracing_enabled", "true", True),
    ("DSIEM_OTEL_METRICS_ENABLED", "otel_metrics_enabled", "true", True),
    ("DSIEM_OTEL_ENDPOINT", "otel_endpoint", "http://o:4318", "http://o:4318"),
    ("DSIEM_OTEL_SAMPLE", "otel_sample", "1", 1),
    ("DSIEM_OTEL_INTERVAL", "otel_interval", "1", 1),
]


@pytest.mark.parametrize(("variable", "name", "text", "value"), VARIABLES)
def test_variables(variable: str, name: str, text: str, value: object) -> None:
    assert getattr(parse_command(REPLAY, ["operand"], {variable: text}).settings, name) == value
    assert getattr(parse_command(SERVE, [], {variable: text}).settings, name) == value


@pytest.mark.parametrize(("variable", "name", "text", "value"), VARIABLES_OF_SERVE)
def test_variables_of_serve(variable: str, name: str, text: str, value: object) -> None:
    flag = "--mode=standalone" if name == "spool" else "--node=n1"
    assert getattr(parse_command(SERVE, [flag], {variable: text}).settings, name) == value


def test_every_variable_of_serve_is_tried_above() -> None:
    tried = [variable for variable, *_ in VARIABLES + VARIABLES_OF_SERVE]
    assert sorted(tried) == sorted(row.env for row in settings_of("serve"))


def test_no_flag_variable_or_short_option_means_two_settings() -> None:
    for names in (
        [row.env for row in SETTINGS_TABLE.values()],
        [row.spec.short for row in SETTINGS_TABLE.values() if row.spec.short],
    ):
        assert len(set(names)) == len(names)


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


@pytest.mark.parametrize(
    "link",
    [
        "",
        "https://kibana:5601/app/discover#/doc/{event_id}",
        "http://k/?q={event_id}&alarm={alarm_id}&t={time}&again={event_id}",
    ],
)
def test_a_link_to_events_is_a_url_with_the_id_of_the_event(link: str) -> None:
    assert parse_command(SERVE, [f"--event-link={link}"], {}).settings.event_link == link


@pytest.mark.parametrize(
    "link",
    [
        "kibana/{event_id}",
        "javascript:alert('{event_id}')",
        "https://kibana/",
        "https://kibana/{id}",
        "https://kibana/{event_id}{other}",
        "https://kibana/{event_id",
        "https://kibana/{event_id} x",
    ],
)
def test_other_links_to_events_are_refused(link: str) -> None:
    with pytest.raises(UsageError, match=r"should be a URL with \{event_id\}, like https://"):
        parse_command(SERVE, [f"--event-link={link}"], {})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], True), (["--console=false"], False), (["--ops-port=0"], False)],
)
def test_the_console_needs_the_ops_port(flags: list[str], *, expected: bool) -> None:
    assert parse_command(SERVE, flags, {}).settings.has_console is expected
