"""The plots of the benchmarks, from small invented figures: complete and repeatable pictures."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from benchmarks import plots

pytestmark = pytest.mark.integration  # matplotlib takes seconds

BACKENDS = ("ours", "go", "rust")
PLACE = {"date": "2026-11-24T08:36:10+00:00", "machine": "Linux", "cores": 2, "python": "3.12.1"}
LEGEND = ("Dsiem Shards", "Dsiem (Go)", "dsiem-backend (Rust)")
NAMES = {"throughput-directives", "throughput-backlogs", "memory-directives", "latency"}


def run(backend: str, dimension: str, value: int, rate: float, **more: Any) -> dict[str, Any]:
    known = {"contender": backend, "dimension": dimension, "value": value, "rate": rate}
    return known | {"repeat": 0, "pss_mb": 10 + value, "finished": True, "note": ""} | more


def comparison() -> dict[str, Any]:
    """Each backend twice at each of two values; one run of "go" did not finish."""
    runs = [
        run(backend, dimension, value, 1e5 / (number + 1) / value + repeat, repeat=repeat)
        for number, backend in enumerate(BACKENDS[::-1])
        for dimension in ("directives", "backlogs")
        for value in (1, 500)
        for repeat in (0, 1)
    ]
    runs.append(run("go", "directives", 900, 0.0, finished=False, note="stopped after 77 s"))
    runs.append(run("go", "backlogs", 900, 12.0, lost=41))
    return PLACE | {"versions": {"go": "go1.99 <dev>", "ours": "0.1"}, "runs": runs}


def latency() -> dict[str, Any]:
    points = [{"percentile": part, "ms": 1 + part, "count": int(part)} for part in (0, 50, 90, 100)]
    known = {"seconds": 1, "lines": 100, "lost": 0, "percentiles": points}
    return PLACE | {"figures": [], "latencies": [known | {"rate": rate} for rate in (1000, 50_000)]}


def draw_all(folder: Path, **documents: Mapping[str, Any]) -> dict[str, bytes]:
    """The pictures of these documents, by name."""
    results, images = folder / "results", folder / "images"
    results.mkdir(parents=True)
    for name, document in documents.items():
        (results / f"{name}.json").write_bytes(msgspec.json.encode(document))
    code = plots.main(["--results", str(results), "--images", str(images)])
    made = {path.stem: path.read_bytes() for path in images.iterdir()}
    assert code == int(made.keys() != NAMES)
    return made


def texts(picture: bytes) -> str:
    """The text in a picture, which must be valid XML."""
    return re.sub(r"\s+", " ", " ".join(ElementTree.fromstring(picture).itertext()))


def test_all_plots_name_all_backends_and_the_machine(tmp_path: Path) -> None:
    made = draw_all(tmp_path, compare=comparison(), bench_latency=latency())
    assert made.keys() == NAMES
    for name, picture in made.items():
        written = texts(picture)
        expected = ("1,000 events/s", "50,000 events/s") if name == "latency" else LEGEND
        assert all(text in written for text in (*expected, "Linux, 2 cores, Python 3.12.1"))
        assert "2026-11-24" in written
        assert len(picture) < 100_000
        assert b"fill: #ffffff" in picture


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    documents = {"compare": comparison(), "bench_latency": latency()}
    assert draw_all(tmp_path / "1", **documents) == draw_all(tmp_path / "2", **documents)


def test_unfinished_runs_and_lost_events_are_in_the_caption(tmp_path: Path) -> None:
    made = draw_all(tmp_path, compare=comparison())
    throughput = texts(made["throughput-directives"])
    assert "Hollow, not finished: go at 900 (stopped after 77 s)." in throughput
    assert "Lost, of the events that match: go at 900 (41)." in texts(made["throughput-backlogs"])
    assert "go1.99 <dev>" in throughput


def test_ours_comes_first_and_keeps_its_colour_without_peers(tmp_path: Path) -> None:
    alone = comparison()
    alone["runs"] = [run for run in alone["runs"] if run["contender"] == "ours"]
    both = [
        draw_all(tmp_path / str(number), compare=document)["throughput-directives"]
        for number, document in enumerate((comparison(), alone))
    ]
    legend = re.findall(rb">(Dsiem Shards|Dsiem \(Go\)|dsiem-backend \(Rust\))</text>", both[0])
    assert legend == [b"Dsiem Shards", b"dsiem-backend (Rust)", b"Dsiem (Go)"]
    for picture in both:
        assert re.findall(rb"stroke: (#[0-9a-f]{6}); stroke-width: 1.6", picture)[0] == b"#0072b2"


def test_without_figures_there_is_no_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw_all(tmp_path) == {}
    assert capsys.readouterr().out.count("no figures yet") == len(NAMES)
