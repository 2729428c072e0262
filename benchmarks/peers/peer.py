"""The peers: how each is started as a cluster backend, and its version.

Peers are binaries that the user provides; all knowledge of them comes from their documents.
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


class Peer(Struct, frozen=True):
    """This project, or a binary of one of its peers."""

    name: str
    binary: Path | None = None

    def missing(self) -> str | None:
        """What is wrong with the binary, if something is."""
        if self.binary is None or os.access(self.binary, os.X_OK):
            return None
        return f"{self.binary} is no file that can be run"

    def command(self, folder: Path) -> list[str]:
        """What starts it in a folder that holds `configs` and `logs`."""
        if self.binary is None:
            folders = ("--config-dir=configs", "--log-dir=logs")
            return [sys.executable, str(ROOT / "cli.py"), "--json", "serve", *folders]
        own = folder / "backend"  # peers look for their folders beside the binary
        shutil.copy(self.binary, own)
        return [str(own), "serve", *(() if self.name == "go" else ("-n", NODE))]

    def version(self) -> str:
        """What it says of its version, and for a binary which one it is."""
        if self.binary is None:
            return _says([sys.executable, str(ROOT / "cli.py"), "--version"])
        said = _says([str(self.binary), "version" if self.name == "go" else "--version"])
        digest = hashlib.sha256(self.binary.read_bytes()).hexdigest()
        return f"{said or 'says no version'}, sha256 {digest[:12]}"


def _says(command: list[str]) -> str:
    with suppress(OSError, subprocess.TimeoutExpired):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return ended.stdout.strip().partition("\n")[0] if ended.returncode == 0 else ""
    return ""


def environment(workers: int, frontend: Frontend, server: NatsServer) -> dict[str, str]:
    """Its settings, under names that contenders share; who does not know one leaves it."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("DSIEM_")}
    return own | {
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
