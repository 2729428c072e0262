"""Reloads of a cluster backend, whose configuration comes from a frontend with its own faults."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import NODE
from tests.support.frontend import Frontend, Reply
from tests.support.reload_pool import variant
from tests.support.reload_service import ReloadableService, SimultaneousReload, documents
from tests.support.reload_traffic import scenario_event
from tests.support.replaying import Json
from tests.support.serving import directives_of

FIRST, SECOND = directives_of(0, 2)
LIST, FILE = "/config/", f"/config/directives_{NODE}_a.json"
SLOW = Reply(body=b'{"files": []}'.ljust(600), drip=0.1)
"""A list that takes a minute."""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[ReloadableService]:
    """A backend that runs variant 0 of a directive."""
    yield from _backend(tmp_path)


@pytest.fixture
def polling(tmp_path: Path) -> Iterator[ReloadableService]:
    """The same, with --frontend-poll."""
    yield from _backend(tmp_path, "--frontend-poll=1")


def _backend(folder: Path, *options: str) -> Iterator[ReloadableService]:
    with ReloadableService(folder, "nats", *options) as service:
        service.put_directives(variant(FIRST, 0))
        service.start()
        yield service


def frontend_of(service: ReloadableService) -> Frontend:
    assert service.frontend is not None
    return service.frontend


def opening_event(number: int, of_variant: int) -> Json:
    return scenario_event(number, FIRST, 1, of_variant)


def downloaded(folder: Path) -> bytes:
    """The directives on the disk."""
    return (folder / "conf" / f"directives_{NODE}_a.json").read_bytes()


def directives(*numbers: int) -> bytes:
    """The document with this variant of the directive."""
    return documents([variant(FIRST, number) for number in numbers])["directives_a.json"]


def test_a_change_of_the_frontend_is_loaded_by_a_request(
    backend: ReloadableService, tmp_path: Path
) -> None:
    backend.put_directives(variant(FIRST, 1), variant(SECOND, 0))
    answer = backend.ops.reload()
    assert (answer.generation, answer.ids("changed"), answer.ids("added")) == (2, [FIRST], [SECOND])
    assert b"variant 1" in downloaded(tmp_path)
    backend.service.send_signal(signal.SIGHUP)
    backend.service.wait_for_log("configuration is unchanged")


def test_a_change_of_the_frontend_is_found_by_polling(polling: ReloadableService) -> None:
    for number in (1, 2, 3):
        polling.put_directives(variant(FIRST, number))
        polling.ops.wait_for_generation(number + 1)
        assert polling.ops.status()["config"]["last_reload"]["trigger"] == "frontend-poll"


def test_events_go_on_while_the_frontend_answers_slowly(polling: ReloadableService) -> None:
    frontend = frontend_of(polling)
    asked = frontend.times(LIST)
    frontend.replies[LIST] = SLOW
    frontend.wait_for(LIST, asked + 1)
    for number in range(1, 200):
        polling.send_and_wait(opening_event(number, 0))
    assert polling.ops.generation == 1
    request = SimultaneousReload(polling.ops)
    polling.put_directives(variant(FIRST, 1))
    frontend.replies.clear()
    assert request.answer().status in (200, 503)
    polling.ops.wait_for_generation(2)
    polling.send_and_wait(opening_event(200, 1))
    assert "variant 1" in polling.titles()[-1]
    assert polling.service.stop().code == 0


def test_the_stop_does_not_wait_for_a_slow_frontend(backend: ReloadableService) -> None:
    frontend = frontend_of(backend)
    frontend.replies[LIST] = SLOW
    asked = frontend.times(LIST)
    backend.service.send_signal(signal.SIGHUP)
    frontend.wait_for(LIST, asked + 1)
    ended = backend.service.stop()
    assert ended.code == 0
    backend.service.wait_until_gone()


def test_a_faulty_set_changes_nothing_and_is_set_aside(
    backend: ReloadableService, tmp_path: Path
) -> None:
    good = downloaded(tmp_path)
    frontend = frontend_of(backend)
    frontend.files[Path(FILE).name] = directives(1).replace(b'"stage": 2', b'"stage": 7')
    answer = backend.ops.reload()
    assert (answer.status, answer.result, answer.generation) == (422, "failed", 1)
    assert downloaded(tmp_path) == good
    problems = (tmp_path / "conf" / ".faulty" / "problems.txt").read_text()
    assert Path(FILE).name in problems
    assert "stage" in problems
    assert (tmp_path / "conf" / ".faulty" / Path(FILE).name).read_bytes() != good
    backend.send_and_wait(opening_event(1, 0))
    assert "variant 0" in backend.titles()[-1]
    frontend.files[Path(FILE).name] = directives(1)
    assert backend.ops.reload().generation == 2
    assert not (tmp_path / "conf" / ".faulty").exists()
    assert downloaded(tmp_path) == directives(1)


def test_a_faulty_set_is_found_by_polling_and_said_once(polling: ReloadableService) -> None:
    frontend = frontend_of(polling)
    frontend.files[Path(FILE).name] = directives(1)[:-20]
    polling.service.wait_for_log("the configuration is not reloaded")
    frontend.wait_for(LIST, frontend.times(LIST) + 4, 20)
    assert len(polling.service.logged("the configuration is not reloaded")) == 1
    frontend.files[Path(FILE).name] = directives(1)
    polling.ops.wait_for_generation(2)


def test_a_frontend_that_is_away_changes_nothing(backend: ReloadableService) -> None:
    frontend = frontend_of(backend)
    frontend.stop()
    answer = backend.ops.reload()
    assert (answer.status, answer.result, answer.generation) == (503, "failed", 1)
    backend.send_and_wait(opening_event(1, 0))
    frontend.start()
    backend.put_directives(variant(FIRST, 1))
    assert backend.ops.reload().generation == 2


def test_the_loader_is_killed_and_the_next_reload_works(
    backend: ReloadableService, tmp_path: Path
) -> None:
    """At any moment of a download; what it has begun is finished or undone by the next one."""
    frontend = frontend_of(backend)
    for number, reply in enumerate((SLOW, None, None), 1):
        backend.put_directives(variant(FIRST, number))
        if reply is not None:
            frontend.replies[LIST] = reply
        loader, request = backend.begin_reload()
        if reply is not None:
            frontend.wait_for(LIST, frontend.times(LIST) + 1)
        os.kill(loader, signal.SIGKILL)
        answer = request.answer()
        frontend.replies.clear()
        assert answer.status in ((503,) if reply else (200, 503))
        assert (answer.status == 200) == (answer.generation == number + 1)
        backend.send_and_wait(opening_event(number, number - (answer.status != 200)))
        assert backend.ops.reload().generation == number + 1
        assert downloaded(tmp_path) == directives(number)
    assert backend.service.stop().code == 0
