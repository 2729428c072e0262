"""The parts of the supervisor that some settings ask for; their libraries are large.

Each is imported only if it is wanted.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shards.alarm_files import AlarmFiles
from shards.settings.otlp_endpoint import read_endpoint
from shards.settings.schema import Origin
from shards.settings.settings import Settings

if TYPE_CHECKING:
    from shards.supervisor.console import ConsoleRunner
    from shards.supervisor.overload_signals import OverloadSignals
    from shards.supervisor.telemetry import Telemetry


def make_console(
    settings: Settings, origins: Mapping[str, Origin], files: AlarmFiles
) -> "ConsoleRunner | None":
    if not settings.has_console:
        return None
    from shards.supervisor.console import ConsoleRunner  # noqa: PLC0415 - only that has a history

    return ConsoleRunner(settings, origins, files.paths[1])


def make_overload_signals(settings: Settings) -> "OverloadSignals | None":
    if settings.mode != "cluster-backend":
        return None
    from shards.supervisor.overload_signals import OverloadSignals  # noqa: PLC0415 - needs NATS

    return OverloadSignals(settings)


def make_telemetry(settings: Settings) -> "Telemetry | None":
    """The export of traces and metrics."""
    if not settings.has_telemetry:
        return None
    from shards.supervisor.telemetry import Telemetry  # noqa: PLC0415 - an optional package

    return Telemetry(settings, read_endpoint(settings, os.environ))
