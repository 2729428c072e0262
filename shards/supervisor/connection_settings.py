"""Checks the settings of connections, beyond what their texts alone say.

A file of its own, since `serve --check` asks for it without the rest of a start.
"""

from collections.abc import Mapping

from shards.settings.otlp_endpoint import read_endpoint
from shards.settings.schema import UsageError
from shards.settings.settings import Settings


def check_connections(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raise UsageError if the service cannot start with its settings of NATS or OpenTelemetry."""
    if settings.mode == "cluster-backend":
        _check_nats(settings)
    if settings.has_telemetry:
        _check_telemetry(settings, environ)


def _check_nats(settings: Settings) -> None:
    from shards.sources import nats_connection  # noqa: PLC0415 - standalone needs no NATS

    try:
        nats_connection.check_settings(settings)
    except nats_connection.NatsSettingsError as error:
        raise UsageError(str(error)) from error


def _check_telemetry(settings: Settings, environ: Mapping[str, str]) -> None:
    from shards import http_client  # noqa: PLC0415 - a large library

    try:
        http_client.parse_server_url(read_endpoint(settings, environ).url)
    except http_client.HttpClientError as error:
        raise UsageError(str(error)) from error
