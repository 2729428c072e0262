"""Settings of Elasticsearch that are refused, and those that only a variable has."""

from pathlib import Path

import pytest

from shards.settings.command_line import Command
from shards.settings.settings import SETTINGS_TABLE
from tests.support.settings_parsing import fault, settings

URL = "--elasticsearch=http://es:9200"
READER = Command("replay", "help")
"""As replay, without operands."""
SECRETS = ("username", "password", "api_key")


IS_TIME = "an ISO 8601 time like 2026-01-31T12:00:00Z, or a relative one like now-30d"
IS_INDEX = "names of indices, like siem_events-2026.01.*"
USER = "DSIEM_ELASTICSEARCH_USERNAME"
PASSWORD = "DSIEM_ELASTICSEARCH_PASSWORD"
API_KEY = "DSIEM_ELASTICSEARCH_API_KEY"
WRONG: dict[str, str] = {
    "--from=last week": f"should be {IS_TIME}: Invalid isoformat string: 'last week'",
    "--to=now-30x": f"should be {IS_TIME}: Invalid isoformat string: 'now-30x'",
    '--query={"a': "begins with {, and is no JSON: Unterminated string",
    "--query=" + "{" * 9999: "begins with {, and is no JSON: ",
    "--query=\udcff": "is not UTF-8",
    "--index=..": f"is '..', should be {IS_INDEX}",
    "--index=a/b": f"is 'a/b', should be {IS_INDEX}",
    "--elasticsearch=es:9200": "should be a URL like https://elasticsearch:9200",
    "--elasticsearch=http://ann:hunter2@es:9200": f"{USER} and {PASSWORD} are for it",
}


@pytest.mark.parametrize("argument", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_said(argument: str) -> None:
    said = fault(*([] if "es:" in argument else [URL]), argument, command=READER)
    assert said.startswith(argument.partition("=")[0])
    assert WRONG[argument] in said
    assert "hunter2" not in said


@pytest.mark.parametrize("flag", ["--from=now-1d", "--query=a", "--index=siem_events*"])
def test_a_flag_without_a_server_is_refused_for_it_would_select_nothing(flag: str) -> None:
    text = "is for events that are read from --elasticsearch, which is not given"
    assert fault(flag, command=READER) == f"{flag.partition('=')[0]} {text}"


HALF = f"{USER} and {PASSWORD} are one without the other, should be both"
LOGINS: list[tuple[dict[str, str], str]] = [
    ({USER: "ann"}, HALF),
    ({PASSWORD: "hunter2"}, HALF),
    (
        {API_KEY: "hunter2", USER: "ann", PASSWORD: "hunter2"},
        f"{API_KEY} and {USER} are both given, should be one of them",
    ),
    (
        {API_KEY: "hunter2 "},
        f"{API_KEY} is '***', should be visible ASCII characters, no blanks or line ends",
    ),
]


@pytest.mark.parametrize(("variables", "text"), LOGINS, ids=range(len(LOGINS)))
def test_a_login_is_whole(variables: dict[str, str], text: str) -> None:
    assert fault(URL, command=READER, **variables) == text


def test_logins_are_not_looked_at_without_a_server() -> None:
    assert settings(command=READER, **{USER: "ann"}).elasticsearch_username == "ann"


@pytest.mark.parametrize("name", SECRETS)
def test_logins_are_variables_only(name: str, tmp_path: Path) -> None:
    setting = SETTINGS_TABLE[f"elasticsearch_{name}"]
    found = settings(command=READER, **{setting.env: "right"})
    assert getattr(found, setting.name) == "right"
    assert name == "username" or "right" not in repr(found)
    assert "unrecognized arguments" in fault(setting.flag, "wrong")
    (tmp_path / "file").write_text(f"{setting.key} = wrong\n")
    assert "there is no setting" in fault("--settings", str(tmp_path / "file"))


@pytest.mark.parametrize("time", ["2026-01-31", "2026-01-31T12:00:00+01:00", "now", "now-1M/d"])
def test_times(time: str) -> None:
    found = settings(URL, "--from", time, f"--to={time}", command=READER)
    assert (found.from_, found.to) == (time, time)
    assert settings(DSIEM_ELASTICSEARCH_FROM=time).from_ == time


def test_a_server_in_a_variable_does_not_disturb_tests() -> None:
    command = Command("test", "help", "PATH", "help")
    assert settings(command=command, DSIEM_ELASTICSEARCH="http://es:9200").record == ""
