"""How a backend is started."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.peers.backend import OURS, Backend, environment


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


def test_a_binary_that_cannot_be_run_is_a_fault(tmp_path: Path) -> None:
    assert Backend(OURS).fault() is None
    assert Backend("go", script(tmp_path, "exit")).fault() is None
    assert Backend("go", tmp_path / "missing").fault() is not None


def test_the_version_has_the_checksum_of_the_binary(tmp_path: Path) -> None:
    version = Backend("go", script(tmp_path, "echo v1.2; echo more")).version()
    assert version.startswith("v1.2, sha256 ")
    failing = Backend("go", script(tmp_path, "echo v1.2; exit 1")).version()
    assert failing.startswith("says no version, sha256 ")


def test_settings_of_the_user_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSIEM_MAXEPS", "7")
    server: Any = SimpleNamespace(url="nats://x")
    settings = environment(3, server, server)
    assert "DSIEM_MAXEPS" not in settings
    assert settings["DSIEM_WORKERS"] == "3"
    assert settings["DSIEM_MAXQUEUE"] == "0"
