"""The table of metrics, and its copy in the documents."""

import re

from shards.ops.metric import PREFIX
from shards.ops.metric_samples import HistogramSample
from shards.ops.metrics import METRICS
from tests.support.overviews import overview_with_all_metrics
from tests.support.paths import ROOT


def test_the_document_has_the_metrics_of_the_code() -> None:
    document = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `(dsiem_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", document, re.MULTILINE
    )
    documented = [(name, kind, labels.strip(), text.strip()) for name, kind, labels, text in rows]
    in_code = [
        (
            PREFIX + metric.name,
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.help.removesuffix("."),
        )
        for metric in METRICS
    ]
    assert documented == in_code


def test_names_are_unique_and_those_of_counters_end_in_total() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name


def test_each_metric_reads_samples_of_its_kind_and_labels() -> None:
    overview = overview_with_all_metrics()
    for metric in METRICS:
        samples = metric.read_samples(overview)
        assert samples, metric.name
        assert isinstance(samples, HistogramSample) == (metric.kind == "histogram"), metric.name
        if isinstance(samples, HistogramSample):
            assert len(samples.histogram.buckets) == len(samples.bounds) + 1, metric.name
        else:
            assert {len(labels) for labels in samples} == {len(metric.labels)}, metric.name
