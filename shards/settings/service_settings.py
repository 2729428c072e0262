"""The settings of the service, of its cluster and of telemetry, which only `serve` has.

Apart from settings.py, which has all others, so that either file can be read at one sitting.
"""

from typing import Annotated, Literal

from msgspec import Struct

from shards.settings.cpu_limit import usable_cpus
from shards.settings.schema import CORRELATING, OPTIONAL_URL, Spec, url_spec

MAX_WORKERS = 200
"""The process that loads the configuration is passed two descriptors for each."""


class ServiceSettings(Struct, frozen=True, kw_only=True):
    """The settings of the groups `service`, `cluster` and `telemetry`."""

    workers: Annotated[
        int,
        Spec(
            "service",
            "worker processes; by default one less than the usable CPUs",
            low=1,
            high=MAX_WORKERS,
        ),
    ] = min(max(1, usable_cpus() - 1), MAX_WORKERS)
    reload_backlogs: Annotated[
        bool, Spec("service", "at the start, restore the backlogs that were open at the last stop")
    ] = True
    checkpoint_interval: Annotated[
        int, Spec("service", "seconds between checkpoints of open backlogs, 0 is off")
    ] = 5
    shutdown_timeout: Annotated[
        int, Spec("service", "seconds for an orderly stop before it is forced", low=1)
    ] = 8

    hang_timeout: Annotated[
        int, Spec("service", "seconds without progress until a process is restarted, 0 is never")
    ] = 30

    mode: Annotated[
        Literal["standalone", "cluster-backend"],
        Spec("cluster", "by default cluster-backend if --frontend, --node or --msq is given"),
    ] = "standalone"
    node: Annotated[
        str, Spec("cluster", "name of this node, part of every alarm id", CORRELATING, short="-n")
    ] = ""
    frontend: Annotated[
        str,
        url_spec(
            "cluster",
            "URL of the frontend, where the configuration files come from",
            "http://frontend:8080",
            short="-f",
        ),
    ] = "http://frontend:8080"
    msq: Annotated[
        str,
        url_spec(
            "cluster",
            "URL of the NATS server, or of several with commas, where the events come from",
            "nats://dsiem-nats:4222",
            pattern=r"\S+",
        ),
    ] = "nats://dsiem-nats:4222"
    frontend_wait: Annotated[
        int, Spec("cluster", "seconds to wait for the frontend before using the last download")
    ] = 30
    frontend_poll: Annotated[
        int,
        Spec("cluster", "seconds between downloads of the configuration while serving, 0 is off"),
    ] = 0
    nats_creds: Annotated[
        str, Spec("cluster", "file with the NATS credentials (.creds)", path="file")
    ] = ""
    nats_tls_ca: Annotated[
        str, Spec("cluster", "file with the CA certificates for the NATS server", path="file")
    ] = ""
    nats_tls_cert: Annotated[
        str, Spec("cluster", "file with the client certificate for the NATS server", path="file")
    ] = ""
    nats_tls_key: Annotated[
        str, Spec("cluster", "file with the client certificate's key", path="file")
    ] = ""
    cluster_size: Annotated[
        int,
        Spec("cluster", "services that share a node name and divide its directives", low=1),
    ] = 1
    cluster_index: Annotated[
        str,
        Spec(
            "cluster",
            "number of this service, from 0; by default the number at the end of the host name",
            pattern=r"[0-9]{0,6}",
            expected="a whole number from 0",
        ),
    ] = ""
    nats_monitor: Annotated[
        str,
        url_spec(
            "cluster",
            "URL of the NATS server's monitoring, to count the events that the server dropped",
            "http://dsiem-nats:8222",
            pattern=OPTIONAL_URL,
        ),
    ] = ""
    stream: Annotated[
        str,
        Spec(
            "cluster",
            "JetStream stream to read the events from: no death loses any",
            pattern=r"[^\s.*>/\\]*",
            expected="the name of a stream, without blanks and . * > / \\",
        ),
    ] = ""
    stream_create: Annotated[
        bool, Spec("cluster", "create the stream if it is missing, with the limits below")
    ] = False
    stream_max_age: Annotated[
        int, Spec("cluster", "hours that a stream keeps events when created, 0 is for ever")
    ] = 24
    stream_max_bytes: Annotated[
        int, Spec("cluster", "bytes that a stream may take when created, 0 is any number")
    ] = 10_000_000_000
    stream_from: Annotated[
        str,
        Spec(
            "cluster",
            "where a node begins that has not read the stream: new, all, or a time",
            pattern=r"new|all|\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?",
            expected="new, all, or a time like 2026-01-31T12:00:00Z",
        ),
    ] = "new"

    otel_tracing_enabled: Annotated[
        bool, Spec("telemetry", "export traces of sampled events over OTLP/HTTP")
    ] = False
    otel_metrics_enabled: Annotated[
        bool, Spec("telemetry", "export the metrics over OTLP/HTTP")
    ] = False
    otel_endpoint: Annotated[
        str,
        url_spec(
            "telemetry",
            "URL of the collector; by default OTEL_EXPORTER_OTLP_ENDPOINT or http://localhost:4318",
            "http://otel-collector:4318",
            pattern=OPTIONAL_URL,
        ),
    ] = ""
    otel_sample: Annotated[
        int, Spec("telemetry", "number of events of which one is traced", low=1)
    ] = 1000
    otel_interval: Annotated[
        int, Spec("telemetry", "seconds between two exports of the metrics", low=1)
    ] = 15
