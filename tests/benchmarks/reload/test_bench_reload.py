"""The benchmark of reloads with a small configuration: it runs, and loses nothing."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.reload.reload_run import ChangingDirectives
from tests.support.paths import ROOT


@pytest.mark.integration
def test_a_small_run_has_all_figures(tmp_path: Path) -> None:
    results = tmp_path / "bench_reload.json"
    options = ("--quick", "--directives=50", "--rate=2000", f"--json={results}")
    command = (sys.executable, str(ROOT / "benchmarks/bench_reload.py"), *options)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    document = msgspec.json.decode(results.read_bytes())
    assert len(document["reloads"]) == 2
    assert {figure["section"] for figure in document["figures"]} == {"reload", "latency", "memory"}
    (lost,) = (one for one in document["figures"] if one["name"].endswith("events lost"))
    assert lost["value"] == 0


def test_one_directive_changes_from_document_to_document() -> None:
    directives = ChangingDirectives(10)
    first, second = (
        {one["id"]: one for one in msgspec.json.decode(document)["directives"]}
        for document in (directives.next(), directives.next())
    )
    assert [id_ for id_ in first if first[id_] != second[id_]] == [directives.changing]
