"""The table of metrics."""

from shards.ops.metric_samples import HistogramSample
from shards.ops.metrics import METRICS
from tests.support.overviews import overview_with_all_metrics


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
