"""Where telemetry is exported to: the settings, and the variables that OpenTelemetry defines."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from shards.settings.schema import URL, UsageError
from shards.settings.settings import Settings

DEFAULT_ENDPOINT = "http://localhost:4318"
_ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
_CA_VARIABLE = "OTEL_EXPORTER_OTLP_CERTIFICATE"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_GRPC_PORT, _HTTP_PORT = 4317, 4318


class OtlpEndpoint(Struct, frozen=True):
    """A collector: its URL, the headers of each request, and a file of CA certificates, or ""."""

    url: str
    headers: Mapping[str, str]
    ca: str = ""

    def __repr__(self) -> str:
        """Without URL and headers, which hold secrets."""
        return f"{type(self).__name__}()"


def read_endpoint(settings: Settings, environ: Mapping[str, str]) -> OtlpEndpoint:
    """The endpoint of the settings and variables; UsageError, which holds no secret."""
    url = settings.otel_endpoint or environ.get(_ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT
    if not re.fullmatch(URL, url):
        raise UsageError(f"{_ENDPOINT_VARIABLE} is no URL, should be one like {DEFAULT_ENDPOINT}")
    headers = dict(_parse_headers(environ.get(_HEADERS_VARIABLE, "")))
    return OtlpEndpoint(url, headers, environ.get(_CA_VARIABLE, ""))


def _parse_headers(text: str) -> list[tuple[str, str]]:
    """Headers like `name=value,name=value`, whose values have special characters as %20."""
    headers: list[tuple[str, str]] = []
    for item in filter(None, map(str.strip, text.split(","))):
        name, _, value = item.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise UsageError(
                f"{_HEADERS_VARIABLE} has a header that is wrong, number {len(headers) + 1}: should"
                " be like name=value,name=value, with special characters of a value as %2C"
            )
        headers.append((name, value))
    return headers


def grpc_port_warning(settings: Settings, environ: Mapping[str, str]) -> str:
    """What to say if the endpoint has the port of OTLP over gRPC; or ""."""
    url = settings.otel_endpoint or environ.get(_ENDPOINT_VARIABLE, "")
    try:
        parts = urlsplit(url)
        is_grpc = parts.port == _GRPC_PORT
    except ValueError:
        return ""
    if not (settings.has_telemetry and is_grpc):
        return ""
    name = "--otel-endpoint (DSIEM_OTEL_ENDPOINT)" if settings.otel_endpoint else _ENDPOINT_VARIABLE
    host = parts.netloc.rpartition("@")[2].removesuffix(f":{_GRPC_PORT}")
    right = f"{parts.scheme}://{host}:{_HTTP_PORT}"
    return (
        f"{name} has port {_GRPC_PORT}, where collectors usually expect gRPC: telemetry is sent"
        f" over HTTP, which they expect at {right}"
    )
