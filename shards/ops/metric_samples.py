"""Reads the samples of metrics from an overview: a value for each combination of label values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from shards.histograms import Histogram
from shards.ledger import ENDED
from shards.ops.overview import Overview

Samples = Mapping[tuple[str, ...], float]
"""Values by label values; the key is empty for a metric without labels."""


class HistogramSample(NamedTuple):
    """A histogram and the upper bounds of its buckets, in seconds."""

    bounds: Sequence[float]
    histogram: Histogram


SampleReader = Callable[[Overview], Samples | HistogramSample | None]
"""Reads the samples of one metric; None leaves the metric out of the text."""


# Readers for METRICS, by the label of the metric.


def single(read: Callable[[Overview], float]) -> SampleReader:
    """One sample without labels."""
    return lambda overview: {(): read(overview)}


def single_if_nats(read: Callable[[Overview], float]) -> SampleReader:
    """One sample without labels, if events arrive over NATS."""
    return lambda overview: {(): read(overview)} if overview.uses_nats else None


def single_if_stream(read: Callable[[Overview], float]) -> SampleReader:
    """One sample without labels, if events are read from a stream."""
    return lambda overview: None if overview.stream_lag is None else {(): read(overview)}


def by_label(read: Callable[[Overview], Mapping[str, float]]) -> SampleReader:
    """A sample for each value of the only label."""
    return lambda overview: {(label,): value for label, value in read(overview).items()}


def by_two_labels(read: Callable[[Overview], Mapping[str, float]]) -> SampleReader:
    """A sample for each pair of label values, which a colon joins."""
    return lambda overview: {
        tuple(labels.split(":", 1)): value for labels, value in read(overview).items()
    }


def by_reason(
    reasons: Iterable[str], read: Callable[[Overview], Mapping[str, float]]
) -> SampleReader:
    """A sample for each reason; 0 for those of `reasons` that have not occurred.

    `increase()` of Prometheus does not see the first value of a series, only changes of it.
    """
    zeros = dict.fromkeys(reasons, 0.0)
    return by_label(lambda overview: zeros | dict(read(overview)))


def by_worker(read: Callable[[Overview], Iterable[float]]) -> SampleReader:
    """A sample for each worker, labelled with its number."""
    return lambda overview: {(str(worker),): value for worker, value in enumerate(read(overview))}


# Values of single metrics.


def event_outcomes(overview: Overview) -> Mapping[str, float]:
    """Events by outcome."""
    events = overview.ledger.events
    return {
        "routed": events.routed,
        "unmatched": events.unmatched,
        "elsewhere": events.elsewhere,
        "whitelisted": events.whitelisted,
    }


def delivery_outcomes(overview: Overview) -> Mapping[str, float]:
    """Deliveries by outcome."""
    deliveries = overview.ledger.deliveries
    return {"consumed": deliveries.consumed, "unmatched": deliveries.unmatched}


def closed_backlogs(overview: Overview) -> Mapping[str, float]:
    """Closed backlogs by reason."""
    backlogs = overview.ledger.backlogs
    return {reason: backlogs[reason] for reason in ENDED}


def directive_matches(overview: Overview) -> Samples | None:
    """Consumed events by directive; None if they are not counted."""
    if overview.matches is None:
        return None
    return {(str(directive),): count for directive, count in overview.matches.items()}


def lookup_results(overview: Overview) -> Samples:
    """Lookups by source and result."""
    samples: dict[tuple[str, ...], float] = {}
    for source, counts in overview.ledger.lookups.items():
        results = {
            "cached": counts.cached,
            "shared": counts.shared,
            "found": counts.found,
            "nothing": counts.nothing,
            "rejected_breaker": counts.rejected_breaker,
            "rejected_full": counts.rejected_full,
            **{f"error_{reason}": count for reason, count in counts.errors.items()},
        }
        samples |= {(source, result): count for result, count in results.items()}
    return samples


def breaker_states(overview: Overview) -> Samples:
    """Circuit breakers by source and state."""
    return {
        (source, state): counts.breakers[state]
        for source, counts in overview.ledger.lookups.items()
        for state in ("closed", "half_open", "open")
    }


def telemetry_drops(overview: Overview) -> Samples | None:
    """What was not exported, by kind; None without telemetry."""
    if overview.otel_dropped is None:
        return None
    return {(kind,): count for kind, count in overview.otel_dropped.items()}
