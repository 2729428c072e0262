"""The DSIEM_* variables: which of them are settings, and what the others are.

What may live here: names. What may not: the value of a setting.
"""

import difflib
import re
from collections.abc import Mapping

from shards.table import TABLE

PREFIX = "DSIEM_"
SETTINGS_VARIABLE = "DSIEM_SETTINGS"
"""Names the settings file, and is no setting itself."""

_KNOWN = {row.env for row in TABLE.values()} | {SETTINGS_VARIABLE}
_PEERS = re.compile(
    r"DSIEM_(APM|DEV|DIRECTIVES_IDLE_TIMEOUT_MINUTES|FILTER_THREADS|MINEPS|OTEL_\w+|PPROF"
    r"|PRELOAD_DIRECTIVES|WEB_\w+|WEBSOCKET|WRITEABLECONFIG)"
)
"""What the peers take, for features that are not here."""
_LINK = re.compile(
    r"DSIEM_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_\w+)?)"
)
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://.*")
"""Kubernetes puts such variables into every container of a namespace that has a service called
dsiem or dsiem-…, DSIEM_PORT=tcp://10.0.0.1:8080 among them."""


def meant(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that somebody set: not the empty ones, and not those of Kubernetes."""
    return {name: value for name, value in environ.items() if value and not _is_link(name, value)}


def without_effect(environ: Mapping[str, str]) -> str:
    """Name every DSIEM_* variable that is no setting, and why; empty when there is none."""
    names = sorted(name for name in meant(environ) if name.startswith(PREFIX))
    return ", ".join(f"{name} ({_why(name)})" for name in names if name not in _KNOWN)


def _is_link(name: str, value: str) -> bool:
    if _LINK.fullmatch(name):
        return True
    is_port = name.startswith(PREFIX) and name.endswith("_PORT")
    return is_port and bool(_LINK_VALUE.fullmatch(value))


def _why(name: str) -> str:
    if _PEERS.fullmatch(name):
        return "not supported"
    endings = [known.removeprefix(PREFIX) for known in _KNOWN]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), endings, n=1)
    return f"unknown, did you mean {PREFIX}{near[0]}?" if near else "unknown"
