"""The demo command: what it shows, how it ends, and what it says if it cannot run."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOENT, ENOSPC
from pathlib import Path
from urllib.request import urlopen

import pytest

import cli
from shards.commands import demo as demo_command
from shards.demo.service import DemoError, JsonLinesFile, Service
from shards.exit_codes import INTERRUPTED, INVALID, NO_PATH
from tests.support.demo import running_demo
from tests.support.serving import COMMAND, own_environment, wait_until

pytestmark = pytest.mark.usefixtures("clean_process")


@pytest.fixture(autouse=True)
def _restored_handlers() -> Iterator[None]:
    """The demo handles signals; it is a process of its own, but for these tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.integration
def test_once_it_sees_each_attack_and_what_lookups_find_and_the_next_run_begins_anew(
    tmp_path: Path,
) -> None:
    demo = subprocess.run(
        [*COMMAND, "demo", "--once", f"--demo-dir={tmp_path}"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (demo.returncode, demo.stderr) == (0, "")
    for shown in ("Account created and made administrator", "Wise, 198.51.100.77: ip.asn"):
        assert shown in demo.stdout
    assert (tmp_path / "siem_alarms.json").stat().st_size > 0
    again = Service(tmp_path, 0)
    try:
        again.wait_for_log("serving")
        assert "backlogs_restored" not in again.stop()
    finally:
        again.kill()


def services_in(folder: Path) -> list[int]:
    """The processes of the service of a demo, by its folder."""
    commands = {path: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
    mark = os.fsencode(f"--log-dir={folder}\0")
    return [int(path.parent.name) for path, text in commands.items() if mark in text]


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_goes_on_with_its_console_until_a_signal_and_leaves_nothing(number: int) -> None:
    environment = own_environment() | {"DSIEM_MODE": "cluster-backend", "DSIEM_NODE": "n1"}
    with running_demo(environment=environment) as demo:
        with urlopen(demo.url, timeout=30) as page:
            assert b"Dsiem Shards" in page.read()
        wait_until((demo.folder / "siem_alarms.json").read_bytes, "an alarm")
        assert services_in(demo.folder)
        code, shown = demo.end(number)
    assert code == 0
    assert "adds up                yes" in shown
    assert not demo.folder.exists()
    assert services_in(demo.folder) == []


@pytest.mark.integration
def test_it_ends_if_its_service_does(tmp_path: Path) -> None:
    with running_demo(f"--demo-dir={tmp_path}") as demo:
        assert demo.folder == tmp_path
        service = min(services_in(tmp_path))
        os.kill(service, signal.SIGKILL)
        demo.process.communicate(timeout=120)
        assert demo.process.returncode == INVALID


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_its_service_starts_does_not_leave_that_behind(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def serving(folder: Path, _: int) -> Iterator[Service]:
        assert signal.getsignal(number) is signal.default_int_handler  # else the signal ends pytest
        folders.append(folder)
        signal.raise_signal(number)
        yield pytest.fail("the signal had no effect")

    folders: list[Path] = []
    monkeypatch.setattr("shards.commands.demo.serving", serving)
    assert cli.main(["demo", "--once"]) == INTERRUPTED
    assert not folders[0].exists()


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["demo", f"--ops-port={port}"]) == INVALID
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"dsiem-backend demo: the console cannot listen on port {port} of 127.0.0.1: "
        "Address already in use; choose another one, such as --ops-port 9191\n"
    )


@pytest.mark.parametrize("path", ["/proc/none", "/dev/null", "/proc"])
def test_a_folder_that_cannot_be_written_is_named(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--once", f"--demo-dir={path}"]) == NO_PATH
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"dsiem-backend: --demo-dir {path}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("given", "named"), [(("--demo-dir={}",), "{}"), ((), "--demo-dir")])
def test_a_full_disk_is_named(
    given: tuple[str, ...],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error of a write has no name of a file."""

    def full(_path: Path, _content: bytes) -> int:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert cli.main(["demo", "--once", *(one.format(tmp_path) for one in given)]) == INVALID
    err = capsys.readouterr().err
    assert err.startswith("dsiem-backend demo: No space left on device: it needs")
    assert named.format(tmp_path) in err


def test_without_a_temporary_folder_one_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(**_options: str) -> str:
        raise FileNotFoundError(ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(demo_command, "mkdtemp", none)
    assert cli.main(["demo", "--once"]) == NO_PATH
    wanted = "dsiem-backend: --demo-dir is needed: No usable temporary directory found\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.integration
def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    """There is no configuration in the folder."""
    service = Service(tmp_path, 0)
    try:
        with pytest.raises(DemoError, match=r"the service ended with \d: .*configs"):
            service.connect()
    finally:
        service.kill()


def test_lines_are_read_as_they_become_whole(tmp_path: Path) -> None:
    file = JsonLinesFile(tmp_path / "lines")
    assert file.new() == []
    file.path.write_bytes(b'{"a": 1}\nno JSON\n{"a"')
    assert file.new() == [{"a": 1}]
    with file.path.open("ab") as more:
        more.write(b": 2}\n")
    assert file.new() == [{"a": 2}]
    assert file.new() == []
