"""The loader process: what it writes of a configuration, and what it says of one with faults."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.directives.index import DirectiveRoutingKeys, routing_keys_of
from shards.config.config_folder import load_config
from shards.config.generation import (
    ConfigChanges,
    ConfigParts,
    FormerDefinitions,
    LoadRequest,
    LoadResult,
    RunningConfig,
)
from shards.ipc.child import ChildProcess
from shards.ipc.forked_process import ForkServer
from shards.ipc.messages import FromChild, Progress
from shards.ipc.shared_value import SharedValue
from shards.placement import shard_of_directive
from shards.settings.service_settings import MAX_WORKERS
from shards.settings.settings import Settings
from shards.supervisor.config_loading import LOADER_TARGET
from tests.support.frontend import LIST, Frontend, Reply
from tests.support.serving import ASSETS, counting_directive, write_config

pytestmark = pytest.mark.integration  # real processes

SECONDS = 20
NODE = "n1"
A, D = "assets_a.json", f"directives_{NODE}.json"
FROM_FOLDER = LoadRequest(download=False, is_start=False, wait_seconds=0)
START = LoadRequest(download=True, is_start=True, wait_seconds=5)
RELOAD = LoadRequest(download=True, is_start=False, wait_seconds=5)
IDS = range(1, 40)
WISE = {
    "name": "wise",
    "plugin": "Wise",
    "type": "IP",
    "enabled": True,
    "config": '{"url": "http://127.0.0.1:1/ip/${ip}"}',
}


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """A fork server."""
    with ForkServer(["shards.config.loader"]) as server:
        yield server


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    """A frontend that serves a complete set."""
    with Frontend() as served:
        served.put(A, {"assets": ASSETS})
        served.put(D, {"directives": [counting_directive(id_) for id_ in IDS]})
        yield served


class Loaded(msgspec.Struct):
    """What a loader has left: its exit code, messages and parts."""

    code: int
    messages: list[FromChild]
    parts: ConfigParts

    @property
    def result(self) -> LoadResult:
        result: LoadResult = self.parts.result.load()
        return result

    @property
    def failure(self) -> LoadResult:
        """The result, of a load that failed: nothing else was written."""
        assert self.code == 0
        assert self.result.summary is None
        for part in (self.parts.known, self.parts.router, *self.parts.workers):
            assert os.fstat(part.descriptor).st_size == 0
        return self.result


def load(
    server: ForkServer,
    settings: Settings,
    request: LoadRequest = FROM_FOLDER,
    running: ConfigParts | None = None,
    on_start: Callable[[ChildProcess], None] = lambda _: None,
) -> Loaded:
    """Run a loader to its end."""

    async def run() -> Loaded:
        parts, messages = ConfigParts.create(settings.workers), list[FromChild]()
        before = None
        if running is not None:
            former = SharedValue.of(FormerDefinitions())
            before = RunningConfig(running, former)
        child = ChildProcess(server, "loader", LOADER_TARGET, settings, request, before, parts)
        watching = asyncio.to_thread(on_start, child)
        async with asyncio.timeout(SECONDS):
            code, _ = await asyncio.gather(child.handle_until_exit(messages.append), watching)
        return Loaded(code, messages, parts)

    return asyncio.run(run())


def settings_of(folder: Path, frontend: Frontend | None = None, **more: Any) -> Settings:
    url = frontend.url if frontend else "http://127.0.0.1:1"
    return Settings(config_dir=folder, node=NODE, frontend=url, workers=3, **more)


def config_of(folder: Path, *ids: int, **changes: Any) -> Path:
    return write_config(folder, [counting_directive(id_) | changes for id_ in ids])


def identity(folder: Path) -> dict[Path, tuple[int, int]]:
    """What tells whether a file of a folder was written; of hidden ones nothing."""
    found = {path: path.stat() for path in folder.glob("[!.]*")}
    return {path: (status.st_ino, status.st_ctime_ns) for path, status in found.items()}


# What is written.


@pytest.mark.parametrize("size", [1, 2])
def test_each_worker_gets_its_directives_and_the_router_the_keys_of_all(
    size: int, server: ForkServer, tmp_path: Path
) -> None:
    settings = settings_of(config_of(tmp_path, *IDS), cluster_size=size, cluster_index="0")
    loaded = load(server, settings)
    config, _ = load_config(settings)
    assert config is not None
    assert loaded.code == 0
    summary = loaded.result.summary
    assert summary is not None
    assert (summary.hash, summary.rejected, summary.disabled) == (config.hash, 0, ())
    for number, part in enumerate(loaded.parts.workers):
        worker = part.load()
        place = (0, number)
        mine = [d for d in config.directives if shard_of_directive(d.id, size, 3) == place]
        assert mine
        assert list(worker.directives.values()) == mine
        assert summary.directives[number] == [directive.id for directive in mine]
        assert (worker.assets, worker.sources) == (config.assets, ())
    router = loaded.parts.router.load()
    keys = msgspec.msgpack.decode(router.routing_keys, type=list[DirectiveRoutingKeys])
    assert keys == [routing_keys_of(directive) for directive in config.directives]
    assert router.assets == config.assets


def test_a_worker_without_directives_has_none(server: ForkServer, tmp_path: Path) -> None:
    loaded = load(server, settings_of(config_of(tmp_path, 1)))
    assert sorted(len(part.load().directives) for part in loaded.parts.workers) == [0, 0, 1]


def test_as_many_workers_as_there_may_be_get_their_parts(
    server: ForkServer, tmp_path: Path
) -> None:
    settings = replace(settings_of(config_of(tmp_path, *IDS)), workers=MAX_WORKERS)
    running = load(server, settings).parts
    loaded = load(server, settings, running=running)
    assert loaded.result.changes.unchanged == len(IDS)
    assert sum(len(part.load().directives) for part in loaded.parts.workers) == len(IDS)


def test_lookup_sources_go_to_the_workers(server: ForkServer, tmp_path: Path) -> None:
    folder = config_of(tmp_path, 1)
    (folder / "intel_a.json").write_text(json.dumps({"intel_sources": [WISE]}))
    loaded = load(server, settings_of(folder))
    assert [[source.name for source in part.load().sources] for part in loaded.parts.workers] == [
        ["wise"]
    ] * 3


def test_warnings_and_what_is_disabled_or_left_out_are_in_the_result(
    server: ForkServer, tmp_path: Path
) -> None:
    config = [counting_directive(1), counting_directive(2) | {"disabled": True}]
    config.append(counting_directive(3) | {"name": ""})
    folder = write_config(tmp_path, config)
    result = load(server, settings_of(folder, lenient_directives=True)).result
    assert result.summary is not None
    assert (result.summary.disabled, result.summary.rejected) == ((2,), 1)
    assert [problem["severity"] for problem in result.problems] == ["warning", "warning"]
    assert result.problems[0]["directive"] == 2
    place = f"{folder}/directives_a.json:1:"
    assert result.problems[0]["text"].startswith(place)


# Changes.


def test_at_the_start_all_is_new(server: ForkServer, tmp_path: Path) -> None:
    result = load(server, settings_of(config_of(tmp_path, 3, 1, 2))).result
    assert result.changes == ConfigChanges(added=[1, 2, 3], assets=True)


def test_the_changes_since_the_running_configuration(server: ForkServer, tmp_path: Path) -> None:
    settings = settings_of(config_of(tmp_path, *range(1, 7)))
    running = load(server, settings).parts
    document = [counting_directive(id_) for id_ in (7, 1, 2, 5, 8)]  # another order is no change
    document[1]["name"] = "another"
    document[3]["rules"][1]["reliability"] = 3
    document.append(counting_directive(6) | {"disabled": True})
    folder = write_config(tmp_path, document)
    (folder / "intel_a.json").write_text(json.dumps({"intel_sources": [WISE]}))
    changes = load(server, settings, running=running).result.changes
    assert changes == ConfigChanges([7, 8], [1, 5], [3, 4, 6], unchanged=1, lookups=True)
    write_config(tmp_path, document, assets=ASSETS[:1])
    changes = load(server, settings, running=running).result.changes
    assert changes.assets


def test_another_layout_of_the_files_is_no_change(server: ForkServer, tmp_path: Path) -> None:
    settings = settings_of(config_of(tmp_path, 1, 2))
    first = load(server, settings)
    path = settings.config_dir / "directives_a.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    again = load(server, settings, running=first.parts).result
    assert not again.changes.any
    assert again.changes.unchanged == 2
    assert again.summary is not None
    assert first.result.summary is not None
    assert again.summary.hash != first.result.summary.hash


# Faults.


def test_faults_are_listed_and_nothing_else_is_written(server: ForkServer, tmp_path: Path) -> None:
    folder = config_of(tmp_path, 1, 2, priority=9)
    failure = load(server, settings_of(folder)).failure
    assert (failure.exit_code, failure.error) == (1, "")
    first, second = failure.problems
    assert (first["severity"], first["directive"], first["field"]) == ("fault", 1, "priority")
    assert second["text"].endswith("priority: is 9, must be a whole number from 1 to 5")


def test_more_faults_than_are_listed_are_counted(server: ForkServer, tmp_path: Path) -> None:
    folder = config_of(tmp_path, *range(1, 1101), priority=9)
    failure = load(server, settings_of(folder)).failure
    assert len(failure.problems) == 1000
    assert failure.unlisted.startswith("100 more problems are not listed here")


@pytest.mark.parametrize(
    ("path", "text"),
    [("none", "{} is missing"), ("file", "{} is not a folder"), (".", "{} holds no config, must")],
)
def test_a_folder_that_is_none_is_an_error(
    path: str, text: str, server: ForkServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    failure = load(server, settings_of(tmp_path / path)).failure
    assert failure.exit_code == 2
    assert failure.error.startswith(text.format(tmp_path / path))


@pytest.mark.parametrize("setting", [{"lookup_ca": "/none"}, {"lookup_proxy": "http://"}], ids=str)
def test_lookups_that_cannot_be_reached_as_set_are_an_error_if_there_are_sources(
    setting: dict[str, Any], server: ForkServer, tmp_path: Path
) -> None:
    settings = replace(settings_of(config_of(tmp_path, 1)), **setting)
    assert load(server, settings).result.summary is not None
    document = json.dumps({"intel_sources": [WISE]})
    (settings.config_dir / "intel_a.json").write_text(document)
    failure = load(server, settings).failure
    assert failure.exit_code == 3
    assert "of lookups" in failure.error


# The frontend.


def test_a_start_downloads_reads_each_file_once_and_names_it_where_it_is(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    frontend.put("assets_old.jsn", {})
    (folder := tmp_path / "conf").mkdir()
    (folder / "asets_a.json").write_text("{}")
    documents = [counting_directive(id_) | {"kingdm": ""} for id_ in IDS]
    frontend.put(D, {"directives": documents})
    settings = settings_of(folder, frontend)
    loaded = load(server, settings, START)
    summary = loaded.result.summary
    assert summary is not None
    assert summary.trouble == ""
    config, problems = load_config(settings)
    assert config is not None
    assert summary.hash == config.hash
    assert sum(map(len, summary.directives)) == len(IDS)
    assert sum(len(part.load().directives) for part in loaded.parts.workers) == len(IDS)
    texts = [problem["text"] for problem in loaded.result.problems]
    assert sorted(texts) == sorted(map(str, problems.listed))
    again = load(server, settings, RELOAD, loaded.parts).result
    assert not again.changes.any
    assert again.summary == summary


def test_a_start_with_a_faulty_download_uses_the_last_one_and_has_the_problems_of_the_other(
    frontend: Frontend, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(tmp_path, frontend)
    with ForkServer([]) as server:
        load(server, settings, START)
        frontend.put(D, {"directives": [counting_directive(1) | {"priority": 9}]})
        result = load(server, settings, START).result
    assert result.summary is not None
    assert sum(map(len, result.summary.directives)) == len(IDS)
    assert result.summary.trouble.endswith("the downloaded configuration has 1 fault")
    [problem] = result.problems
    assert (problem["file"], problem["severity"]) == (f"{tmp_path}/.faulty/{D}", "fault")
    log = capfd.readouterr().err
    assert "starting with the configuration that was downloaded before" in log
    assert "priority" not in log  # it is for the supervisor to log


def test_a_first_download_that_is_faulty_ends_the_start(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    frontend.put(D, {"directives": [counting_directive(1) | {"priority": 9}]})
    failure = load(server, settings_of(tmp_path, frontend), START).failure
    assert failure.exit_code == 1
    assert failure.error == "the downloaded configuration has 1 fault"
    assert [problem["file"] for problem in failure.problems] == [f"{tmp_path}/.faulty/{D}"]
    assert list(tmp_path.glob("[!.]*")) == []


def test_a_reload_that_finds_faults_or_no_frontend_leaves_the_files(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, frontend)
    running = load(server, settings, START).parts
    before = identity(tmp_path)
    frontend.put(D, {"directives": [counting_directive(1) | {"priority": 9}]})
    failure = load(server, settings, RELOAD, running).failure
    assert failure.error == "the downloaded configuration has 1 fault"
    assert len(failure.problems) == 1
    frontend.stop()
    at_once = LoadRequest(download=True, is_start=False, wait_seconds=0)
    failure = load(server, settings, at_once, running).failure
    assert failure.error.startswith("the configuration cannot be downloaded: ")
    assert failure.problems == []
    assert identity(tmp_path) == before


def test_a_folder_that_cannot_be_written_to_is_an_error(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    failure = load(server, settings_of(tmp_path / "file", frontend), START).failure
    assert failure.exit_code == 2
    assert failure.error == f"{tmp_path}/file cannot be used: File exists"


# Its end.


@pytest.mark.parametrize("path", [LIST, LIST + D])
@pytest.mark.parametrize("drip", [{"head_drip": 60.0}, {"drip": 0.05}], ids=["head", "body"])
def test_a_loader_that_is_killed_in_the_middle_of_a_download_harms_nothing(
    drip: dict[str, Any], path: str, server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, frontend)
    running = load(server, settings, START).parts
    before = identity(tmp_path)
    frontend.put(D, {"directives": [counting_directive(1)]})
    frontend.replies[path] = [frontend.reply_to(path)._replace(**drip)]
    frontend.asked.clear()

    def kill(child: ChildProcess) -> None:
        frontend.wait_for(path)
        child.kill()

    assert load(server, settings, RELOAD, running, on_start=kill).code == -signal.SIGKILL
    assert identity(tmp_path) == before
    changes = load(server, settings, RELOAD, running).result.changes
    assert (changes.removed, changes.unchanged) == (list(IDS[1:]), 1)
    assert {path.name for path in tmp_path.iterdir()} == {A, D, ".downloaded.json"}


def test_what_a_killed_loader_has_half_installed_is_finished_before_the_files_are_read(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, frontend, mode="cluster-backend")
    running = load(server, settings, START).parts
    (arrived := tmp_path / ".arrived").mkdir()
    (tmp_path / ".downloaded.json").rename(arrived / ".downloaded.json")
    document = {"directives": [counting_directive(1)]}
    (arrived / D).write_text(json.dumps(document))
    changes = load(server, settings, FROM_FOLDER, running).result.changes
    assert (changes.removed, changes.unchanged) == (list(IDS[1:]), 1)
    assert not arrived.exists()


def test_the_position_of_a_loader_is_what_it_waits_for(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    frontend.replies[LIST] = Reply(body=b"x", head_drip=60.0)

    async def run() -> str:
        settings, parts = settings_of(tmp_path, frontend), ConfigParts.create(3)
        child = ChildProcess(server, "loader", LOADER_TARGET, settings, START, None, parts)
        ended = asyncio.create_task(child.handle_until_exit(lambda _: None))
        await asyncio.to_thread(frontend.wait_for, LIST)
        position = await child.find_position()
        child.kill()
        async with asyncio.timeout(SECONDS):
            await ended
        return position

    assert " < http_client.py:" in asyncio.run(run())


def test_a_loader_ends_with_its_supervisor(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    """The end of the control pipe is all that tells it."""
    frontend.replies[LIST] = Reply(body=b"x" * 100, head_drip=60.0)

    async def run() -> int:
        settings, parts = settings_of(tmp_path, frontend), ConfigParts.create(3)
        child = ChildProcess(server, "loader", LOADER_TARGET, settings, START, None, parts)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(child._process.sentinel, ended.set)
        await asyncio.to_thread(frontend.wait_for, LIST)
        child._pipe.close()
        async with asyncio.timeout(SECONDS):
            await ended.wait()
        asyncio.get_running_loop().remove_reader(child._process.sentinel)
        return child._process.wait()

    assert asyncio.run(run()) == 1


def test_progress_is_reported_while_the_frontend_is_slow(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    body = frontend.files[A]
    frontend.replies[LIST + A] = Reply(body=body, drip=3.0 / len(body))
    loaded = load(server, settings_of(tmp_path, frontend), START)
    assert loaded.result.summary is not None
    assert loaded.messages.count(Progress()) >= 2


def test_progress_is_reported_while_the_frontend_is_waited_for(
    server: ForkServer, frontend: Frontend, tmp_path: Path
) -> None:
    frontend.replies[LIST] = [Reply(503)] * 3
    loaded = load(server, settings_of(tmp_path, frontend), START)
    assert loaded.result.summary is not None
    assert Progress() in loaded.messages


def test_a_loader_that_fails_says_so_and_has_no_result(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings, parts = settings_of(config_of(tmp_path, 1)), ConfigParts.create(2)  # one too few

    async def run() -> int:
        with ForkServer([]) as server:
            child = ChildProcess(
                server, "loader", LOADER_TARGET, settings, FROM_FOLDER, None, parts
            )
            async with asyncio.timeout(SECONDS):
                return await child.handle_until_exit(lambda _: None)

    assert asyncio.run(run()) == 1
    assert "a process has failed" in capfd.readouterr().err
    assert os.fstat(parts.result.descriptor).st_size == 0
