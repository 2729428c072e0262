"""The points of the plots, from the runs of a comparison."""

from typing import Any

from benchmarks.plotting.series import Comparison, Provenance, Run, backends, lines


def run(backend: str, value: float, **figures: Any) -> Run:
    return Run("directives", value, backend, **figures)


def test_a_point_has_the_median_and_the_range_of_its_repeats() -> None:
    runs = [run("ours", 10.0, rate=rate) for rate in (3.0, 1.0, 7.0)]
    (line,) = lines(Comparison(runs), "directives", "rate")
    (point,) = line.points
    assert (point.minimum, point.median, point.maximum) == (1.0, 3.0, 7.0)
    assert point.finished


def test_a_run_without_a_figure_does_not_count() -> None:
    runs = [run("go", 10.0, rate=0.0), run("go", 10.0, rate=None), run("go", 20.0, rate=5.0)]
    (line,) = lines(Comparison(runs), "directives", "rate")
    assert [point.median for point in line.points] == [None, 5.0]


def test_unfinished_and_lost_are_listed_by_value() -> None:
    runs = [
        run("go", 10.0, rate=1.0, lost=3),
        run("go", 1000.0, rate=1.0, lost=9, finished=False, note="not finished: 5 of 9 events"),
    ]
    (line,) = lines(Comparison(runs), "directives", "rate")
    assert line.unfinished == "go at 1,000 (5 of 9 events)"
    assert line.lost == "go at 10 (3)"


def test_ours_is_first_and_other_dimensions_are_left_out() -> None:
    runs = [run("go", 1.0), run("rust", 1.0), run("ours", 1.0)]
    other = Run("backlogs", 1.0, "dsiem-rs")
    assert backends(runs) == ["ours", "go", "rust"]
    assert [line.backend for line in lines(Comparison([*runs, other]), "directives", "rate")] == [
        "ours",
        "go",
        "rust",
    ]


def test_the_provenance_leaves_out_what_is_not_known() -> None:
    assert str(Provenance("2026-11-24T08:00:00", "Linux")) == "Linux, 2026-11-24"
    full = Provenance("2026-11-24T08:00:00", "Linux", 2, "3.11", "abc")
    assert str(full) == "Linux, 2 cores, Python 3.11, commit abc, 2026-11-24"
