"""Where telemetry is exported to, and the variables that OpenTelemetry defines."""

import pytest

from shards.settings.otlp_endpoint import OtlpEndpoint, grpc_port_warning, read_endpoint
from shards.settings.schema import UsageError
from shards.settings.settings import Settings

ENDPOINT, HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"


def test_the_setting_overrides_the_variable_and_that_the_default() -> None:
    ours = Settings(otel_endpoint="http://ours:4318")
    theirs = {ENDPOINT: "https://theirs", "OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem"}
    assert read_endpoint(ours, theirs).url == "http://ours:4318"
    assert read_endpoint(Settings(), theirs) == OtlpEndpoint("https://theirs", {}, "ca.pem")
    assert read_endpoint(Settings(), {ENDPOINT: ""}).url == "http://localhost:4318"


def test_headers_are_read_and_never_shown() -> None:
    endpoint = read_endpoint(Settings(), {HEADERS: "a=b%2Cc, Authorization = Basic%20eA== ,"})
    assert endpoint.headers == {"a": "b,c", "Authorization": "Basic eA=="}
    assert "eA" not in repr(endpoint)


@pytest.mark.parametrize("text", ["s3cr3t", "a=", "a b=s3cr3t", "a=s3cr3t%0Ax", "a=s3cr3tä"])
def test_a_wrong_header_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(UsageError, match="number 2: should be like name=value") as refused:
        read_endpoint(Settings(), {HEADERS: f"x=y,{text}"})
    assert "s3cr3t" not in str(refused.value)


def test_a_wrong_url_in_the_variable_is_refused() -> None:
    with pytest.raises(UsageError, match=f"{ENDPOINT} is no URL"):
        read_endpoint(Settings(), {ENDPOINT: "otel-collector:4318"})


@pytest.mark.parametrize(
    ("endpoint", "variable", "expected"),
    [
        ("http://otel-collector:4317", "", "expect at http://otel-collector:4318"),
        ("", "http://user:s3cr3t@c:4317", f"{ENDPOINT} has port 4317"),
        ("https://[::1]:4317", "", "expect at https://[::1]:4318"),
        ("http://c:4318", "http://c:4317", ""),
        ("http://c:port", "", ""),
        ("", "", ""),
    ],
    ids=["peer", "variable", "IPv6", "right", "invalid", "default"],
)
def test_the_port_of_grpc_is_warned_of(endpoint: str, variable: str, expected: str) -> None:
    settings = Settings(otel_endpoint=endpoint, otel_tracing_enabled=True)
    text = grpc_port_warning(settings, {ENDPOINT: variable})
    assert expected in text
    assert bool(text) == bool(expected)
    assert "s3cr3t" not in text
    assert grpc_port_warning(Settings(otel_endpoint=endpoint), {ENDPOINT: variable}) == ""
