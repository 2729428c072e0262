"""The backends that are compared: this project and its peers; how each is recognized and started.

Peers are binaries that the user provides; how to start them is known from their documentation.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from benchmarks.peers.workloads import NODE
from benchmarks.support.service_process import ROOT

OURS = "ours"
_UNBOUNDED = {"DSIEM_MAXQUEUE": "0", "DSIEM_MAXDELAY": "0"}
_STREAM = {"DSIEM_STREAM": "bench", "DSIEM_STREAM_CREATE": "true"}
_TIMEOUT_SECONDS = 20.0


class Kind(Struct, frozen=True):
    """A peer: its name, the arguments that start it, and how a binary of it is recognized.

    `shown_by`: arguments with which it prints what `recognized_by` (a regular expression) matches.
    `version_by`: arguments with which it prints its version.
    """

    title: str
    serve: tuple[str, ...]
    shown_by: tuple[str, ...]
    recognized_by: str
    version_by: tuple[str, ...]


_CARGO_SERVE = ("serve", "-n", NODE)
PEERS: Mapping[str, Kind] = {
    "go": Kind("Dsiem", ("serve",), ("serve", "--help"), r"--medRiskMax int", ("version",)),
    "rust": Kind(
        "dsiem-backend", _CARGO_SERVE, ("--version",), r"^dsiem-backend 0\.\d+", ("--version",)
    ),
    "dsiem-rs": Kind("dsiem-rs", _CARGO_SERVE, ("--version",), r"^dsiem 1\.\d+", ("--version",)),
}


class Backend(Struct, frozen=True):
    """This project, or a binary of one of its peers; `stream`: it reads events from a stream."""

    name: str
    binary: Path | None = None
    stream: bool = False

    def fault(self) -> str | None:
        """Why the binary cannot be run, or is not what it was said to be; None if it can and is."""
        if self.binary is None:
            return None
        if not self.binary.is_file() or not os.access(self.binary, os.X_OK):
            return f"{self.binary} is not an executable file"
        kind = PEERS[self.name]
        try:
            shown = _output(self.binary, *kind.shown_by)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{self.binary} cannot be executed: {getattr(error, 'strerror', error)}"
        if not re.search(kind.recognized_by, shown, re.MULTILINE):
            first_line = shown.strip().partition("\n")[0][:80] or "nothing"
            command = " ".join(kind.shown_by)
            return f"{self.binary} is not {kind.title}: for `{command}` it prints {first_line!r}"
        return None

    def command(self, folder: Path) -> list[str]:
        """The command that starts it in a folder with `configs` and `logs`."""
        if self.binary is None:
            folders = ("--config-dir=configs", "--log-dir=logs")
            return [sys.executable, str(ROOT / "cli.py"), "--json", "serve", *folders]
        copy = folder / "backend"  # peers look for their folders beside the binary
        if not copy.exists():
            shutil.copy(self.binary, copy)
        return [str(copy), *PEERS[self.name].serve]

    def version(self) -> str:
        """The version that it prints; for a binary also the beginning of its SHA-256."""
        if self.binary is None:
            return _output(Path(sys.executable), str(ROOT / "cli.py"), "--version").strip()
        printed = _output(self.binary, *PEERS[self.name].version_by)
        found = re.search(r"^.*\d+\.\d+.*$", printed, re.MULTILINE)
        digest = hashlib.sha256(self.binary.read_bytes()).hexdigest()
        return f"{found[0].strip() if found else 'says no version'}, sha256 {digest[:12]}"

    def environment(
        self, workers: int, urls: Mapping[str, str], port: int, unbounded: bool
    ) -> dict[str, str]:
        """The settings, as variables that all backends read or ignore.

        `urls`: of `frontend` and `msq`. `unbounded`: queues without a limit, and no limit of the
        delay; else both have their defaults.
        """
        inherited = {
            name: text for name, text in os.environ.items() if not name.startswith("DSIEM_")
        }
        return {
            **inherited,
            "DSIEM_MODE": "cluster-backend",
            "DSIEM_NODE": NODE,
            "DSIEM_FRONTEND": urls["frontend"],
            "DSIEM_MSQ": urls["msq"],
            "DSIEM_ADDRESS": "127.0.0.1",
            "DSIEM_PORT": str(port),
            "DSIEM_WORKERS": str(workers),
            **(_UNBOUNDED if unbounded else {}),
            **(_STREAM if self.stream else {}),
        }


def _output(*command: str | Path) -> str:
    """What a command prints, whether or not it fails."""
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    return result.stdout.decode("utf-8", "replace")
