"""The completion command: what a real bash offers, and scripts for the other shells."""

import shutil
import subprocess
from pathlib import Path

import pytest

import cli
from shards.settings.command_line import Command
from shards.settings.settings import settings_of

TRY = """
source "$1"
shift
COMP_WORDS=(dsiem-backend "$@")
COMP_CWORD=$#
COMPREPLY=()
function=$(complete -p dsiem-backend)
function=${function##*-F }
"${function%% *}"
(( ${#COMPREPLY[@]} )) && printf '%s\\n' "${COMPREPLY[@]}"
true
"""

pytestmark = pytest.mark.usefixtures("clean_process")


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert cli.main(["completion", "bash"]) == 0
    path = tmp_path / "script.bash"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with two files and two folders."""
    place = tmp_path / "work"
    for name in ("configs", "cold"):
        (place / name).mkdir(parents=True)
    for name in ("cert.pem", "events.ndjson"):
        (place / name).touch()
    return place


def offered(script: Path, folder: Path, *words: str) -> set[str]:
    """What bash offers for the last of these words."""
    done = subprocess.run(
        ["bash", "--norc", "-c", TRY, "bash", str(script), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_commands(script: Path, folder: Path) -> None:
    assert offered(script, folder, "") == {command.name for command in cli.COMMANDS}
    assert offered(script, folder, "va") == {"validate"}
    assert offered(script, folder, "--debug", "re") == {"replay"}


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_the_settings_of_each_command(script: Path, folder: Path, command: Command) -> None:
    settings = settings_of(command.name)
    flags = {setting.flag for setting in settings if not setting.spec.variable_only}
    assert offered(script, folder, command.name, "--") == flags | {"--help", "--settings"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("schema", ""), "directives assets intel vuln tests"),
        (("completion", "z"), "zsh"),
        (("validate", "--format", ""), "text json github sarif junit"),
        (("replay", "--format", ""), "text json"),
        (("serve", "--mode", "c"), "cluster-backend"),
        (("replay", "--config-dir", "c"), "configs cold"),
        (("serve", "--log-dir", ""), "configs cold"),
        (("serve", "--nats-tls-ca", "c"), "cert.pem configs cold"),
        (("serve", "--settings", "ce"), "cert.pem"),
        (("validate", "c"), "cert.pem configs cold"),
        (("replay", "--alarms", "e"), "events.ndjson"),
        (("replay", "a", "e"), "events.ndjson"),
        (("replay", "--config-dir", "configs", "--al"), "--alarms"),
        (("serve", "--workers", ""), ""),
        (("serve", "-"), None),
    ],
)
def test_values_and_paths(
    script: Path, folder: Path, words: tuple[str, ...], expected: str | None
) -> None:
    found = offered(script, folder, *words)
    if expected is None:
        assert {"-h", "-f", "--frontend"} <= found
    else:
        assert found == set(expected.split())


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_for_other_shells(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(command.name in text for command in cli.COMMANDS)
    assert "max-delay" in text
    if shutil.which(shell):
        path = tmp_path / "script"
        path.write_text(text)
        subprocess.run([shell, "-n", str(path)], check=True, timeout=60)
