"""Processes of a running service that hang, or that have no file descriptors left."""

import os
import resource
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.serving import (
    NumberedEvents,
    Service,
    counting_directive,
    directives_of,
    few_descriptors,
    serving,
    wait_until,
    write_config,
)

FIRST, SECOND = (directives_of(worker, 2) for worker in (0, 1))
"""The directives that live in each of two workers."""
HANG = ("--hang-timeout", "3")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path, map(counting_directive, (*FIRST, *SECOND)))
    return tmp_path


def listens(service: Service) -> bool:
    """Whether the service accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", service.port)).close()
    except ConnectionRefusedError:
        return False
    return True


def check_all_taken(service: Service, events: int) -> None:
    """Stop the service, and check that all events were taken once, besides those lost and said."""
    ended = service.stop()
    assert ended.code == 0, service.text()
    ended.ledger.check()
    assert ended.ledger["events_received"] == events
    ids = Counter(service.event_ids())
    assert max(ids.values()) == 1
    assert len(ids) == events - ended.ledger.lost


@pytest.mark.parametrize("process", ["worker-0", "router"])
def test_a_process_that_hangs_is_killed_and_started_again(process: str, folder: Path) -> None:
    events = NumberedEvents(*FIRST, *SECOND)
    with serving(folder, *HANG) as service:
        assert service.post(events.take(100)).accepted == 100
        service.wait_for_lines(100)
        hung = service.router if process == "router" else service.workers[0]
        os.kill(hung, signal.SIGSTOP)
        service.wait_for_log("a process makes no progress, and is killed", process=process)
        service.wait_for_children(3, gone=hung)
        wait_until(lambda: listens(service), "the new router")
        late = f"e{events.made + 50}"
        assert service.post(events.take(100)).accepted == 100
        wait_until(lambda: late in service.event_ids(), "events of its next life")
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()


def test_a_worker_that_hangs_while_it_restarts_is_killed_too(folder: Path) -> None:
    events = NumberedEvents(*FIRST, *SECOND)
    with serving(folder, *HANG) as service:
        os.kill(service.workers[0], signal.SIGKILL)
        starting = service.wait_for_children(3, gone=service.workers[0])
        os.kill(starting, signal.SIGSTOP)
        service.wait_for_log("a process makes no progress, and is killed", process="worker-0")
        service.wait_for_children(3, gone=starting)
        assert service.post(events.take(100)).accepted == 100
        service.wait_for_lines(100)
        check_all_taken(service, 100)


def test_a_supervisor_that_was_stopped_accuses_no_process(folder: Path) -> None:
    events = NumberedEvents(*FIRST, *SECOND)
    with serving(folder, *HANG) as service:
        os.kill(service.process.pid, signal.SIGSTOP)
        end = time.monotonic() + 4
        assert service.post(events.take(300)).accepted == 300
        wait_until(lambda: time.monotonic() > end, "a time longer than the hang timeout")
        os.kill(service.process.pid, signal.SIGCONT)
        service.wait_for_lines(300)
        check_all_taken(service, 300)
        assert not service.logged("a process makes no progress, and is killed")


def test_a_router_without_descriptors_is_replaced_when_a_worker_needs_a_pipe(
    folder: Path,
) -> None:
    """It once went on without the pipe: the worker got no events, and health said ok."""
    events = NumberedEvents(*FIRST, *SECOND)
    with serving(folder) as service:
        router = service.router
        with few_descriptors(router):
            os.kill(service.workers[0], signal.SIGKILL)
            service.wait_for_log("a process has died", process="worker-0")
            service.wait_for_log("a process has died", process="router")
        service.wait_for_children(3, gone=router)
        wait_until(lambda: listens(service), "the new router")
        assert service.post(events.take(100)).accepted == 100
        wait_until(lambda: f"e{events.made - 1}" in service.event_ids(), "new events")
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()


def test_a_supervisor_without_descriptors_waits_until_there_are_some(folder: Path) -> None:
    events = NumberedEvents(*FIRST, *SECOND)
    with serving(folder) as service:
        with few_descriptors(service.process.pid):
            os.kill(service.workers[0], signal.SIGKILL)
            service.wait_for_log("worker-0 cannot be started")
            assert service.post(events.take(100)).accepted == 100
        service.wait_for_children(3, gone=service.workers[0])
        assert service.post(events.take(100)).accepted == 100
        wait_until(lambda: {"e198", "e199"} <= {*service.event_ids()}, "events of both workers")
        check_all_taken(service, 200)


def test_all_processes_may_open_as_many_files_as_the_system_permits(folder: Path) -> None:
    with serving(folder) as service:
        for pid in (service.process.pid, service.router, *service.workers):
            soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            assert soft == hard
