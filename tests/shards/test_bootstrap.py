"""Preparations of serve: stop signals during the start, and the temporary folder."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.bootstrap import (
    STOP_SIGNALS,
    StartInterrupted,
    ensure_temporary_folder,
    interrupt_start_on_signal,
)


@pytest.fixture
def _restored_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_restored_signals")
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_interrupts_the_start(number: signal.Signals) -> None:
    interrupt_start_on_signal()
    with pytest.raises(StartInterrupted):
        os.kill(os.getpid(), number)


def test_no_library_can_swallow_the_interruption() -> None:
    assert not issubclass(StartInterrupted, Exception)


def test_a_system_without_a_temporary_folder_gets_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", fail)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "")
    ensure_temporary_folder(tmp_path / "of" / "ours")
    assert (tmp_path / "of" / "ours").is_dir()
    assert tempfile.tempdir == os.environ["TMPDIR"] == str(tmp_path / "of" / "ours")


def test_a_system_with_a_temporary_folder_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ensure_temporary_folder(tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
