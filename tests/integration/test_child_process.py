"""Child processes and their control pipes, with real processes."""

import asyncio
import os
import re
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shards.ipc.child import ChildProcess
from shards.ipc.forked_process import ForkServer
from shards.ipc.messages import AttachPipe, FromChild, Progress, Ready, Stop
from shards.ipc.shared_value import SharedValue

SECONDS = 20
OBEDIENT, HOARDING, FAILING, HANGING, STARTING_SLOWLY, SILENT = (
    f"tests.support.child_targets:{name}"
    for name in ("obedient", "hoarding", "failing", "hanging", "starting_slowly", "silent")
)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """A fork server."""
    with ForkServer(["tests.support.child_targets"]) as server:
        yield server


def run_child(
    server: ForkServer,
    target: str,
    *arguments: Any,
    on_message: Callable[[ChildProcess], None],
) -> tuple[int, list[FromChild]]:
    """Run a child to its exit; its exit code and its messages."""
    messages: list[FromChild] = []

    async def run() -> int:
        child = ChildProcess(server, "child", target, *arguments)

        def handle(message: FromChild) -> None:
            messages.append(message)
            on_message(child)

        async with asyncio.timeout(SECONDS):
            return await child.handle_until_exit(handle)

    return asyncio.run(run()), messages


def test_a_child_loads_its_set_up_reports_and_stops(server: ForkServer) -> None:
    code, messages = run_child(
        server, OBEDIENT, SharedValue.of(4321), on_message=lambda child: child.send(Stop())
    )
    assert (code, messages) == (0, [Ready(("127.0.0.1", 4321))])


def test_several_children_share_one_set_up(server: ForkServer) -> None:
    setup = SharedValue.of(1234)
    for _ in range(2):
        code, messages = run_child(
            server, OBEDIENT, setup, on_message=lambda child: child.send(Stop())
        )
        assert (code, messages) == (0, [Ready(("127.0.0.1", 1234))])


def test_a_descriptor_arrives_with_its_message(server: ForkServer) -> None:
    reader, writer = os.pipe()

    def hand_over(child: ChildProcess) -> None:
        child.send_descriptor(AttachPipe(1, 1, 0), writer)
        child.send(Stop())

    code, _ = run_child(server, OBEDIENT, SharedValue.of(1), on_message=hand_over)
    os.close(writer)
    assert (code, os.read(reader, 100)) == (0, b"it arrived")
    os.close(reader)


def test_stop_signals_do_not_reach_a_child(server: ForkServer) -> None:
    def interrupt(child: ChildProcess) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(child._process.pid, number)
        child.send(Stop())

    code, _ = run_child(server, OBEDIENT, SharedValue.of(1), on_message=interrupt)
    assert code == 0


def test_a_failure_is_exit_code_1_and_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    with ForkServer([]) as server:
        code, messages = run_child(server, FAILING, on_message=lambda _: None)
    assert (code, messages) == (1, [])
    assert "a process has failed" in capfd.readouterr().err


def test_a_killed_child_has_the_signal_as_its_code_and_is_no_error_to_send_to(
    server: ForkServer,
) -> None:
    async def run() -> int:
        child = ChildProcess(server, "child", SILENT)
        child.kill()
        async with asyncio.timeout(SECONDS):
            code = await child.handle_until_exit(lambda _: None)
        child.kill()
        return code

    assert asyncio.run(run()) == -signal.SIGKILL


def test_the_position_of_a_child_that_hangs_is_found(server: ForkServer) -> None:
    async def run() -> str:
        child = ChildProcess(server, "child", HANGING)
        ready = asyncio.Event()
        positions: list[str] = []

        async def find() -> None:
            await ready.wait()
            while not positions or " _hang < " not in positions[-1]:  # first it ends its message
                positions.append(await child.find_position())
            child.kill()

        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            group.create_task(find())
            await child.handle_until_exit(lambda _: ready.set())
        assert await child.find_position() == ""  # it is gone
        return positions[-1]

    position = asyncio.run(run())
    assert re.match(r"child_targets\.py:\d+ _hang < child_targets\.py:\d+ run < ", position)


def test_a_stopped_child_has_no_position(server: ForkServer) -> None:
    async def run() -> str:
        child = ChildProcess(server, "child", SILENT)
        os.kill(child._process.pid, signal.SIGSTOP)
        position = await child.find_position()
        child.kill()
        async with asyncio.timeout(SECONDS):
            await child.handle_until_exit(lambda _: None)
        return position

    assert asyncio.run(run()) == ""


def test_a_start_reports_its_progress_once_a_second_at_most(server: ForkServer) -> None:
    code, messages = run_child(server, STARTING_SLOWLY, 100_000, on_message=lambda _: None)
    assert code == 0
    assert messages[-1] == Ready()
    assert 1 <= messages.count(Progress()) < 50


def test_a_child_that_cannot_receive_a_descriptor_ends(server: ForkServer) -> None:
    reader, writer = os.pipe()

    def hand_over(child: ChildProcess) -> None:
        pid = child._process.pid
        used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, used))
        for number in range(3):  # there may be gaps
            child.send_descriptor(AttachPipe(number, 1, 0), writer)

    code, _ = run_child(server, HOARDING, on_message=hand_over)
    os.close(reader)
    os.close(writer)
    assert code == 1


def test_a_child_that_a_descriptor_cannot_be_sent_to_is_killed(server: ForkServer) -> None:
    def hand_over(child: ChildProcess) -> None:
        child.send_descriptor(AttachPipe(1, 1, 0), -1)

    code, _ = run_child(server, OBEDIENT, SharedValue.of(1), on_message=hand_over)
    assert code == -signal.SIGKILL


def test_a_child_ends_with_its_supervisor(server: ForkServer) -> None:
    """The end of the control pipe is all that tells it."""

    async def run() -> int:
        child = ChildProcess(server, "child", OBEDIENT, SharedValue.of(1))
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(child._process.sentinel, ended.set)
        child._pipe.recv_bytes()  # it is ready
        child._pipe.close()
        async with asyncio.timeout(SECONDS):
            await ended.wait()
        asyncio.get_running_loop().remove_reader(child._process.sentinel)
        return child._process.wait()

    assert asyncio.run(run()) == 1
