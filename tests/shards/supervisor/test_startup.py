"""The start, up to the configuration; tests/integration has the rest with real processes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shards.settings.settings import Settings
from shards.supervisor import config_loading
from shards.supervisor.startup import FirstLoad
from tests.support.serving import counting_directive, write_config


@pytest.fixture
def _handlers() -> Iterator[None]:
    """The handler of SIGHUP is put back."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_handlers")
def test_what_changes_once_the_loader_may_read_the_files_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SIGHUP and a changed file, both as soon as the loader has been started."""
    folder = write_config(tmp_path, [counting_directive(1)])

    def change(*_: Any) -> None:
        write_config(tmp_path, [counting_directive(1), counting_directive(2)])
        os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(config_loading, "ChildProcess", change)
    no_server: Any = None
    load = FirstLoad(Settings(config_dir=folder, watch=True), no_server)
    assert load.has_hangup
    assert load.watcher is not None
    waits = iter([False] * 10)
    assert len(list(load.watcher.changes(lambda _: next(waits, True)))) == 1
