"""How a backend is recognized and started."""

from pathlib import Path

import pytest

from benchmarks.peers.backend import OURS, Backend
from tests.benchmarks.peers.fake_peer import fake_peer

URLS = {"frontend": "http://x", "msq": "nats://x"}


def script(folder: Path, text: str) -> Path:
    path = folder / "peer"
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("kind", "arguments"), [("go", []), ("rust", ["-n", "bench"])])
def test_a_peer_is_copied_into_its_folder(tmp_path: Path, kind: str, arguments: list[str]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    binary, verb, *rest = Backend(kind, script(tmp_path, "exit")).command(folder)
    assert Path(binary).parent == folder
    assert Path(binary).exists()
    assert (verb, rest) == ("serve", arguments)


def test_a_file_that_cannot_be_executed_is_a_fault_in_a_sentence(tmp_path: Path) -> None:
    text, wrong, folder = tmp_path / "text", tmp_path / "wrong", tmp_path / "folder"
    text.write_text("no program\n", "utf-8")
    wrong.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xf3\x00" + bytes(44))  # RISC-V
    folder.mkdir()
    for path in (text, wrong):
        path.chmod(0o755)
        assert str(Backend("go", path).fault()).startswith(f"{path} cannot be executed: ")
    text.chmod(0o644)
    for path in (text, folder, tmp_path / "missing"):
        assert Backend("go", path).fault() == f"{path} is not an executable file"


@pytest.mark.parametrize(
    ("kind", "prints"),
    [
        ("go", "      --medRiskMax int         Maximum alarm risk value"),
        ("rust", "dsiem-backend 0.35.2"),
        ("dsiem-rs", "dsiem 1.5.2"),
    ],
)
def test_a_binary_is_what_it_was_said_to_be_or_a_fault(
    tmp_path: Path, kind: str, prints: str
) -> None:
    binary = script(tmp_path, f"echo '{prints}'")
    for name in ("go", "rust", "dsiem-rs"):
        fault = Backend(name, binary).fault()
        assert (fault is None) == (name == kind)
        assert fault is None or prints.strip()[:70] in fault
    assert Backend(OURS).fault() is None


def test_the_version_has_the_checksum_of_the_binary(tmp_path: Path) -> None:
    version = Backend("go", script(tmp_path, "echo 2 cpus; echo v1.2; echo more")).version()
    assert version.startswith("v1.2, sha256 ")
    failing = Backend("go", script(tmp_path, "exit 1")).version()
    assert failing.startswith("says no version, sha256 ")
    assert Backend("dsiem-rs", fake_peer(tmp_path)).version().startswith("dsiem 1.99.0, sha256 ")


def test_settings_of_the_user_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSIEM_MAXEPS", "7")
    settings = Backend(OURS).environment(3, URLS, 8080, unbounded=False)
    assert "DSIEM_MAXEPS" not in settings
    assert settings["DSIEM_WORKERS"] == "3"


def test_queues_have_their_defaults_unless_unbounded_ones_are_asked_for() -> None:
    settings = Backend("go").environment(3, URLS, 8080, unbounded=False)
    assert not {"DSIEM_MAXQUEUE", "DSIEM_MAXDELAY"} & settings.keys()
    assert Backend("go").environment(3, URLS, 8080, unbounded=True)["DSIEM_MAXQUEUE"] == "0"
