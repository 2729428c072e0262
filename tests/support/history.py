"""Lines of alarms for the history, and a history in a running event loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shards.history.history import History
from shards.history.limits import HistoryLimits
from shards.ipc.queries import AlarmAbout

NOW = 1_795_000_000


def alarm_line(id_: str, *, finished: int = 1, stages: int = 3, **more: Any) -> bytes:
    """A line of an alarm whose first stages are finished, with its newline."""
    rules = [
        {"name": f"rule {stage}", "stage": stage, "occurrence": stage, "reliability": 5}
        | ({"status": "finished", "start_time": NOW, "end_time": NOW} if stage <= finished else {})
        for stage in range(1, stages + 1)
    ]
    line = {
        "alarm_id": id_,
        "title": "SSH brute force",
        "status": "Open",
        "tag": "Identified Threat",
        "kingdom": "Reconnaissance",
        "category": "Misc",
        "created_time": NOW,
        "update_time": NOW,
        "risk": 4,
        "risk_class": "Medium",
        "rules": rules,
        "src_ips": ["10.0.0.1"],
        "dst_ips": ["192.0.2.7"],
        "networks": ["10.0.0.0/8"],
    }
    return json.dumps(line | more).encode() + b"\n"


def about(directive: int, **names: str) -> AlarmAbout:
    """The directive of an alarm, and names of assets by address with _ for dots."""
    return AlarmAbout(directive, {ip.strip("_").replace("_", "."): n for ip, n in names.items()})


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running_history(
    path: Path, bounds: HistoryLimits | None = None, clock: Callable[[], float] | None = None
) -> AsyncIterator[History]:
    """A history, closed afterwards."""
    history = History(path, bounds, clock or Clock())
    history.start(lambda _: None)
    try:
        yield history
    finally:
        await asyncio.to_thread(history.close, 20.0)


async def written(history: History) -> None:
    """Wait until all that was added is written, or given up."""
    while history.is_behind:
        await asyncio.sleep(0.005)
    await history.read(lambda _: None)


async def add(
    history: History, lines: Iterable[bytes], details: dict[str, AlarmAbout] | None = None
) -> None:
    """Add lines, and wait until they are written."""
    history.add_lines(b"".join(lines), details or {})
    await written(history)


def run(test: Any) -> None:
    """Run the coroutine of a test."""
    asyncio.run(asyncio.wait_for(test, 60))
