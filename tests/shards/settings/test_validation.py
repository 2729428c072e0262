"""Checks over several settings, derived settings, and warnings."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from shards.settings.schema import parse_time
from shards.settings.settings import Settings
from shards.settings.validation import settings_warnings
from tests.support.settings_parsing import SERVE, fault, origins, serve, settings


def warnings_of(*arguments: str, **environ: str) -> list[str]:
    """The warnings for arguments and variables of serve."""
    return settings_warnings(serve(*arguments, **environ), environ)


@pytest.mark.parametrize(("least", "most"), [(2, 9), (2, 3), (8, 9)])
def test_medium_risk_at_its_limits(least: int, most: int) -> None:
    found = settings(f"--med-risk-min={least}", f"--med-risk-max={most}")
    assert (found.med_risk_min, found.med_risk_max) == (least, most)


@pytest.mark.parametrize(("least", "most"), [(5, 5), (6, 5)])
def test_medium_risk_must_be_a_range(least: int, most: int) -> None:
    message = fault(f"--med-risk-min={least}", DSIEM_MEDRISKMAX=str(most))
    assert f"is {least} and" in message
    assert f"is {most}, should be 2 <= med-risk-min < med-risk-max <= 9" in message


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
    shown = fault(command=SERVE, **environ)
    assert shown.startswith("--node (DSIEM_NODE) is empty, should be the name of this node")
    assert why in shown


def test_replay_does_not_care_for_the_mode() -> None:
    found = settings("--node=n1", DSIEM_MODE="cluster-backend", DSIEM_MSQ="nats://n")
    assert found == Settings(node="n1")
    assert settings(DSIEM_MODE="cluster-backend", DSIEM_FRONTEND="wrong") == Settings()


def test_a_stream_is_read_by_a_cluster_backend() -> None:
    assert serve("--node=n1", "--stream=EVENTS").stream == "EVENTS"
    shown = fault("--stream=EVENTS", command=SERVE)
    assert shown.startswith(
        "--stream (DSIEM_STREAM) is EVENTS, and the mode is standalone (default)"
    )
    shown = fault("--mode=standalone", command=SERVE, DSIEM_STREAM="EVENTS")
    assert "the mode is standalone (flag --mode)" in shown


def test_a_frontend_is_polled_by_a_cluster_backend() -> None:
    assert serve("--node=n1", "--frontend-poll=60").frontend_poll == 60
    assert serve("--frontend-poll=0").frontend_poll == 0
    shown = fault("--frontend-poll=60", command=SERVE)
    assert (
        "--frontend-poll (DSIEM_FRONTEND_POLL) is 60, and the mode is standalone (default)"
    ) in shown
    assert "there is --watch" in shown
    assert "should be a whole number from 0" in fault("--frontend-poll=-1", command=SERVE)


def test_a_stream_needs_checkpoints() -> None:
    shown = fault("--node=n1", "--stream=EVENTS", "--checkpoint-interval=0", command=SERVE)
    assert shown.startswith("--checkpoint-interval (DSIEM_CHECKPOINT_INTERVAL) is 0")
    assert serve("--node=n1", "--checkpoint-interval=0").stream == ""
    assert serve("--node=n1", "--stream=E", "--checkpoint-interval=1").checkpoint_interval == 1


@pytest.mark.parametrize("name", ["a b", "a.b", "a*", ">", "a/b", "a\\b", "a\tb", "a\n"])
def test_a_name_that_no_stream_can_have(name: str) -> None:
    assert "should be the name of a stream" in fault("--node=n1", command=SERVE, DSIEM_STREAM=name)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:30", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31 12:30:05Z", datetime(2026, 1, 31, 12, 30, 5, tzinfo=UTC)),
        ("2026-01-31T12:30:05.25Z", datetime(2026, 1, 31, 12, 30, 5, 250_000, tzinfo=UTC)),
        (
            "2026-01-31T12:30:05+07:00",
            datetime(2026, 1, 31, 12, 30, 5, tzinfo=timezone(timedelta(hours=7))),
        ),
    ],
)
def test_a_stream_can_be_read_from_a_time(text: str, time: datetime) -> None:
    found = serve("--node=n1", "--stream=E", "--stream-from", text)
    assert found.stream_from == text
    assert parse_time(text) == time


@pytest.mark.parametrize(
    "text",
    [
        *("", "newest", "All", "2026", "2026-13-01", "2026-02-30", "2026-01-31T25:00", "12:00"),
        *("2026-01-31T12:00:00+99:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        *("٢٠٢٦-01-31", "yesterday", "2026-01-31T12:00:00Z\n"),
    ],
)
def test_where_a_stream_cannot_be_read_from(text: str) -> None:
    shown = fault("--node=n1", "--stream=E", f"--stream-from={text}", command=SERVE)
    assert "stream-from" in shown
    assert "should be new, all, or a time like 2026-01-31T12:00:00Z" in shown


def test_what_kubernetes_puts_there_is_no_port() -> None:
    assert serve(DSIEM_PORT="tcp://10.0.0.1:8080").port == 8080
    assert "DSIEM_PORT" in fault(command=SERVE, DSIEM_PORT="http")


def test_usual_settings_are_not_warned_of() -> None:
    assert warnings_of() == []
    assert warnings_of(DSIEM_MAXQUEUE="5", DSIEM_ALARMS="true", DSIEM_SETTINGS="", HOME="/") == []


def test_variables_without_effect_are_named_in_one_warning() -> None:
    (text,) = warnings_of(
        DSIEM_PPROF="cpu",
        DSIEM_APM="false",
        DSIEM_MAX_QUEUE="9",
        DSIEM_QWXZ="?",
        DSIEM_WEBSOCKET="",
    )
    assert text.split(": ", 1)[1].split("), ") == [
        "DSIEM_APM (not supported",
        "DSIEM_MAX_QUEUE (unknown, did you mean DSIEM_MAXQUEUE?",
        "DSIEM_PPROF (not supported",
        "DSIEM_QWXZ (unknown)",
    ]


@pytest.mark.parametrize("feature", ["APM", "PPROF", "WEBSOCKET", "WRITEABLECONFIG", "MINEPS"])
def test_features_of_the_peers_are_not_called_unknown(feature: str) -> None:
    name = f"DSIEM_{feature}"
    assert settings_warnings(Settings(), {name: "1"}) == [
        f"variables without effect: {name} (not supported)"
    ]


def test_what_kubernetes_puts_there_is_not_warned_of() -> None:
    assert (
        warnings_of(
            DSIEM_PORT="tcp://10.0.0.1:8080",
            DSIEM_SERVICE_HOST="10.0.0.1",
            DSIEM_SERVICE_PORT="8080",
            DSIEM_SERVICE_PORT_HTTP="8080",
            DSIEM_PORT_8080_TCP="tcp://10.0.0.1:8080",
            DSIEM_PORT_8080_TCP_ADDR="10.0.0.1",
            DSIEM_NATS_PORT="tcp://10.0.0.2:4222",
            DSIEM_NATS_SERVICE_HOST="10.0.0.2",
        )
        == []
    )


def test_a_queue_without_limit_is_warned_of() -> None:
    assert ["memory" in text for text in warnings_of("-q0")] == [True]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_an_address_of_this_machine_only_needs_no_token(address: str) -> None:
    assert warnings_of("--address", address) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.0.1", "siem.example.com"])
def test_an_open_address_without_a_token_is_warned_of(address: str) -> None:
    (text,) = warnings_of("--address", address)
    assert text.startswith(f"--address is {address} and there is no --api-token")
    assert warnings_of("--address", address, DSIEM_API_TOKEN="t") == []
    assert warnings_of("--address", address, "--node=n1") == []  # listens on no address


def test_warnings_need_no_command_line() -> None:
    assert len(settings_warnings(Settings(address="0.0.0.0", max_queue=0), {"DSIEM_APM": "1"})) == 3


def test_telemetry_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve(DSIEM_OTEL_TRACING_ENABLED="true").has_telemetry
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    shown = fault(command=SERVE, DSIEM_OTEL_METRICS_ENABLED="true")
    assert "--otel-metrics-enabled (DSIEM_OTEL_METRICS_ENABLED) is true" in shown
    assert "pip install 'dsiem-shards[otel]'" in shown
    assert not serve().has_telemetry
