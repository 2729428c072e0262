"""The cancellation of tasks that use libraries.

A leaf of its own, since several kinds of process use it.
"""

import asyncio
from typing import Any

_AGAIN_SECONDS = 0.2


async def cancel(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks and wait until they have ended; their errors are dropped.

    One cancellation does not always end a task: `asyncio.wait_for` before Python 3.12, with which
    nats-py waits for answers, drops it when the answer comes at the same moment
    (https://github.com/python/cpython/issues/86296), and nats-py drops it while it sends.
    """
    running = {task for task in tasks if task is not None}
    while running := {task for task in running if not task.done()}:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_AGAIN_SECONDS)
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
