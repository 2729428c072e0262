"""The points of the plots, from the runs of a comparison."""

import msgspec

from benchmarks.peers import life, rates, steady
from benchmarks.plotting.series import (
    Comparison,
    Measured,
    Provenance,
    RateRun,
    Topic,
    backends,
    lines,
    measured,
)


def run(backend: str, value: float, figure: float | None, flaw: str = "") -> Measured:
    return Measured(backend, value, figure, flaw=flaw)


def test_a_point_has_the_median_and_the_range_of_its_repeats() -> None:
    (line,) = lines([run("ours", 10.0, figure) for figure in (3.0, 1.0, 7.0)])
    (point,) = line.points
    assert (point.minimum, point.median, point.maximum, point.flaw) == (1.0, 3.0, 7.0, "")


def test_a_run_without_a_figure_does_not_count() -> None:
    (line,) = lines([run("go", 10.0, None, "no rate"), run("go", 20.0, 5.0)])
    assert [point.median for point in line.points] == [None, 5.0]
    assert line.flaws == "go at 10 (no rate)"


def test_a_rate_with_losses_is_hollow_and_its_bar_begins_at_the_one_without() -> None:
    runs = [
        RateRun("directives", 1000.0, "go", sustained=3, with_losses=9, lost_share=0.002),
        RateRun("directives", 5000.0, "go", note="only 5 of 9 backlogs were opened in 60 s"),
        RateRun("backlogs", 1.0, "go", sustained=1, with_losses=1),
    ]
    (line,) = lines(list(measured(Comparison(rates=runs), "rates", "directives")))
    first, second = line.points
    assert (first.minimum, first.median, second.median) == (3, 9, None)
    lossy, unopened = "1,000 (0.20% lost)", "5,000 (only 5 of 9 backlogs were opened in 60 s)"
    assert line.flaws == f"go at {lossy}, at {unopened}"


def test_ours_is_first() -> None:
    assert backends(iter(("go", "rust", "ours", "go"))) == ["ours", "go", "rust"]


def test_the_plots_read_what_a_comparison_writes() -> None:
    written = msgspec.json.encode(
        {
            "rates": [rates.RateRun("directives", 10, "ours", sustained=7, with_losses=8)],
            "steady": [steady.SteadyRun("steady", 1000, "ours", p99=3.0, kept_up=True)],
            "life": [life.LifeRun("life", 100, "ours", idle_mb=70.0)],
            "losses": [],
        }
    )
    read = msgspec.json.decode(written, type=Comparison)
    topics: tuple[Topic, ...] = ("rates", "steady", "life")
    figures = [
        [(one.value, one.figure) for one in measured(read, topic, "directives")] for topic in topics
    ]
    assert figures == [[(10, 8)], [(1000, 3.0)], [(100, 70.0)]]


def test_the_provenance_leaves_out_what_is_not_known() -> None:
    assert str(Provenance("2026-11-24T08:00:00", "Linux")) == "Linux, 2026-11-24"
    full = Provenance("2026-11-24T08:00:00", "Linux", 2, "3.11", "abc")
    assert str(full) == "Linux, 2 cores, Python 3.11, commit abc, 2026-11-24"
