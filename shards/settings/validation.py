"""Checks beyond a single value: combinations of settings, derived values, warnings, variables."""

import difflib
import importlib.util
import re
import socket
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from msgspec.structs import replace

from shards.settings.elasticsearch_validation import check_elasticsearch
from shards.settings.otlp_endpoint import grpc_port_warning
from shards.settings.schema import Origin, UsageError, parse_time
from shards.settings.settings import SETTINGS_TABLE, Settings

PREFIX = "DSIEM_"
SETTINGS_VARIABLE = "DSIEM_SETTINGS"
"""The variable that names the settings file; not a setting itself."""

_KNOWN_VARIABLES = {setting.env for setting in SETTINGS_TABLE.values()} | {SETTINGS_VARIABLE}
_UNSUPPORTED_VARIABLES = re.compile(
    r"DSIEM_(APM|DEV|DIRECTIVES_IDLE_TIMEOUT_MINUTES|FILTER_THREADS|MINEPS|PPROF"
    r"|PRELOAD_DIRECTIVES|WEB_\w+|WEBSOCKET|WRITEABLECONFIG)"
)
"""Variables of Dsiem, dsiem-backend and dsiem-rs for features that do not exist here."""
_SERVICE_VARIABLE = re.compile(
    r"DSIEM_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_\w+)?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")
"""Kubernetes sets such variables in every container of a namespace with a service named dsiem or
dsiem-…, DSIEM_PORT=tcp://10.0.0.1:8080 among them."""
_POD_ORDINAL = re.compile(r"-([0-9]{1,6})$")
"""The ordinal at the end of the name of a StatefulSet's pod."""


