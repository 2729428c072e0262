"""What asks for reloads by itself: changed files, and the clock."""

import asyncio
from pathlib import Path

import pytest

from shards.config import folder_watcher
from shards.config.folder_watcher import FolderWatcher
from shards.supervisor.reload_triggers import run_triggers
from tests.shards.supervisor.test_children import Loop


def test_without_triggers_nothing_is_asked_for() -> None:
    async def run() -> list[str]:
        requests: list[str] = []
        async with run_triggers(None, 0, requests.append):
            await asyncio.sleep(100_000)
        return requests

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(run()) == []


def test_a_frontend_is_asked_again_and_again() -> None:
    async def run() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        begun, requests = loop.time(), list[tuple[str, float]]()
        async with run_triggers(
            None, 60, lambda trigger: requests.append((trigger, loop.time() - begun))
        ):
            await asyncio.sleep(190)
        await asyncio.sleep(100)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return requests

    with asyncio.Runner(loop_factory=Loop) as runner:
        found = runner.run(run())
    assert [trigger for trigger, _ in found] == ["frontend-poll"] * 3
    assert [at for _, at in found] == pytest.approx([60, 120, 180])


def test_changed_files_ask_for_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watcher, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(folder_watcher, "_QUIET_SECONDS", 0.01)
    watcher = FolderWatcher(tmp_path)
    (tmp_path / "directives_a.json").write_text("{}")  # before anybody looks

    async def run() -> list[str]:
        requests: list[str] = []
        async with asyncio.timeout(20), run_triggers(watcher, 0, requests.append):
            while not requests:
                await asyncio.sleep(0.01)
            (tmp_path / "directives_a.json").write_text('{"directives":[]}')
            while len(requests) < 2:
                await asyncio.sleep(0.01)
        return requests

    assert asyncio.run(run()) == ["watch", "watch"]
