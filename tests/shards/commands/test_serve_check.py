"""serve --check: the settings with their sources, the warnings, and the faults of the folder."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shards.commands import serve_check, validate
from shards.exit_codes import USAGE
from shards.settings.command_line import Command, ParsedCommand, parse_command
from shards.settings.settings import Settings, settings_of
from shards.settings.spellings import canonical_arguments
from shards.settings.validation import settings_warnings
from tests.support.paths import EXAMPLE

CONFIGS = EXAMPLE / "configs"
SERVE = Command("serve", "help")
Capture = pytest.CaptureFixture[str]


def parsed(*arguments: str, **environ: str) -> ParsedCommand:
    return parse_command(SERVE, canonical_arguments(["--check", *arguments]), environ)


def checked(*arguments: str, **environ: str) -> int:
    return serve_check.run(parsed(*arguments, **environ), environ)


def warnings_of(*arguments: str, **environ: str) -> list[str]:
    return settings_warnings(parsed(*arguments, **environ).settings, environ)


def columns(out: str) -> dict[str, tuple[str, str]]:
    """Return value and source by name, from lines whose values have no blank."""
    rows = (line.split(maxsplit=2) for line in out.splitlines())
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a config folder whose second file has faults."""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    (tmp_path / "configs" / "directives_wrong.json").write_text(
        '{"directives": [{"id": 0, "rules": []}]}'
    )
    return tmp_path / "configs"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"DSIEM_MSQ": "ftp://host", "DSIEM_NODE": "n1"}, "ftp://host"),
        ({"DSIEM_NATS_CREDS": "/missing", "DSIEM_NODE": "n1"}, "/missing is not a file"),
        ({"DSIEM_OTEL_TRACING_ENABLED": "true", "OTEL_EXPORTER_OTLP_HEADERS": "x"}, "HEADERS"),
    ],
)
def test_what_the_service_could_not_start_with_is_said(
    environ: dict[str, str], said: str, capsys: Capture
) -> None:
    options = ("--config-dir", str(CONFIGS))
    assert checked(*options, **environ) == USAGE
    [line] = [one for one in capsys.readouterr().out.splitlines() if one.startswith("error: ")]
    assert said in line
    assert checked(*options, "--format=json", **environ) == USAGE
    assert said in msgspec.json.decode(capsys.readouterr().out)["error"]


def test_each_setting_is_shown_with_its_source(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "settings"
    file.write_text("log-dir: /l\n")
    options = ("--config-dir", str(CONFIGS), "-q7", "--settings", str(file))
    assert checked(*options, DSIEM_NODE="n1") == 0
    shown = columns(capsys.readouterr().out)
    assert shown["config-dir"] == (str(CONFIGS), "flag --config-dir")
    assert shown["log-dir"] == ("/l", f"file {file}")
    assert shown["max-queue"] == ("7", "flag --max-queue")
    assert shown["node"] == ("n1", "variable DSIEM_NODE")
    assert shown["mode"] == ("cluster-backend", "derived from --node")
    assert shown["reload-backlogs"] == ("true", "default")
    assert shown["api-token"] == ("-", "default")


def test_no_setting_of_the_service_is_left_out() -> None:
    names = [setting.name for setting in serve_check.effective_settings(parsed())]
    report = {"check", "format"}
    assert names == [row.key for row in settings_of("serve") if row.key not in report]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_shown(form: str, capsys: Capture) -> None:
    checked(
        f"--format={form}",
        "--frontend=http://u:hunter2@f",
        DSIEM_NODE="n1",
        DSIEM_API_TOKEN="hunter2",
        DSIEM_MSQ="nats://u:hunter2@a,nats://u:hunter2@b",
    )
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert "nats://***@a,nats://***@b" in out
    assert "http://***@f" in out


def test_the_lines_and_the_code_are_those_of_validate(folder: Path, capsys: Capture) -> None:
    assert validate.run([folder], Settings()) == 1
    alone = capsys.readouterr()
    assert checked("--config-dir", str(folder)) == 1
    both = capsys.readouterr()
    assert "directives_wrong.json:1:" in alone.out
    assert both.out.endswith(f"\n{alone.out}")
    assert both.err == alone.err.replace(", 0 lints", "")  # only validate looks for them


def test_lenient_directives_count(folder: Path) -> None:
    assert checked("--config-dir", str(folder), "--lenient-directives") == 0


def test_a_missing_folder_is_2(tmp_path: Path, capsys: Capture) -> None:
    assert checked("--config-dir", str(tmp_path / "none")) == 2
    out, err = capsys.readouterr()
    assert columns(out)["port"] == ("8080", "default")
    assert f"{tmp_path / 'none'} cannot be read" in err


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_file_is_no_folder(form: str) -> None:
    assets = next(CONFIGS.glob("assets_*.json"))
    assert checked("--config-dir", str(assets), f"--format={form}") == 2


def test_json_is_one_document(folder: Path, capsys: Capture) -> None:
    options = ("--config-dir", str(folder), "--format=json", "--tags=A,B", "-q0")
    assert checked(*options) == 1
    out, err = capsys.readouterr()
    document: dict[str, Any] = msgspec.json.decode(out)
    assert list(document) == ["settings", "warnings", "error", "config"]
    shown = document["settings"]
    assert shown["tags"] == {"value": ["A", "B"], "source": "flag", "where": "--tags"}
    assert shown["port"] == {"value": 8080, "source": "default", "where": ""}
    assert shown["config-dir"]["value"] == str(folder)
    assert shown["debug"]["value"] is False
    assert document["warnings"] == warnings_of("-q0")
    assert document["config"]["valid"] is False
    assert {problem["severity"] for problem in document["config"]["problems"]} == {"fault"}
    assert err == ""


def test_json_of_a_missing_folder(tmp_path: Path, capsys: Capture) -> None:
    assert checked("--config-dir", str(tmp_path / "none"), "--format=json") == 2
    assert msgspec.json.decode(capsys.readouterr().out)["config"]["unreadable"]


def test_warnings_are_shown(capsys: Capture) -> None:
    checked("-q0", DSIEM_APM="true")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert lines == [f"warning: {text}" for text in warnings_of("-q0", DSIEM_APM="true")]
    assert len(lines) == 2


def test_a_value_cannot_command_the_terminal(capsys: Capture) -> None:
    checked(DSIEM_NODE="\x1b[31mn1", DSIEM_MODE="standalone")
    assert "\x1b" not in capsys.readouterr().out
