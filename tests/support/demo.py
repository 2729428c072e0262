"""The demo as a process, which posts events and shows alarms until it is ended."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.nats_server import free_port
from tests.support.serving import COMMAND, own_environment


class RunningDemo:
    """`url`: the console; `folder`: the files; `process`: its stdout has the alarms."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.url = process.stdout.readline().split()[1]
        self.folder = Path(process.stdout.readline().split()[1])
        assert process.stdout.readline() == "\n"

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; returns the exit code, and what else it has shown."""
        self.process.send_signal(number)
        shown, _ = self.process.communicate(timeout=120)
        return self.process.returncode, shown


@contextmanager
def running_demo(
    *options: str,
    command: Sequence[str] = COMMAND,
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningDemo]:
    """Run the demo with a free port for its console."""
    arguments = [*command, "demo", f"--ops-port={free_port()}", *options]
    found = own_environment() if environment is None else environment
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=dict(found)) as process:
        try:
            yield RunningDemo(process)
        finally:
            process.terminate()
