"""Every setting: each field of Settings is one.

Flag, environment variable, key in a settings file and help text follow from the field.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec.structs import fields

from shards.settings.command_settings import CommandSettings
from shards.settings.schema import (
    CHECKING,
    CONFIGURED,
    CORRELATING,
    DEMO,
    EVENT_LINK,
    EVENT_LINK_EXAMPLE,
    EVERY_COMMAND,
    OPTIONAL_URL,
    REPLAY,
    SERVE,
    VALIDATE,
    Setting,
    Spec,
    read_settings,
    url_spec,
)


class Settings(CommandSettings, frozen=True, kw_only=True):
    """The settings of one process: those of the service, of commands, and the ones below."""

    address: Annotated[
        str,
        Spec(
            "HTTP",
            "address to listen on, in standalone mode",
            pattern=r"[^\s/]+",
            expected="an IP address or a host name",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Spec("HTTP", "port to listen on, 0 is any free one", high=65535)] = 8080
    api_token: Annotated[
        str,
        Spec(
            "HTTP",
            "secret that requests must carry; better as a variable than as a flag",
            pattern=r"[!-~]*",
            expected="visible ASCII characters, no blanks or line ends",
            secret="all",
        ),
    ] = ""

    spool: Annotated[
        bool,
        Spec("HTTP", "write events to disk before the answer: no death loses any"),
    ] = False

    lenient_directives: Annotated[
        bool,
        Spec("correlation", "repair or skip faulty directives, with a warning each", CHECKING),
    ] = False
    match_protocol: Annotated[
        bool, Spec("correlation", "compare the protocol of rules and events", CORRELATING)
    ] = False
    min_alarm_lifetime: Annotated[
        int,
        Spec(
            "correlation",
            "minutes that a stage stays open beyond its timeout",
            CORRELATING,
            short="-l",
            env="MINALARMLIFETIME",
        ),
    ] = 0
    expiry_grace: Annotated[
        int, Spec("correlation", "minimum lifetime of a stage in seconds of wall time")
    ] = 10
    out_of_order_tolerance: Annotated[
        int,
        Spec("correlation", "seconds from which on an older event is out of order", CORRELATING),
    ] = 5
    repeat_window: Annotated[
        int,
        Spec("correlation", "seconds for which repeated events are known, 0 is off", CORRELATING),
    ] = 600
    max_future: Annotated[
        int,
        Spec("correlation", "seconds an event may be ahead of the clock, 0 is any", CORRELATING),
    ] = 60

    med_risk_min: Annotated[
        int,
        Spec("alarms", "lowest risk that is Medium", CORRELATING, env="MEDRISKMIN", low=2, high=8),
    ] = 3
    med_risk_max: Annotated[
        int,
        Spec("alarms", "highest risk that is Medium", CORRELATING, env="MEDRISKMAX", low=3, high=9),
    ] = 6
    status: Annotated[
        tuple[str, ...],
        Spec("alarms", "statuses of alarms; new alarms get the first", CORRELATING, "-s"),
    ] = ("Open", "In-Progress", "Closed")
    tags: Annotated[
        tuple[str, ...],
        Spec("alarms", "tags of alarms; new alarms get the first", CORRELATING, "-t"),
    ] = ("Identified Threat", "False Positive", "Valid Threat", "Security Incident")

    max_eps: Annotated[
        int,
        Spec(
            "limits",
            "expected events per second; a warning is logged if workers are slower",
            short="-e",
            aliases=("maxEPS",),
            env="MAXEPS",
            low=1,
        ),
    ] = 1000
    max_queue: Annotated[
        int, Spec("limits", "events queued per worker, 0 is unbounded", short="-q", env="MAXQUEUE")
    ] = 25000
    retain_bytes: Annotated[
        int,
        Spec(
            "limits",
            "bytes of events kept per worker until a checkpoint holds their effect",
            low=1 << 20,
        ),
    ] = 64 << 20
    max_delay: Annotated[
        int,
        Spec(
            "limits",
            "seconds from receipt after which an event is late: overload; 0 is never",
            short="-d",
            env="MAXDELAY",
        ),
    ] = 180
    hold_duration: Annotated[
        int, Spec("limits", "seconds without a late event until overload ends", env="HOLDDURATION")
    ] = 10

    cache: Annotated[
        int,
        Spec(
            "lookups",
            "minutes that answers are cached, 0 is off",
            short="-c",
            aliases=("cache_duration",),
            env="CACHEDURATION",
        ),
    ] = 10
    intel_private_ip: Annotated[
        bool,
        Spec(
            "lookups",
            "look up private addresses too",
            aliases=("intelPrivateIP",),
            env="INTELPRIVATEIP",
        ),
    ] = False
    lookup_proxy: Annotated[
        str,
        url_spec(
            "lookups",
            "URL of the proxy for lookups, such as http://proxy:3128",
            "http://proxy:3128",
            pattern=OPTIONAL_URL,
        ),
    ] = ""
    lookup_ca: Annotated[
        str, Spec("lookups", "file with the CA certificates for https sources", path="file")
    ] = ""

    strict_lookups: Annotated[
        bool, Spec("lookups", "refuse to start with a faulty lookup source", CHECKING)
    ] = False

    ops_address: Annotated[
        str, Spec("ops", "address of the ops server: health, metrics, status")
    ] = "127.0.0.1"
    ops_port: Annotated[
        int, Spec("ops", "port of the ops server, 0 is off", SERVE | DEMO, high=65535)
    ] = 9090
    console: Annotated[
        bool, Spec("ops", "show the console, a web page, at the ops port, with the last day")
    ] = True
    event_link: Annotated[
        str,
        url_spec(
            "ops",
            "template of the console's links to events, with {event_id}, {alarm_id}, {time}",
            EVENT_LINK_EXAMPLE,
            pattern=EVENT_LINK,
            expected=f"a URL with {{event_id}}, like {EVENT_LINK_EXAMPLE}",
        ),
    ] = ""
    metrics_per_directive: Annotated[
        bool,
        Spec("ops", "also count by directive: one time series for each, and stats at /status"),
    ] = False

    config_dir: Annotated[
        Path, Spec("files", "folder of the assets and directives", CONFIGURED, path="folder")
    ] = Path("./configs")
    watch: Annotated[
        bool,
        Spec("files", "after each change of the files, validate or reload them", VALIDATE | SERVE),
    ] = False
    log_dir: Annotated[
        Path,
        Spec(
            "files", "folder of the alarm files, created if missing", REPLAY | SERVE, path="folder"
        ),
    ] = Path("./logs")

    debug: Annotated[bool, Spec("logging", "log details", EVERY_COMMAND, "-v")] = False
    trace: Annotated[bool, Spec("logging", "log every detail", EVERY_COMMAND, "-vv")] = False
    json: Annotated[
        bool, Spec("logging", "log as JSON, one object per line", EVERY_COMMAND, "-j")
    ] = False

    @property
    def cluster_part(self) -> int:
        """The number of this service, from 0, among those that share its node name."""
        return int(self.cluster_index or 0)

    @property
    def source_keeps_events(self) -> bool:
        """Whether events can be read again after a death: from a stream, or from the spool."""
        return bool(self.stream or self.spool)

    @property
    def has_console(self) -> bool:
        """Whether the console is served, and its history kept."""
        return self.console and self.ops_port > 0

    @property
    def has_telemetry(self) -> bool:
        """Whether traces or metrics are exported."""
        return self.otel_tracing_enabled or self.otel_metrics_enabled

    @property
    def log_level(self) -> str:
        """The level of logging: TRACE, DEBUG or INFO."""
        return "TRACE" if self.trace else "DEBUG" if self.debug else "INFO"

    def redacted(self, name: str) -> Any:
        """The value of a setting without its secrets."""
        return SETTINGS_TABLE[name].spec.redact(getattr(self, name))

    def __repr__(self) -> str:
        """All settings without their secrets: settings end up in logs and tracebacks."""
        values = (f"{field.name}={self.redacted(field.name)!r}" for field in fields(self))
        return f"{type(self).__name__}({', '.join(values)})"


SETTINGS_TABLE: Mapping[str, Setting] = read_settings(Settings)
"""Every setting by its name."""


def settings_of(command: str) -> list[Setting]:
    """The settings that a command takes, in the order of the table, with its choices."""
    return [
        setting.for_command(command)
        for setting in SETTINGS_TABLE.values()
        if command in setting.spec.commands
    ]
