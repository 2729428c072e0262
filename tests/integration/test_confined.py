"""The program as in a container: as PID 1, and without a right to write elsewhere."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.nats_server import free_port
from tests.support.paths import ROOT
from tests.support.release import Release
from tests.support.serving import (
    COMMAND,
    counting_directive,
    own_environment,
    wait_until,
    write_config,
)

NOBODY = "10001"
PACKAGES = Path(next(path for path in sys.path if path.endswith("site-packages"))).resolve()
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def able(*command: str) -> bool:
    with suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def child_of(pid: int) -> int:
    """The process that `unshare` has started, which is PID 1 in its namespace."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return int(wait_until(lambda: children.read_text().split(), "a child")[0])


@contextmanager
def as_pid_1(*options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    if not able(*UNSHARE, "true"):
        pytest.skip("no PID namespaces here: that needs root or user namespaces")
    command = [*UNSHARE, *COMMAND, "--json", "serve", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=own_environment())
    try:
        yield process, child_of(process.pid)
    finally:
        process.kill()
        process.communicate()


def test_as_pid_1_it_ends_in_order(tmp_path: Path) -> None:
    config = write_config(tmp_path, [counting_directive(1)])
    folders = (f"--config-dir={config}", f"--log-dir={tmp_path / 'logs'}")
    with as_pid_1(*folders, "--port=0", "--ops-port=0", "--workers=1") as (process, pid):
        log = process.stderr
        assert log is not None
        wait_until(lambda: b'"serving"' in log.readline(), "serving")
        os.kill(pid, signal.SIGTERM)
        said = log.read()
        assert process.wait(20) == 0
    assert b'"ledger"' in said


def test_as_pid_1_it_handles_a_signal_while_it_loads(tmp_path: Path) -> None:
    """Without a handler, the kernel discards signals for PID 1; Docker kills it 10 s later."""
    config = write_config(tmp_path, map(counting_directive, range(1, 20_000)))
    folders = (f"--config-dir={config}", f"--log-dir={tmp_path / 'logs'}")
    with as_pid_1(*folders, "--port=0", "--ops-port=0") as (process, pid):
        reads = str(config / "directives_a.json")

        def loading() -> bool:
            status = Path(f"/proc/{pid}/status").read_text()
            caught = int(status.partition("SigCgt:")[2].split()[0], 16)
            return bool(caught >> (signal.SIGTERM - 1) & 1)

        wait_until(loading, f"a handler, and reading {reads}")
        os.kill(pid, signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None
        said = process.stderr.read()
    assert b"Traceback" not in said
    assert b'"serving"' not in said


def test_signals_are_handled_before_anything_large_is_imported() -> None:
    """Imports take half a second, in which a container engine may stop it again."""
    look = """
import sys
import cli
from shards import bootstrap
def look():
    print(sorted({"aiohttp", "nats", "uvloop", "multiprocess"} & set(sys.modules)))
    raise bootstrap.StartInterrupted
bootstrap.interrupt_start_on_signal = look
sys.exit(cli.main(["serve"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=ROOT,
        env=own_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


SCRIPT = """
set -e
mount --make-rprivate /
{opened}
mount --bind {logs} {logs}
mount --bind {configs} {configs}
for place in $(awk '{{print $2}}' /proc/self/mounts | sort -u); do
    case $place in
        {logs}|{configs}) ;;
        *) mount -o remount,bind,ro "$place" 2> /dev/null || true ;;
    esac
done
if touch {elsewhere} 2> /dev/null; then echo "the root is not read-only" >&2; exit 99; fi
cd /
exec setpriv --reuid={nobody} --regid={nobody} --clear-groups --no-new-privs --bounding-set=-all \\
    {command}
"""


def opened(folders: Iterable[Path], spare: Path) -> str:
    """Shell commands after which any user can reach these folders, by new mounts above them."""
    commands: list[str] = []
    closed: dict[Path, list[Path]] = {}
    for folder in folders:
        above = [path for path in reversed(folder.parents) if not path.stat().st_mode & 0o001]
        if above:
            closed.setdefault(above[0], []).append(folder)
    for top, within in closed.items():
        held = [spare / f"held-{len(commands)}-{number}" for number in range(len(within))]
        for folder, place in zip(within, held, strict=True):
            commands += [f"mkdir {place}", f"mount --bind {folder} {place}"]
        commands.append(f"mount -t tmpfs -o mode=755 tmpfs {top}")
        for folder, place in zip(within, held, strict=True):
            commands += [f"mkdir -p {folder}", f"mount --bind {place} {folder}"]
    return "\n".join(commands)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that any user can reach."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_the_wheel_runs_unprivileged_on_a_read_only_root(place: Path, release: Release) -> None:
    """The wheel is installed into its own environment, and confined as in deploy/."""
    if not able("unshare", "--mount", "true") or not shutil.which("setpriv"):
        pytest.skip("no mount namespaces here: that needs root")
    program = installed(place, release.wheel)
    configs = write_config(place, [counting_directive(1)])
    logs = place / "logs"
    logs.mkdir()
    for folder in (logs, configs):
        os.chown(folder, int(NOBODY), int(NOBODY))
    port, ops = free_port(), free_port()
    command = (
        f"{program} --json serve --config-dir={configs} --log-dir={logs} --workers=1"
        f" --port={port} --ops-port={ops}"
    )
    script = SCRIPT.format(
        opened=opened([Path(sys.base_prefix).resolve(), PACKAGES], place),
        logs=logs,
        configs=configs,
        elsewhere=place / "elsewhere",
        nobody=NOBODY,
        command=command,
    )
    log = place / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script],
            stderr=file,
            env={**own_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    try:
        wait_until(lambda: ready(process, ops, log), "ready")
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert status.partition("Uid:")[2].split()[0] == NOBODY
        body = b"\n".join(json.dumps(one).encode() for one in whole_alarm())
        url = f"http://127.0.0.1:{port}/events"
        with urllib.request.urlopen(url, body, timeout=30) as answer:
            assert json.load(answer)["accepted"] == 10
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()
    alarms = (logs / "siem_alarms.json").read_text().splitlines()
    assert [json.loads(line)["risk_class"] for line in alarms] == ["Low", "High"]


def installed(folder: Path, wheel: Path) -> Path:
    """Install the wheel into a new environment; returns the path of the command."""
    environment = folder / "program"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    into = next((environment / "lib").glob("python*")) / "site-packages"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(into), str(wheel)], check=True)
    (into / "needed.pth").write_text(f"{PACKAGES}\n")  # its dependencies, without a download
    command = environment / "bin" / "dsiem-backend"
    call = "import sys\nfrom cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    command.write_text(f"#!{environment}/bin/python\n{call}")
    command.chmod(0o755)
    return command


def ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    url = f"http://127.0.0.1:{port}/readyz"
    with suppress(OSError), urllib.request.urlopen(url, timeout=30) as answer:
        return bool(answer.status == 200)
    return False


def whole_alarm() -> list[dict[str, object]]:
    now = datetime.now(UTC).isoformat()
    known: dict[str, object] = {"timestamp": now, "sensor": "s", "plugin_id": 1001}
    known |= {"plugin_sid": 1, "src_ip": "192.0.2.1", "dst_ip": "10.0.0.1"}
    return [{"event_id": f"e{number}", **known} for number in range(10)]
