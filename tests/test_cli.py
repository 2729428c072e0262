"""The command line from outside: verbs, exit codes, and what goes to which stream."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loguru import logger

import cli
from shards.settings import Settings

ROOT = Path(__file__).parent.parent
Run = Callable[[Settings, list[str]], int]


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("DSIEM_")]:
        monkeypatch.delenv(name)
    yield
    logger.remove()


def replace_verbs(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(cli, "VERBS", dict.fromkeys(cli.VERBS, run))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, list[str]]]:
    """Replace the work of every verb by a record of what it was called with."""
    made: list[tuple[Settings, list[str]]] = []

    def run(settings: Settings, operands: list[str]) -> int:
        made.append((settings, operands))
        return len(operands)

    replace_verbs(monkeypatch, run)
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


def test_a_verb_gets_its_settings_and_operands_and_its_code_is_the_exit_code(
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
def test_logging_is_set_before_the_verb(
    before: list[str], expected: Settings, calls: list[tuple[Settings, list[str]]]
) -> None:
    cli.main([*before, "validate", "configs"])
    assert calls == [(expected, ["configs"])]


def test_logging_is_set_up_before_the_verb_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_settings: Settings, _operands: list[str]) -> int:
        logger.debug("at work")
        return 0

    replace_verbs(monkeypatch, run)
    assert cli.main(["-v", "-j", "replay", "-"]) == 0
    assert '"message": "at work"' in capsys.readouterr().err


def test_no_verb_shows_the_help_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: dsiem-backend" in err
    assert all(verb.name in err for verb in cli.VERBS)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["frobnicate"], "'frobnicate'"),
        (["--frobnicate", "validate", "x"], "--frobnicate"),
        (["--node=x", "replay", "x"], "--node=x"),
        (["validate"], "PATH"),
        (["replay"], "EVENTS"),
        (["replay", "--format", "xml", "x"], "--format is 'xml'"),
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


def test_a_missing_settings_file_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", "--settings", str(tmp_path / "none"), "-"]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["validate", "replay"])
def test_help_of_a_verb_names_each_setting_with_its_variable_and_default(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    assert "--format text|json for people or for machines [DSIEM_FORMAT, default text]" in text
    assert "-v, --debug log details" in text
    assert ("DSIEM_MINALARMLIFETIME, default 0" in text) == (verb == "replay")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dsiem-backend ")


def test_an_interrupt_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_settings: Settings, _operands: list[str]) -> int:
        raise KeyboardInterrupt

    replace_verbs(monkeypatch, run)
    assert cli.main(["replay", "-"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_of_stdout_that_went_away_is_no_traceback(unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "cli.py", "--version"],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (cli.BROKEN_PIPE, b"")


def test_as_a_process_usage_is_3_and_help_is_0() -> None:
    wrong, right = in_a_process("cli.py", "replay"), in_a_process("cli.py", "--help")
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert "Traceback" not in wrong.stderr
    assert (right.returncode, right.stderr) == (0, "")


def test_help_loads_neither_a_verb_nor_logging() -> None:
    code = (
        "import sys, cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = in_a_process("-c", code).stderr.split()
    assert "shards.commandline" in loaded
    assert not {"loguru", "rich", "engine", "shards.replay", "shards.validate"} & set(loaded)
