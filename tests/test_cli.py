"""The command line: commands, exit codes, and the use of stdout and stderr."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from loguru import logger

import cli
import shards.supervisor
from shards.exit_codes import BROKEN_PIPE
from shards.ipc import forked_process, preload
from shards.settings.command_line import ParsedCommand
from shards.settings.settings import Settings
from tests.support.paths import ROOT

CONFIGS = ROOT / "deploy" / "example" / "configs"
Run = Callable[[ParsedCommand], int]


pytestmark = pytest.mark.usefixtures("clean_process")


def replace_commands(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(cli, "COMMANDS", dict.fromkeys(cli.COMMANDS, run))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, list[str]]]:
    """Replace the work of every command by a record of what it was called with."""
    made: list[tuple[Settings, list[str]]] = []

    def run(parsed: ParsedCommand) -> int:
        made.append((parsed.settings, parsed.operands))
        return len(parsed.operands)

    replace_commands(monkeypatch, run)
    return made


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Replace the start of the service by a record of the settings that it was run with."""
    made: list[Settings] = []

    def run(settings: Settings, _fork_server: object, _origins: object) -> int:
        made.append(settings)
        return 7

    monkeypatch.setattr(preload, "import_modules", lambda _names: None)
    monkeypatch.setattr(forked_process, "ForkServer", lambda _names, **_: nullcontext())
    startup = SimpleNamespace(run=run)
    monkeypatch.setitem(sys.modules, "shards.supervisor.startup", startup)
    monkeypatch.setattr(shards.supervisor, "startup", startup, raising=False)
    return made


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_command_gets_its_settings_and_operands_and_its_code_is_the_exit_code(
    calls: list[tuple[Settings, list[str]]],
) -> None:
    assert cli.main(["replay", "--node", "n1", "--alarms", "a.ndjson", "-"]) == 2
    assert calls == [(Settings(node="n1", alarms=True), ["a.ndjson", "-"])]
    assert cli.main(["validate", "--format=json", "configs"]) == 1


def test_variables_of_the_process_count(
    calls: list[tuple[Settings, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSIEM_NODE", "n1")
    cli.main(["replay", "-"])
    assert calls[0][0].node == "n1"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], Settings()),
        (["-v"], Settings(debug=True)),
        (["-vv"], Settings(trace=True)),
        (["--debug"], Settings(debug=True)),
        (["--trace", "true"], Settings(trace=True)),
        (["-j"], Settings(json=True)),
        (["--json", "false"], Settings()),
        (["-v", "--json"], Settings(debug=True, json=True)),
    ],
)
def test_logging_is_set_before_the_command(
    before: list[str], expected: Settings, calls: list[tuple[Settings, list[str]]]
) -> None:
    cli.main([*before, "validate", "configs"])
    assert calls == [(expected, ["configs"])]


def test_logging_is_set_up_before_the_command_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_parsed: ParsedCommand) -> int:
        logger.debug("at work")
        return 0

    replace_commands(monkeypatch, run)
    assert cli.main(["-v", "-j", "replay", "-"]) == 0
    assert '"message": "at work"' in capsys.readouterr().err


