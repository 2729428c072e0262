"""The fork server: its death, its end with the supervisor, and what its processes import."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.ipc import forked_process
from shards.ipc.forked_process import ForkServer
from shards.ipc.preload import modules_of_children, shared_modules
from shards.settings.settings import Settings
from tests.support.nats_server import wait_until
from tests.support.paths import ROOT
from tests.support.serving import Service, counting_directive, serving, write_config

EXITING = "tests.support.child_targets:exiting"


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """A fork server that has imported nothing."""
    with ForkServer([]) as server:
        yield server


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service with two workers."""
    write_config(tmp_path, map(counting_directive, (1, 2, 3)))
    with serving(tmp_path) as service:
        yield service


def fork_server_of(service: Service) -> int:
    """The process id of its fork server; 0 if there is none."""
    for pid in service.pids():
        if Path(f"/proc/{pid}/comm").read_text() == "fork-server\n":
            return pid
    return 0


def parent_of(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_forked_process_is_a_child_of_its_own_and_has_its_name(server: ForkServer) -> None:
    process = server.fork("worker-9", "tests.support.child_targets:sleeping")
    wait_until(lambda: name_of(process.pid) == "worker-9", lambda: name_of(process.pid))
    assert parent_of(process.pid) == os.getpid()
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


@pytest.mark.parametrize("code", [0, 1, 7])
def test_the_exit_code_is_that_of_the_process(server: ForkServer, code: int) -> None:
    assert server.fork("child", EXITING, code).wait() == code


def test_a_target_that_fails_or_is_missing_is_exit_code_1(server: ForkServer) -> None:
    assert server.fork("child", "tests.support.child_targets:missing").wait() == 1
    assert server.fork("child", EXITING, "not a number").wait() == 1


def test_a_signal_is_not_sent_to_a_process_that_was_waited_for(server: ForkServer) -> None:
    process = server.fork("child", EXITING, 0)
    process.wait()
    with pytest.raises(ProcessLookupError):
        process.send_signal(signal.SIGKILL)


def test_a_dead_fork_server_is_started_again_when_it_is_needed(server: ForkServer) -> None:
    before = server.pid
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert server.fork("child", EXITING, 3).wait() == 3
    assert server.pid != before


def test_a_dead_fork_server_is_noticed(server: ForkServer) -> None:
    assert not server.restart_if_dead()
    os.kill(server.pid, signal.SIGKILL)
    wait_until(server.restart_if_dead, lambda: "the death is noticed")
    assert server.fork("child", EXITING, 4).wait() == 4


def test_processes_outlive_their_fork_server(server: ForkServer) -> None:
    process = server.fork("child", "tests.support.child_targets:sleeping")
    os.kill(server.pid, signal.SIGKILL)
    wait_until(server.restart_if_dead, lambda: "the death is noticed")
    assert parent_of(process.pid) == os.getpid()
    process.send_signal(signal.SIGTERM)  # which it ignores
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_a_fork_server_that_does_not_answer_is_replaced(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fork("child", EXITING, 0).wait()
    monkeypatch.setattr(forked_process, "_ANSWER_SECONDS", 0.2)
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(OSError, match="does not answer"):
        server.fork("child", EXITING, 0)
    monkeypatch.undo()
    assert server.fork("child", EXITING, 5).wait() == 5


def test_no_descriptors_are_left_behind(server: ForkServer) -> None:
    def descriptors(pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    server.fork("child", EXITING, 0).wait()
    before = descriptors(os.getpid()), descriptors(server.pid)
    for _ in range(20):
        server.fork("child", EXITING, 0).wait()
    assert (descriptors(os.getpid()), descriptors(server.pid)) == before


def test_a_process_with_threads_does_not_fork_its_fork_server() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        with ForkServer([], fork=True) as server:
            command = Path(f"/proc/{server.pid}/cmdline")
            wait_until(command.read_bytes, lambda: "its command line")  # empty during the exec
            assert b"fork_server.main" in command.read_bytes()
    finally:
        ended.set()
        thread.join()


def test_the_first_child_of_a_forked_one_does_not_wait_for_its_imports() -> None:
    """In a process without threads, and with imports that never succeed."""
    code = "from shards.ipc.forked_process import ForkServer\n"
    code += "with ForkServer(['no_such_module'], fork=True) as server:\n"
    code += f"    print(server.fork('child', {EXITING!r}, 6).wait())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout == "6\n", done.stderr


# In a service.


def test_the_fork_server_has_neither_loop_nor_threads_and_one_socket(service: Service) -> None:
    pid = fork_server_of(service)
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert sum(link.startswith("socket:") for link in links) == 1
    assert not any("eventpoll" in link or "eventfd" in link for link in links)


def test_a_service_survives_its_fork_server(service: Service) -> None:
    """The children live on, and one that dies later is started again."""
    children, before = service.children(), fork_server_of(service)
    os.kill(before, signal.SIGKILL)
    service.wait_for_log("the fork server has died, and is started again")
    assert service.children() == children
    os.kill(service.workers[0], signal.SIGKILL)
    service.wait_for_children(3, gone=service.workers[0])
    assert fork_server_of(service) not in (0, before)
    assert service.stop().code == 0


def test_a_service_survives_its_fork_server_and_a_worker_at_once(service: Service) -> None:
    os.kill(fork_server_of(service), signal.SIGKILL)
    os.kill(service.workers[1], signal.SIGKILL)
    service.wait_for_children(3, gone=service.workers[1])
    assert service.stop().code == 0


def test_nothing_is_left_of_a_killed_supervisor(service: Service) -> None:
    assert fork_server_of(service)
    service.send_signal(signal.SIGKILL)
    service.wait_until_gone(10)


def test_a_stop_leaves_no_process(service: Service) -> None:
    assert service.stop().code == 0
    service.wait_until_gone(10)


# What each kind of process imports.


def imported(*names: str) -> set[str]:
    """The modules that a process has after it has imported these as before a fork."""
    code = "import sys; from shards.ipc.preload import import_modules; "
    code += f"import_modules({names!r}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


OPS = {"aiohttp", "prometheus_client", "rich", "requests", "urllib3", "shards.supervisor"}
NATS = Settings(mode="cluster-backend", node="n1")


def test_children_do_without_the_libraries_of_the_supervisor() -> None:
    assert not imported(*modules_of_children(NATS)) & OPS


def test_without_nats_its_library_is_not_imported() -> None:
    modules = imported(*modules_of_children(Settings()))
    assert "nats" not in modules
    assert not modules & (OPS - {"aiohttp"})


def test_before_the_fork_nothing_is_imported_that_one_kind_of_process_needs() -> None:
    modules = imported(*shared_modules(NATS))
    assert not modules & (OPS | {"shards.worker.process", "shards.router.process"})


def test_the_supervisor_does_without_the_code_of_its_children() -> None:
    names = "shards.supervisor.startup", "shards.supervisor.supervisor"
    modules = imported(*names, "shards.config.frontend_client")
    assert not modules & {"shards.worker.shard", "shards.router.router", "aiohttp", "nats"}


def test_websockets_have_their_library() -> None:
    settings = Settings(mode="cluster-backend", node="n1", msq="nats://a:1, WSS://b:2")
    assert {"aiohttp", "nats.aio.transport"} <= imported(*shared_modules(settings))
