"""A metric and how it is declared.

A file of its own, so that metrics.py is nothing but the table.
"""

from msgspec import Struct

from shards.ops.metric_samples import SampleReader

PREFIX = "dsiem_"
"""Start of the name of every metric."""


class Metric(Struct, frozen=True):
    """A metric; `name` is without the prefix, `kind` is counter, gauge or histogram.

    The name of a counter ends in `_total`.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    read_samples: SampleReader


def counter(name: str, help_text: str, read: SampleReader, *labels: str) -> Metric:
    """A counter; `read` gets its samples from an overview."""
    return Metric(name, "counter", labels, help_text, read)


def gauge(name: str, help_text: str, read: SampleReader, *labels: str) -> Metric:
    """A gauge; `read` gets its samples from an overview."""
    return Metric(name, "gauge", labels, help_text, read)


def histogram(name: str, help_text: str, read: SampleReader) -> Metric:
    """A histogram; `read` gets its samples from an overview."""
    return Metric(name, "histogram", (), help_text, read)
