"""The unit, its user and folders, and the rotation, each checked by the tool that reads it."""

import getpass
import grp
import os
import shlex
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from cli import COMMANDS
from shards.alarm_files import ALARM_EVENTS, ALARMS, AlarmFiles
from shards.exit_codes import USAGE
from shards.settings.command_line import ParsedCommand, parse_command
from shards.settings.settings import Settings
from shards.settings.spellings import canonical_arguments
from tests.support.pages import FENCE
from tests.support.paths import ROOT

SYSTEMD = ROOT / "deploy" / "systemd"
UNIT = SYSTEMD / "dsiem-backend.service"
USERS = SYSTEMD / "sysusers.d" / "dsiem-shards.conf"
FOLDERS = SYSTEMD / "tmpfiles.d" / "dsiem-shards.conf"
ROTATION = SYSTEMD / "logrotate.d" / "dsiem-shards"
MOST_EXPOSED = 20
"""In tenths, as systemd-analyze takes it."""

pytestmark = pytest.mark.integration  # other programs read the files


def tool(name: str, package: str) -> str:
    """The path of a program; skips the test where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here: it comes with the Debian package {package}")
    return found


def output_of(*command: str | Path) -> str:
    """What a program prints, errors too; it must end with 0."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def service() -> dict[str, str]:
    """The section Service; of a directive that comes twice the last one."""
    parser = RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, "utf-8")
    return dict(parser["Service"])


def parsed(settings_file: Path) -> ParsedCommand:
    """The command of the unit, with these settings."""
    words = shlex.split(service()["ExecStart"])[1:]
    words[words.index("--settings") + 1] = str(settings_file)
    name, *flags = canonical_arguments(words)
    [command] = [command for command in COMMANDS if command.name == name]
    return parse_command(command, flags, {})


def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze", "systemd")
    unit = tmp_path / UNIT.name
    command = service()["ExecStart"].split()[0]
    unit.write_text(UNIT.read_text("utf-8").replace(command, "/bin/true"), "utf-8")
    assert output_of(analyze, "verify", "--man=no", unit) == ""


def test_it_is_hardly_exposed() -> None:
    analyze = tool("systemd-analyze", "systemd")
    threshold = f"--threshold={MOST_EXPOSED}"
    output_of(analyze, "security", "--offline=true", "--no-pager", threshold, UNIT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders of other users")
def test_the_user_and_the_folders_that_the_unit_needs_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc" / "group").write_text("root:x:0:\n")
    root = f"--root={tmp_path}"
    output_of(tool("systemd-sysusers", "systemd"), root, USERS)
    output_of(tool("systemd-tmpfiles", "systemd"), root, "--create", FOLDERS)
    users = (line.split(":") for line in (tmp_path / "etc" / "passwd").read_text().splitlines())
    uid, shell = {user[0]: (int(user[2]), user[6]) for user in users}[service()["User"]]
    assert shell.endswith("nologin")
    flags = parsed(settings_file(tmp_path, "")).settings
    for folder in (*service()["ReadWritePaths"].split(), flags.config_dir, flags.log_dir):
        status = (tmp_path / str(folder).lstrip("/")).stat()
        assert (status.st_uid, status.st_mode & 0o777) == (uid, 0o750)
    secrets = (tmp_path / "etc" / "dsiem-shards").stat()
    assert (secrets.st_uid, secrets.st_mode & 0o777) == (0, 0o700)


def settings_file(folder: Path, text: str) -> Path:
    file = folder / "settings.yaml"
    file.write_text(text, "utf-8")
    return file


def test_the_service_writes_only_where_it_may(tmp_path: Path) -> None:
    settings = parsed(settings_file(tmp_path, "")).settings
    folders = [Path(folder) for folder in service()["ReadWritePaths"].split()]
    for written in (settings.config_dir, settings.log_dir):
        assert any(Path(written).is_relative_to(folder) for folder in folders)


def test_the_settings_in_the_readme_are_those_of_the_program(tmp_path: Path) -> None:
    blocks = FENCE.findall((SYSTEMD / "README.md").read_text("utf-8"))
    modes = [
        parsed(settings_file(tmp_path, text)).settings.mode
        for kind, text in blocks
        if kind == "yaml"
    ]
    assert modes == ["cluster-backend", "standalone"]


def test_it_is_started_again_unless_its_settings_are_unusable() -> None:
    made = service()
    assert made["Restart"] == "on-failure"
    assert made["RestartPreventExitStatus"] == str(USAGE)


def test_the_supervisor_has_time_to_stop_the_others() -> None:
    made = service()
    assert made["KillMode"] == "mixed"
    assert int(made["TimeoutStopSec"]) > Settings().shutdown_timeout + 5


def rotation_in(folder: Path) -> Path:
    """The configuration of logrotate, for files in a folder of the user of the test."""
    group = grp.getgrgid(os.getgid()).gr_name
    text = ROTATION.read_text("utf-8")
    text = text.replace("/var/log/dsiem", str(folder / "logs"))
    file = folder / "rotation"
    file.write_text(text.replace("dsiem dsiem", f"{getpass.getuser()} {group}"), "utf-8")
    file.chmod(0o644)
    return file


def rotate(folder: Path, *options: str) -> str:
    state = folder / "state"
    file = rotation_in(folder)
    return output_of(tool("logrotate", "logrotate"), *options, f"--state={state}", file)


def test_logrotate_has_nothing_against_the_rotation(tmp_path: Path) -> None:
    folder = parsed(settings_file(tmp_path, "")).settings.log_dir
    paths = [word for word in ROTATION.read_text("utf-8").split() if word.startswith("/")]
    assert paths == [f"{folder}/{ALARMS}", f"{folder}/{ALARM_EVENTS}"]
    text = rotate(tmp_path, "--debug")
    assert "error" not in text
    assert "Handling 1 logs" in text


def test_no_line_is_lost_by_rotations(tmp_path: Path) -> None:
    """Lines that are written before the new file is noticed are in the old one."""
    files = AlarmFiles(tmp_path / "logs")
    written = []
    for number in range(3):
        for when in ("before", "after"):
            line = f'{{"line":"{number} {when}"}}\n'.encode()
            files.add(line, line)
            files.flush()
            written.append(line)
            if when == "before":
                inodes = [path.stat().st_ino for path in files.paths]
                rotate(tmp_path, "--force")
                # Renamed: of a copy, which copytruncate makes, lines can be missing.
                assert inodes == [Path(f"{path}.1").stat().st_ino for path in files.paths]
        files.reopen_if_renamed()
    files.close()
    for path in files.paths:
        parts = {part.name: part for part in path.parent.glob(f"{path.name}*")}
        ends = [name.removeprefix(path.name) for name in sorted(parts)]
        assert ends == ["", ".1", ".2.gz", ".3.gz"]
        assert parts[path.name].stat().st_mode & 0o777 == 0o640
        lines = b"".join(
            subprocess.run(["gzip", "-dcf", parts[name]], capture_output=True, check=True).stdout
            for name in sorted(parts, reverse=True)
        )
        assert lines == b"".join(written)
