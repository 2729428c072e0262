"""The example of a plugin: installed as its README says, found by name, and used."""

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.alarm import Hit
from shards.lookups.plugins.registry import plugin_names
from shards.lookups.source_config import LookupSource, read_sources
from tests.support.frontend import Reply
from tests.support.lookup_server import LookupServer
from tests.support.lookup_service import in_loop, running_lookups
from tests.support.paths import ROOT

EXAMPLE = ROOT / "deploy" / "example" / "plugin"
IP = "203.0.113.9"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the package is installed, from a copy, since the build leaves files."""
    folder = tmp_path_factory.mktemp("plugin")
    copy = shutil.copytree(EXAMPLE, folder / "source")
    flags = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *flags, "--target", str(folder / "to")]
    done = subprocess.run([*command, str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "to"


@pytest.fixture
def importable(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(installed)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("dsiem_blocklist", None)


def document(url: str, **more: object) -> bytes:
    config = json.dumps({"url": f"{url}/of/${{ip}}", **more})
    source = {"name": "ours", "plugin": "Blocklist", "enabled": True, "config": config}
    return json.dumps({"intel_sources": [source]}).encode()


def source_of(url: str, **more: object) -> LookupSource:
    found = read_sources(document(url, **more), "intel_sources")
    assert found.findings == []
    [source] = found.sources
    return source


@pytest.mark.usefixtures("importable")
def test_the_installed_plugin_is_registered() -> None:
    assert plugin_names("intel") == ["Blocklist", "Wise"]
    assert plugin_names("vuln") == ["Nesd"]


@pytest.mark.usefixtures("importable")
@in_loop
async def test_hits_are_the_lists_of_an_address() -> None:
    with LookupServer(Reply(404)) as server:
        server.replies[f"/of/{IP}"] = Reply(body=b"botnets\nscanners\n")
        async with running_lookups(source_of(server.url)) as harness:
            await harness.look_up("a", IP, "198.51.100.7")
            hits = (Hit("Blocklist", IP, "on botnets"), Hit("Blocklist", IP, "on scanners"))
            assert harness.delivered == [("a", hits, "intel")]
            assert harness.counts() == {"breaker": "closed", "asked": 2, "found": 1, "nothing": 1}
        async with running_lookups(source_of(server.url, lists=["scanners"])) as harness:
            await harness.look_up("a", IP)
            assert harness.delivered == [("a", hits[1:], "intel")]


@pytest.mark.usefixtures("importable")
@in_loop
async def test_bad_replies_are_counted() -> None:
    with LookupServer(Reply(body=b"x" * 101)) as server:
        async with running_lookups(source_of(server.url)) as harness:
            await harness.look_up("a", IP)
            server.usual = Reply(500)
            await harness.look_up("b", IP)
            assert harness.counts()["errors"] == {"bad_answer": 1, "status_500": 1}


@pytest.mark.usefixtures("importable")
def test_a_refused_config_is_reported_as_a_fault_of_the_document() -> None:
    [finding] = read_sources(document("http://x", lists="botnets"), "intel_sources").findings
    assert finding.code == "bad-source"
    assert finding.message.endswith("Blocklist: lists must be a list of names")


def test_without_the_installation_the_plugin_is_unknown() -> None:
    [finding] = read_sources(document("http://x"), "intel_sources").findings
    assert finding.code == "unknown-plugin"


def test_validate_finds_the_plugin(installed: Path, tmp_path: Path) -> None:
    """The command finds the plugin by the module path of its environment."""
    file = tmp_path / "intel_ours.json"
    file.write_bytes(document("http://blocklists:8000"))
    for path, code, message in ((str(installed), 0, ""), ("", 1, "unknown-plugin")):
        command = [sys.executable, str(ROOT / "cli.py"), "validate", "--strict-lookups", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"PYTHONPATH": path}
        )
        assert (done.returncode, message in done.stdout) == (code, True), done.stderr


def test_the_script_in_the_readme_works(installed: Path) -> None:
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    script = readme.partition("<<'EOF'\n")[2].partition("EOF\n")[0]
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{installed}:{ROOT}"},
    )
    hit = Hit("Blocklist", IP, "on botnets")
    assert (done.stdout, done.stderr) == (f"{[hit]}\n", "")
