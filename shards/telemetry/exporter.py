"""Sends spans and metrics to a collector, in a thread of its own.

Nothing waits for it: what does not fit into its queue, or cannot be sent, is dropped and counted.
"""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from loguru import logger

from shards.http_client import (
    HttpClient,
    HttpClientError,
    RequestBody,
    TransportOptions,
    parse_server_url,
)
from shards.settings.otlp_endpoint import OtlpEndpoint
from shards.telemetry.snapshot import MetricsSnapshot
from shards.tracing.span import Span

MAX_SPANS = 4096
"""Spans that wait; further ones are dropped."""
SPANS_PER_REQUEST = 512
REQUEST_SECONDS = 10.0
"""Longest wait for an answer."""
ANSWER_BYTES = 1 << 16
"""Longest answer that is read."""
ROUND_SECONDS = 1.0
"""Time between two requests for what has come meanwhile."""
MAX_PAUSE_SECONDS = 30.0
"""Longest time between two attempts while they fail; the first pause is ROUND_SECONDS."""
_ABORT_SECONDS = 0.2
"""Time in which a request that is under way ends at a stop."""
_PROTOBUF = "application/x-protobuf"


class Waiting(NamedTuple):
    """What is to be sent next."""

    spans: list[tuple[str, Span]]
    metrics: MetricsSnapshot | None


class Exporter:
    """The thread, and what waits for it. `dropped`: number of spans and of sets of metrics."""

    def __init__(self, endpoint: OtlpEndpoint, resource: Mapping[str, str]) -> None:
        """`resource`: the attributes of the service. HttpClientError if the URL is none."""
        self._server = parse_server_url(endpoint.url)
        self._transport = TransportOptions(ca=endpoint.ca, headers=endpoint.headers)
        self._resource = resource
        self.dropped: Counter[str] = Counter(span=0, metrics=0)
        self._spans: deque[tuple[str, Span]] = deque()
        self._metrics: MetricsSnapshot | None = None
        self._changed = threading.Condition()
        self._is_closing = False
        self._pause = ROUND_SECONDS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def add_spans(self, process: str, spans: list[Span], dropped: int) -> None:
        """Send spans of a process, which has dropped further ones."""
        with self._changed:
            room = MAX_SPANS - len(self._spans)
            self._spans.extend((process, span) for span in spans[:room])
            self.dropped["span"] += dropped + max(0, len(spans) - room)
            self._changed.notify()

    def add_metrics(self, metrics: MetricsSnapshot) -> None:
        """Send metrics, in place of those that still wait."""
        with self._changed:
            self.dropped["metrics"] += self._metrics is not None
            self._metrics = metrics
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Send what waits, for this long; drop the rest. It blocks."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(seconds - _ABORT_SECONDS)
        self._stop.set()
        self._thread.join(_ABORT_SECONDS)
        with self._changed:
            self._drop(Waiting(list(self._spans), self._metrics))
            self._spans.clear()
            self._metrics = None

    def _drop(self, waiting: Waiting) -> None:
        self.dropped["span"] += len(waiting.spans)
        self.dropped["metrics"] += waiting.metrics is not None

    def _run(self) -> None:
        with HttpClient(self._server, self._stop, self._transport) as client:
            while waiting := self._take():
                if not self._send(client, waiting) and self._is_closing:
                    return
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closing, self._pause)

    def _take(self) -> Waiting | None:
        """Wait for something to send; None at the end, once nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._spans or self._metrics or self._is_closing)
            spans = list(islice(self._spans, SPANS_PER_REQUEST))
            for _ in spans:
                self._spans.popleft()
            metrics, self._metrics = self._metrics, None
        return Waiting(spans, metrics) if spans or metrics else None

    def _send(self, client: HttpClient, waiting: Waiting) -> bool:
        """Send something, or drop it; returns whether the collector has taken it."""
        from shards.telemetry import otlp  # noqa: PLC0415 - it takes long: here, nobody waits

        spans, metrics = waiting
        had_failed = self._pause > ROUND_SECONDS
        rejected_spans = rejected_points = 0
        try:
            if spans:
                body = otlp.encode_spans(self._resource, spans)
                rejected = otlp.count_rejected(_post(client, "/v1/traces", body))
                rejected_spans, spans = min(rejected, len(spans)), []
            if metrics is not None:
                body = otlp.encode_metrics(self._resource, metrics)
                rejected_points = otlp.count_rejected(_post(client, "/v1/metrics", body))
                metrics = None
        except Exception as error:  # whatever it is: the service goes on, and so does this thread
            self._pause = min(self._pause * 2, MAX_PAUSE_SECONDS)
            if not had_failed:
                why = error.reason if isinstance(error, HttpClientError) else repr(error)
                logger.bind(why=why).warning("telemetry cannot be exported")
            return False
        finally:
            with self._changed:
                self._drop(Waiting(spans, metrics))
                self.dropped["span"] += rejected_spans
                self.dropped["metrics"] += rejected_points > 0
        self._pause = ROUND_SECONDS
        if had_failed:
            logger.info("telemetry is exported again")
        return True


def _post(client: HttpClient, path: str, content: bytes) -> bytes:
    """The answer to a request; HttpClientError."""
    body = RequestBody("POST", content, _PROTOBUF)
    return client.request(path, ANSWER_BYTES, REQUEST_SECONDS, sent=body).body
