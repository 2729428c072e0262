"""Stop signals and the exit code."""

import asyncio
import os
import signal

import pytest

from shards.supervisor.shutdown import GAVE_UP, Shutdown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_requests_a_stop_and_the_second_forces_it(number: signal.Signals) -> None:
    forced = []

    async def run() -> None:
        shutdown = Shutdown()
        shutdown.handle_signals(lambda: forced.append(number))
        assert not shutdown.is_requested
        os.kill(os.getpid(), number)
        await shutdown.requested.wait()
        assert forced == []
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            while not forced:
                await asyncio.sleep(0)
        assert shutdown.exit_code == 0
        asyncio.get_running_loop().remove_signal_handler(number)

    asyncio.run(run())
    assert forced == [number]


def test_giving_up_is_a_stop_with_exit_code_1() -> None:
    shutdown = Shutdown()
    shutdown.give_up("a test")
    assert (shutdown.is_requested, shutdown.exit_code) == (True, GAVE_UP)
