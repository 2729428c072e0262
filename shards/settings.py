"""Every setting, once: its name, type, default, and what else makes up its row of the table.

What may live here: the rows. What may not: what follows from a row (table.py), reading texts
(values.py), the command line, the environment or a file (commandline.py), and what a setting does.
A new setting is a new field of Settings; flag, variable, file key and help follow from it.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import fields

from shards.spec import BOTH, EVERY_VERB, REPLAY, TOP, Spec


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one process; every field is a row of the table."""

    workers: Annotated[
        int, Spec("service", "worker processes; by default one less than the CPUs", at_least=1)
    ] = max(1, len(os.sched_getaffinity(0)) - 1)
    reload_backlogs: Annotated[
        bool, Spec("service", "go on at the start with the backlogs that were open at the end")
    ] = True
    checkpoint_interval: Annotated[
        int, Spec("service", "seconds between crash checkpoints of open backlogs, 0 is off")
    ] = 5
    shutdown_timeout: Annotated[
        int, Spec("service", "seconds for an orderly stop, then it is forced", at_least=1)
    ] = 8

    mode: Annotated[
        Literal["standalone", "cluster-backend"],
        Spec("cluster", "if not given, cluster-backend when frontend, node or msq is"),
    ] = "standalone"
    node: Annotated[
        str, Spec("cluster", "name of this node, part of every alarm id", BOTH, short="-n")
    ] = ""
    frontend: Annotated[
        str,
        Spec(
            "cluster",
            "URL of the frontend, where the configuration files come from",
            short="-f",
            pattern=r"https?://\S+",
            right="a URL like http://frontend:8080",
            secret="login",
        ),
    ] = "http://frontend:8080"
    msq: Annotated[
        str,
        Spec(
            "cluster",
            "URL of the NATS server, where the events come from",
            pattern=r"\S+",
            right="a URL like nats://dsiem-nats:4222",
            secret="login",
        ),
    ] = "nats://dsiem-nats:4222"

    frontend_wait: Annotated[
        int,
        Spec(
            "cluster",
            "seconds to wait for the frontend, then start with the files of the last download",
        ),
    ] = 30
    nats_creds: Annotated[str, Spec("cluster", "file with the NATS credentials (.creds)")] = ""
    nats_tls_ca: Annotated[
        str, Spec("cluster", "file with the certificates that the NATS server is checked with")
    ] = ""
    nats_tls_cert: Annotated[
        str, Spec("cluster", "file with the certificate to show to the NATS server")
    ] = ""
    nats_tls_key: Annotated[str, Spec("cluster", "file with the key of that certificate")] = ""
    cluster_size: Annotated[
        int,
        Spec(
            "cluster",
            "services that share a node name, each with a part of its directives",
            at_least=1,
        ),
    ] = 1
    cluster_index: Annotated[
        str,
        Spec(
            "cluster",
            "which of them this is, from 0; by default the number at the end of the host name",
            pattern=r"[0-9]{0,6}",
            right="a whole number from 0",
        ),
    ] = ""
    nats_monitor: Annotated[
        str,
        Spec(
            "cluster",
            "URL of the NATS server's monitoring, to learn how many events it has cut",
            pattern=r"(https?://\S+)?",
            right="a URL like http://dsiem-nats:8222",
            secret="login",
        ),
    ] = ""

    address: Annotated[
        str,
        Spec(
            "HTTP",
            "address to listen on, in standalone mode",
            pattern=r"[^\s/]+",
            right="an IP address or a host name",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Spec("HTTP", "port to listen on, 0 is any free one", at_most=65535)] = 8080
    api_token: Annotated[
        str,
        Spec(
            "HTTP",
            "secret that requests must carry; better as a variable than as a flag",
            pattern=r"[!-~]*",
            right="visible ASCII characters, no blanks or line ends",
            secret="all",
        ),
    ] = ""

    lenient_directives: Annotated[
        bool,
        Spec(
            "correlation", "repair or leave out faulty directives, with a warning each", EVERY_VERB
        ),
    ] = False
    match_protocol: Annotated[
        bool, Spec("correlation", "compare the protocol of rules and events", BOTH)
    ] = False
    min_alarm_lifetime: Annotated[
        int,
        Spec(
            "correlation",
            "minutes that a stage stays open beyond its timeout",
            BOTH,
            short="-l",
            env="DSIEM_MINALARMLIFETIME",
        ),
    ] = 0
    expiry_grace: Annotated[
        int, Spec("correlation", "seconds of wall time that any stage has at least")
    ] = 10
    max_future: Annotated[
        int,
        Spec("correlation", "seconds that an event may be ahead of the clock, 0 is without limit"),
    ] = 3600

    med_risk_min: Annotated[
        int,
        Spec(
            "alarms",
            "lowest risk that is Medium",
            BOTH,
            env="DSIEM_MEDRISKMIN",
            at_least=2,
            at_most=8,
        ),
    ] = 3
    med_risk_max: Annotated[
        int,
        Spec(
            "alarms",
            "highest risk that is Medium",
            BOTH,
            env="DSIEM_MEDRISKMAX",
            at_least=3,
            at_most=9,
        ),
    ] = 6
    status: Annotated[
        tuple[str, ...],
        Spec("alarms", "the statuses of alarms, that of a new one first", BOTH, short="-s"),
    ] = ("Open", "In-Progress", "Closed")
    tags: Annotated[
        tuple[str, ...],
        Spec("alarms", "the tags of alarms, that of a new one first", BOTH, short="-t"),
    ] = ("Identified Threat", "False Positive", "Valid Threat", "Security Incident")

    max_eps: Annotated[
        int,
        Spec(
            "limits",
            "events per second to keep up with; a warning when that fails",
            short="-e",
            aliases=("maxEPS",),
            env="DSIEM_MAXEPS",
            at_least=1,
        ),
    ] = 1000
    max_queue: Annotated[
        int,
        Spec(
            "limits",
            "events that may wait for a worker, 0 is without limit",
            short="-q",
            env="DSIEM_MAXQUEUE",
        ),
    ] = 25000
    max_delay: Annotated[
        int,
        Spec(
            "limits",
            "seconds from receipt until an event counts as overload, 0 is never",
            short="-d",
            env="DSIEM_MAXDELAY",
        ),
    ] = 180
    hold_duration: Annotated[
        int,
        Spec(
            "limits",
            "seconds without a late event until the overload is over",
            env="DSIEM_HOLDDURATION",
        ),
    ] = 10

    cache: Annotated[
        int,
        Spec(
            "lookups",
            "minutes that an answer is kept, 0 is not at all",
            short="-c",
            aliases=("cache_duration",),
            env="DSIEM_CACHEDURATION",
        ),
    ] = 10
    intel_private_ip: Annotated[
        bool,
        Spec(
            "lookups",
            "look up private addresses too",
            aliases=("intelPrivateIP",),
            env="DSIEM_INTELPRIVATEIP",
        ),
    ] = False

    lookup_proxy: Annotated[
        str,
        Spec(
            "lookups",
            "URL of the proxy that lookups go through, such as http://proxy:3128",
            pattern=r"(https?://\S+)?",
            right="a URL like http://proxy:3128",
            secret="login",
        ),
    ] = ""
    lookup_ca: Annotated[
        str, Spec("lookups", "file with the certificates that https sources are checked with")
    ] = ""

    ops_address: Annotated[str, Spec("ops", "address to serve health, metrics and status at")] = (
        "127.0.0.1"
    )
    ops_port: Annotated[
        int, Spec("ops", "port to serve them at, 0 is not at all", at_most=65535)
    ] = 9090
    metrics_per_directive: Annotated[
        bool, Spec("ops", "count matches by directive, too: a series for each")
    ] = False

    config_dir: Annotated[Path, Spec("files", "folder of the assets and directives", BOTH)] = Path(
        "./configs"
    )
    log_dir: Annotated[Path, Spec("files", "folder of the alarm files, made if missing", BOTH)] = (
        Path("./logs")
    )

    check: Annotated[
        bool, Spec("report", "show the settings, check the config folder, and exit")
    ] = False
    format: Annotated[
        Literal["text", "json"], Spec("report", "for people or for machines", EVERY_VERB)
    ] = "text"
    alarms: Annotated[bool, Spec("report", "show the alarms as a table at the end", REPLAY)] = False
    url: Annotated[
        str,
        Spec(
            "report",
            "where the service has its status, see --ops-port",
            TOP,
            pattern=r"https?://\S+",
            right="a URL like http://127.0.0.1:9090",
        ),
    ] = "http://127.0.0.1:9090"
    once: Annotated[bool, Spec("report", "show it once, and end", TOP)] = False

    debug: Annotated[bool, Spec("logging", "log details", EVERY_VERB, short="-v")] = False
    trace: Annotated[bool, Spec("logging", "log every detail", EVERY_VERB, short="-vv")] = False
    json: Annotated[
        bool, Spec("logging", "log as JSON, an object a line", EVERY_VERB, short="-j")
    ] = False

    @property
    def part(self) -> int:
        """Which of the services that share its node name this is, from 0."""
        return int(self.cluster_index or 0)

    def shown(self, name: str) -> Any:
        """Return a setting without what is secret of it."""
        spec: Spec = get_args(type(self).__annotations__[name])[1]
        return spec.masked(getattr(self, name))

    def __repr__(self) -> str:
        """Return it without what is secret: settings end up in logs and tracebacks."""
        shown = (f"{field.name}={self.shown(field.name)!r}" for field in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"