def set_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables without the empty ones and without those that Kubernetes sets for services."""
    return {
        name: value
        for name, value in environ.items()
        if value and not _is_service_variable(name, value)
    }


def _is_service_variable(name: str, value: str) -> bool:
    if _SERVICE_VARIABLE.fullmatch(name):
        return True
    is_port = name.startswith(PREFIX) and name.endswith("_PORT")
    return is_port and bool(_SERVICE_ADDRESS.fullmatch(value))


def derive_settings(
    settings: Settings, origins: Mapping[str, Origin]
) -> tuple[Settings, dict[str, Origin]]:
    """The settings with mode and cluster index derived, and their origins.

    UsageError for a contradiction between settings.
    """
    origins = dict(origins)
    _check_risk(settings)
    _check_ignored(settings, origins)
    check_elasticsearch(settings, origins)
    _check_telemetry(settings)
    if "mode" in origins:
        settings, origins["mode"] = _derive_mode(settings, origins)
        _check_node(settings, origins["mode"])
        settings, origins["cluster_index"] = _derive_index(settings, origins["cluster_index"])
        _check_stream(settings, origins)
        _check_spool(settings, origins)
        _check_poll(settings, origins)
    return settings, origins


def _check_risk(settings: Settings) -> None:
    least, most = settings.med_risk_min, settings.med_risk_max
    if least >= most:
        raise UsageError(
            f"--med-risk-min (DSIEM_MEDRISKMIN) is {least} and --med-risk-max (DSIEM_MEDRISKMAX)"
            f" is {most}, should be 2 <= med-risk-min < med-risk-max <= 9"
        )


def _check_ignored(settings: Settings, origins: Mapping[str, Origin]) -> None:
    """Every code to ignore must exist: with a misspelt one, nothing would be ignored."""
    if not settings.ignore:
        return
    from engine.finding_codes import CODES, nearest_code  # noqa: PLC0415 - `--help` loads no engine

    for code in settings.ignore:
        if code not in CODES:
            nearest = nearest_code(code)
            hint = f"; the nearest one is {nearest}" if nearest else ""
            name = origins["ignore"].name_of(SETTINGS_TABLE["ignore"])
            raise UsageError(f"{name} has {code!r}, should be a code of docs/lints.md{hint}")


def _check_telemetry(settings: Settings) -> None:
    if settings.has_telemetry and not _can_import("opentelemetry", "opentelemetry.proto"):
        traces = settings.otel_tracing_enabled
        name = SETTINGS_TABLE["otel_tracing_enabled" if traces else "otel_metrics_enabled"]
        raise UsageError(
            f"{name.flag} ({name.env}) is true, and the package opentelemetry-proto is not"
            " installed, should be: pip install 'dsiem-shards[otel]'"
        )


def _can_import(*packages: str) -> bool:
    """Whether a package is installed, which is given after those that it is in."""
    return all(importlib.util.find_spec(package) for package in packages)


def _derive_mode(settings: Settings, origins: Mapping[str, Origin]) -> tuple[Settings, Origin]:
    """The mode as given; else cluster-backend if a setting of a cluster was given."""
    if origins["mode"].kind == "default":
        for name in ("frontend", "node", "msq"):
            if origins[name].kind != "default" and getattr(settings, name):
                return replace(settings, mode="cluster-backend"), Origin("derived", f"--{name}")
    return settings, origins["mode"]


def _check_node(settings: Settings, origin: Origin) -> None:
    if settings.mode == "cluster-backend" and not settings.node:
        raise UsageError(
            f"--node (DSIEM_NODE) is empty, should be the name of this node: the mode is"
            f" cluster-backend ({origin})"
        )


def _derive_index(settings: Settings, origin: Origin) -> tuple[Settings, Origin]:
    """The cluster index as given; else the number at the end of the host name."""
    host = socket.gethostname()
    ordinal = _POD_ORDINAL.search(host)
    if settings.cluster_size > 1 and not settings.cluster_index and ordinal:
        settings = replace(settings, cluster_index=ordinal[1])
        origin = Origin("derived", f"the host name {host}")
    if settings.cluster_size > 1 and not settings.cluster_index:
        raise UsageError(
            "--cluster-index (DSIEM_CLUSTER_INDEX) is empty, should be a whole number from 0, since"
            f" --cluster-size is {settings.cluster_size}, and the host name {host} does not end in"
            " a hyphen and a number"
        )
    if settings.cluster_part >= settings.cluster_size:
        raise UsageError(
            f"--cluster-index (DSIEM_CLUSTER_INDEX) is {settings.cluster_part} ({origin}),"
            f" should be less than --cluster-size (DSIEM_CLUSTER_SIZE), {settings.cluster_size}:"
            " there are more services than parts of the directives, so this one would have"
            " nothing to do"
        )
    return settings, origin


def _check_stream(settings: Settings, origins: Mapping[str, Origin]) -> None:
    if settings.stream_from not in ("new", "all"):
        _check_time(settings.stream_from)
    if not settings.stream:
        return
    if settings.mode != "cluster-backend":
        raise UsageError(
            f"--stream (DSIEM_STREAM) is {settings.stream}, and the mode is {settings.mode}"
            f" ({origins['mode']}): a stream is read in the mode cluster-backend"
        )
    _check_interval(settings, "--stream")


def _check_spool(settings: Settings, origins: Mapping[str, Origin]) -> None:
    if not settings.spool:
        return
    if settings.mode != "standalone":
        raise UsageError(
            f"--spool (DSIEM_SPOOL) is given, and the mode is {settings.mode}"
            f" ({origins['mode']}): events over HTTP are spooled, for those over NATS there is"
            " --stream"
        )
    _check_interval(settings, "--spool")


def _check_poll(settings: Settings, origins: Mapping[str, Origin]) -> None:
    if settings.frontend_poll and settings.mode != "cluster-backend":
        raise UsageError(
            f"--frontend-poll (DSIEM_FRONTEND_POLL) is {settings.frontend_poll}, and the mode is"
            f" {settings.mode} ({origins['mode']}): a frontend is asked in the mode"
            " cluster-backend; for changes of the files there is --watch"
        )


def _check_interval(settings: Settings, flag: str) -> None:
    if not settings.checkpoint_interval:
        raise UsageError(
            "--checkpoint-interval (DSIEM_CHECKPOINT_INTERVAL) is 0, should be from 1 up with"
            f" {flag}: the checkpoint says where to read on"
        )


def _check_time(text: str) -> None:
    try:
        parse_time(text)
    except ValueError as error:
        raise UsageError(
            f"--stream-from (DSIEM_STREAM_FROM) is {text}, should be new, all, or a time like"
            f" 2026-01-31T12:00:00Z: {error}"
        ) from error


def settings_warnings(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Warnings about valid settings that are probably not intended, one line each."""
    return [
        *_unused_variables(environ),
        *_unbounded_queue(settings),
        *_open_access(settings),
        *filter(None, [grpc_port_warning(settings, environ)]),
    ]


def _unused_variables(environ: Mapping[str, str]) -> Iterator[str]:
    names = sorted(name for name in set_variables(environ) if name.startswith(PREFIX))
    unused = [f"{name} ({_why_unused(name)})" for name in names if name not in _KNOWN_VARIABLES]
    if unused:
        yield f"variables without effect: {', '.join(unused)}"


def _why_unused(name: str) -> str:
    if _UNSUPPORTED_VARIABLES.fullmatch(name):
        return "not supported"
    endings = [known.removeprefix(PREFIX) for known in _KNOWN_VARIABLES]
    nearest = difflib.get_close_matches(name.removeprefix(PREFIX), endings, n=1)
    return f"unknown, did you mean {PREFIX}{nearest[0]}?" if nearest else "unknown"


def _unbounded_queue(settings: Settings) -> Iterator[str]:
    if settings.max_queue == 0:
        yield (
            "--max-queue is 0: events that wait for a worker take memory without limit; "
            "with a limit, events beyond it would be dropped and counted"
        )


def _open_access(settings: Settings) -> Iterator[str]:
    if settings.mode != "standalone" or settings.api_token or is_loopback(settings.address):
        return
    yield (
        f"--address is {settings.address} and there is no --api-token (DSIEM_API_TOKEN): "
        "anyone who reaches this machine can post events"
    )


def is_loopback(address: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
