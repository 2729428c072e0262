"""The plots of the benchmarks, from small invented figures: complete and repeatable pictures."""

import re
from collections.abc import Mapping, Sequence
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
NAMES = {
    *("throughput-directives", "throughput-backlogs"),
    *("memory-directives", "latency-peers", "latency"),
}


def comparison(backends: Sequence[str] = BACKENDS) -> dict[str, Any]:
    """Each backend twice at each of two values; "go" loses some, and once has no rate."""
    known: list[dict[str, Any]] = [
        {"backend": backend, "repeat": repeat, "value": value, "rank": BACKENDS.index(backend) + 1}
        for backend in backends[::-1]
        for value in (1, 500)
        for repeat in (0, 1)
    ]
    rates = [
        one | {"dimension": dimension, "sustained": 10, "with_losses": rate}
        for one in known
        for dimension in ("directives", "backlogs")
        for rate in (1_000_000 // one["rank"] // one["value"] + one["repeat"],)
    ]
    if "go" in backends:
        note = "only 5 of 9 backlogs were opened in 60 s"
        none = {"backend": "go", "value": 900, "note": note}
        rates.append(none | {"dimension": "directives"})
        lossy = {"sustained": 3, "with_losses": 12, "lost_share": 0.0041}
        rates.append(none | lossy | {"dimension": "backlogs"})
    return PLACE | {
        "versions": {"ours": "0.1", "go": "go1.99 <dev>"},
        "rates": rates,
        "steady": [one | {"p99": 2.0 * one["rank"], "kept_up": True} for one in known],
        "life": [one | {"idle_mb": 20 + one["value"]} for one in known],
    }


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


def test_losses_and_rates_that_are_not_known_are_in_the_caption(tmp_path: Path) -> None:
    made = draw_all(tmp_path, compare=comparison())
    throughput = texts(made["throughput-directives"])
    assert "Hollow: go at 900 (only 5 of 9 backlogs were opened in 60 s)." in throughput
    assert "Hollow: go at 900 (0.41% lost)." in texts(made["throughput-backlogs"])
    assert "go1.99 <dev>" in throughput


def test_ours_comes_first_and_keeps_its_colour_without_peers(tmp_path: Path) -> None:
    both = [
        draw_all(tmp_path / str(number), compare=document)["throughput-directives"]
        for number, document in enumerate((comparison(), comparison(("ours",))))
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