def test_no_command_shows_the_help_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: dsiem-backend" in err
    assert all(command.name in err for command in cli.COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["frobnicate"], "is 'frobnicate', should be validate, replay, "),
        (["--frobnicate", "validate", "x"], "--frobnicate"),
        (["--node=x", "replay", "x"], "--node=x (the settings of a command follow its name)\n"),
        (["validate"], "PATH"),
        (["replay"], "EVENTS"),
        (["replay", "--format", "xml", "x"], "--format is 'xml'"),
        (["serve", "x"], "unrecognized arguments: x"),
        (["schema"], "NAME"),
        (["schema", "x"], "invalid choice: 'x' (choose from 'directives', "),
        (["schema", "x\x1b"], "invalid choice: 'x\\x1b' (choose from 'directives', "),
        (["schema", "assets", "intel"], "unrecognized arguments: intel"),
        (["completion", "tcsh"], "invalid choice: 'tcsh' (choose from 'bash', 'zsh', 'fish')"),
        (["serve", "--mode=cluster-backend"], "--node (DSIEM_NODE)"),
        (["serve", "--check", "--workers=0"], "--workers is '0'"),
    ],
)
def test_a_usage_error_is_one_line_on_stderr_and_3(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dsiem-backend: ")
    assert named in err
    assert err.count("\n") == 1


TOO_LONG = "x" * 300  # asking for it is an error, as in a folder that is closed to the user
CONF, OTHER = "shards/demo/example/configs", "shards/demo/example/events.ndjson.gz"


@pytest.mark.parametrize(
    "command",
    [
        f"validate {TOO_LONG}",
        f"serve --check --config-dir {TOO_LONG}",
        f"replay --config-dir {TOO_LONG} {OTHER}",
        f"diff {TOO_LONG} {CONF} {OTHER}",
        f"diff {CONF} {TOO_LONG} {OTHER}",
        f"test {TOO_LONG}",
        f"test {TOO_LONG} --record {OTHER} --directive 1001",
        f"test {CONF} --record {TOO_LONG} --directive 1001 --elasticsearch http://127.0.0.1:1",
    ],
    ids=range(8),
)
def test_a_path_that_cannot_be_asked_for_is_2(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(command.split()) == 2
    out, err = capsys.readouterr()
    assert re.search(f"{TOO_LONG} cannot be (read|written): File name too long\n", out + err)


def test_a_missing_settings_file_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", "--settings", str(tmp_path / "none"), "-"]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


@pytest.mark.parametrize("command", ["validate", "replay", "serve"])
def test_help_of_a_command_names_each_setting_with_its_variable_and_default(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    formats = "text|json|github|sarif|junit" if command == "validate" else "text|json"
    assert (
        f"--format {formats} output for people or for programs [DSIEM_FORMAT, default text]" in text
    )
    assert "-v, --debug log details" in text
    assert ("DSIEM_MINALARMLIFETIME, default 0" in text) == (command != "validate")
    assert ("-q, --max-queue N" in text) == (command == "serve")


def test_help_of_serve_is_grouped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    text = capsys.readouterr().out
    assert "usage: dsiem-backend serve [OPTION]…\n" in text
    groups = [line[:-1] for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert groups == [
        *("options", "service", "cluster", "HTTP", "correlation", "alarms"),
        *("limits", "lookups", "ops", "telemetry", "files", "output", "logging"),
    ]


def test_serve_starts_the_service_and_returns_its_code(served: list[Settings]) -> None:
    assert cli.main(["-v", "serve", "-n", "n1", "--workers=3"]) == 7
    assert served == [Settings(mode="cluster-backend", node="n1", workers=3, debug=True)]


def test_serve_logs_what_is_worth_a_second_look(
    served: list[Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DSIEM_PPROF", "{cpu}")
    assert cli.main(["-j", "serve", "-q0"]) == 7
    lines = capsys.readouterr().err.splitlines()
    assert ["WARNING" in line for line in lines] == [True, True]
    assert "DSIEM_PPROF (not supported)" in lines[0]
    assert "--max-queue is 0" in lines[1]
    assert len(served) == 1


@pytest.mark.usefixtures("served")
def test_serve_with_default_settings_logs_no_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.main(["serve"])
    assert capsys.readouterr() == ("", "")


def test_serve_check_does_not_serve(
    served: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", "--check", "--config-dir", str(CONFIGS)]) == 0
    assert served == []
    assert "max-queue            25000                      default\n" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    first, *parts = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"dsiem-backend [^ ]+( \(commit [0-9a-f]{12}\))?", first)
    assert [part.rpartition(" ")[0] for part in parts] == [
        *("Python", "uvloop", "msgspec", "nats-py", "SQLite"),
    ]


def test_the_choices_of_an_operand_are_in_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["completion", "--help"])
    assert "usage: dsiem-backend completion [OPTION]… bash|zsh|fish\n" in capsys.readouterr().out


def test_an_interrupt_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_parsed: ParsedCommand) -> int:
        raise KeyboardInterrupt

    replace_commands(monkeypatch, run)
    assert cli.main(["replay", "-"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.integration
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--version"], ["test", "shards/demo/example/configs"]])
def test_a_reader_of_stdout_that_went_away_is_no_traceback(
    unbuffered: str, arguments: list[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "cli.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (BROKEN_PIPE, b"")


@pytest.mark.integration
def test_as_a_process_usage_is_3_and_help_is_0() -> None:
    wrong, right = in_a_process("cli.py", "replay"), in_a_process("cli.py", "--help")
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert "Traceback" not in wrong.stderr
    assert (right.returncode, right.stderr) == (0, "")


def test_help_loads_neither_a_command_nor_logging() -> None:
    code = (
        "import sys, cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = in_a_process("-c", code).stderr.split()
    assert "shards.settings.command_line" in loaded
    assert not {
        "loguru",
        "rich",
        "shtab",
        "engine",
        "shards.commands.replay",
        "shards.commands.validate",
    } & set(loaded)
