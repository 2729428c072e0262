"""The backends that are compared: this project and its peers; how each is started.

Peers are binaries that the user provides; how to start them is known from their documentation.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from benchmarks.peers.workloads import NODE
from benchmarks.support.service_process import ROOT
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer, free_port

OURS = "ours"
PEERS = ("go", "rust", "dsiem-rs")


class Backend(Struct, frozen=True):
    """This project, or a binary of one of its peers."""

    name: str
    binary: Path | None = None

    def fault(self) -> str | None:
        """Why the binary cannot be run; None if it can."""
        if self.binary is None or os.access(self.binary, os.X_OK):
            return None
        return f"{self.binary} is not an executable file"

    def command(self, folder: Path) -> list[str]:
        """The command that starts it in a folder with `configs` and `logs`."""
        if self.binary is None:
            folders = ("--config-dir=configs", "--log-dir=logs")
            return [sys.executable, str(ROOT / "cli.py"), "--json", "serve", *folders]
        copy = folder / "backend"  # peers look for their folders beside the binary
        shutil.copy(self.binary, copy)
        return [str(copy), "serve", *(() if self.name == "go" else ("-n", NODE))]

    def version(self) -> str:
        """The version that it prints; for a binary also the beginning of its SHA-256."""
        if self.binary is None:
            return _first_line([sys.executable, str(ROOT / "cli.py"), "--version"])
        version = _first_line([str(self.binary), "version" if self.name == "go" else "--version"])
        digest = hashlib.sha256(self.binary.read_bytes()).hexdigest()
        return f"{version or 'says no version'}, sha256 {digest[:12]}"


def _first_line(command: list[str]) -> str:
    """The first line that a command prints; empty when it fails."""
    with suppress(OSError, subprocess.TimeoutExpired):
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return result.stdout.strip().partition("\n")[0] if result.returncode == 0 else ""
    return ""


def environment(workers: int, frontend: Frontend, server: NatsServer) -> dict[str, str]:
    """The settings of a backend, as variables that all of them read or ignore."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("DSIEM_")}
    return inherited | {
        "DSIEM_MODE": "cluster-backend",
        "DSIEM_NODE": NODE,
        "DSIEM_FRONTEND": frontend.url,
        "DSIEM_MSQ": server.url,
        "DSIEM_MAXQUEUE": "0",
        "DSIEM_MAXDELAY": "0",
        "DSIEM_ADDRESS": "127.0.0.1",
        "DSIEM_PORT": str(free_port()),
        "DSIEM_WORKERS": str(workers),
    }
