"""With which configuration a worker begins, and what it makes of one."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.directives.asset_document import parse_assets
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.store import CheckpointStore
from shards.ledger import Ledger, encode_ledger
from shards.settings.settings import Settings
from shards.worker.setup import first_generation, load_config, shard_options
from shards.worker.start import WorkerStart
from tests.support.generations import worker_generation
from tests.support.routing import ASSETS, directives

GENERATIONS = tuple(worker_generation(number, (), ()) for number in (3, 4, 5))


def save(settings: Settings, generation: int, worker: int = 0, run: str = "run") -> None:
    prepare_database(checkpoint_path(settings))
    row = ShardRow(worker, run, 7, encode_ledger(Ledger()), generation=generation)
    with closing(CheckpointStore(checkpoint_path(settings))) as store:
        store.save([row], [], 1)


def first(settings: Settings, *, is_first: bool = False) -> int:
    return first_generation(settings, WorkerStart(0, "run", GENERATIONS, is_first)).generation


@pytest.mark.parametrize(("saved", "begins"), [(3, 3), (4, 4), (5, 5), (2, 3), (9, 3), (0, 3)])
def test_it_begins_with_that_of_its_checkpoint_or_the_oldest(
    saved: int, begins: int, tmp_path: Path
) -> None:
    settings = Settings(log_dir=tmp_path)
    save(settings, saved)
    save(settings, 5, worker=1)
    assert first(settings) == begins


def test_the_first_start_of_a_run_begins_with_the_first(tmp_path: Path) -> None:
    settings = Settings(log_dir=tmp_path)
    save(settings, 5)
    assert first(settings, is_first=True) == 3
    save(settings, 5, run="another")
    assert first(settings) == 3


def test_without_checkpoints_or_a_readable_one_it_is_the_oldest(tmp_path: Path) -> None:
    settings = Settings(log_dir=tmp_path)
    assert first(settings) == 3
    save(settings, 5)
    assert first(Settings(log_dir=tmp_path, checkpoint_interval=0)) == 3
    checkpoint_path(settings).write_bytes(b"garbage" * 1000)
    assert first(settings) == 3


def test_with_a_stream_it_waits_until_the_checkpoint_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is restored afterwards has been waited for as well, and must be of that generation."""
    settings = Settings(log_dir=tmp_path, stream="EVENTS", mode="cluster-backend")
    save(settings, 5)
    path = checkpoint_path(settings)
    away = path.with_name("away")
    path.rename(away)
    path.mkdir()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        path.rmdir()
        away.rename(path)

    monkeypatch.setattr(time, "sleep", wait)
    assert first(settings) == 5
    assert len(waits) == 1


def test_a_configuration_can_be_used_at_once() -> None:
    assets = parse_assets(ASSETS)[0]
    config = worker_generation(1, directives(), assets).config
    taken: list[Any] = []

    def track(items: Any) -> Any:
        for item in items:
            taken.append(item)
            yield item

    loaded = load_config(1, config, track)
    assert list(loaded.directives.directives.values()) == directives()
    assert loaded.directives.assets.address_info("10.9.9.9").whitelisted
    assert loaded.sources == ()
    assert len(taken) == len(assets) + len(directives())


@pytest.mark.parametrize("lookups", [False, True])
def test_changes_are_tracked_for_checkpoints_only(lookups: bool) -> None:
    options = shard_options(Settings(expiry_grace=7), lookups=lookups)
    assert (options.track_changes, options.lookups, options.expiry_grace) == (True, lookups, 7)
    assert not shard_options(Settings(checkpoint_interval=0), lookups=lookups).track_changes
