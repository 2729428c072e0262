"""Values of settings: parsing, and messages for wrong ones."""

import pytest

from shards.settings.command_line import Command
from shards.settings.schema import UsageError
from shards.settings.settings import SETTINGS_TABLE
from tests.support.settings_parsing import SERVE, fault, settings


@pytest.mark.parametrize("text", ["true", "True", "T", "t", "TRUE", "1"])
def test_true_in_every_spelling(text: str) -> None:
    assert settings("--match-protocol", text).match_protocol
    assert settings(f"--match-protocol={text}").match_protocol
    assert settings(DSIEM_MATCH_PROTOCOL=text).match_protocol


@pytest.mark.parametrize("text", ["false", "False", "F", "f", "FALSE", "0"])
def test_false_in_every_spelling_overrides_what_comes_after(text: str) -> None:
    assert not settings("--match-protocol", text, DSIEM_MATCH_PROTOCOL="t").match_protocol
    assert not settings(f"--match-protocol={text}", DSIEM_MATCH_PROTOCOL="t").match_protocol
    assert not settings(DSIEM_MATCH_PROTOCOL=text).match_protocol


def test_lists_are_split_at_commas_and_trimmed() -> None:
    assert settings("--tags", " A b ,, C ").tags == ("A b", "C")


def test_a_list_may_have_choices() -> None:
    diff = Command("diff", "help", "EVENTS", "help")
    assert settings("--fail-on", "gone, new", command=diff).fail_on == ("gone", "new")
    with pytest.raises(UsageError, match="should be one or more of new, gone, changed with commas"):
        settings("--fail-on", "new,old", command=diff)


@pytest.mark.parametrize(
    ("flag", "text", "right"),
    [
        ("--min-alarm-lifetime", "-1", "a whole number from 0 up"),
        ("--min-alarm-lifetime", "1.5", "a whole number from 0 up"),
        ("--min-alarm-lifetime", "", "a whole number from 0 up"),
        ("--min-alarm-lifetime", "9" * 5000, "a whole number from 0 up"),
        ("--min-alarm-lifetime", "1_0", "a whole number from 0 up"),
        ("--med-risk-min", "1", "a whole number from 2 to 8"),
        ("--med-risk-max", "10", "a whole number from 3 to 9"),
        ("--match-protocol", "maybe", "true or false"),
        ("--format", "xml", "text or json"),
        ("--status", " , ", "one or more texts with commas between them"),
        ("--config-dir", "", "a path"),
    ],
)
def test_a_wrong_value_is_named_with_its_flag_and_what_is_right(
    flag: str, text: str, right: str
) -> None:
    assert fault(f"{flag}={text}") == f"{flag} is {text!r}, should be {right}"


@pytest.mark.parametrize(
    ("flag", "text", "right"),
    [
        ("--workers", "0", "a whole number from 1 to 200"),
        ("--max-eps", "0", "a whole number from 1 up"),
        ("--max-queue", "-1", "a whole number from 0 up"),
        ("--shutdown-timeout", "0", "a whole number from 1 up"),
        ("--port", "65536", "a whole number from 0 to 65535"),
        ("--port", "-1", "a whole number from 0 to 65535"),
        ("--mode", "cluster-frontend", "standalone or cluster-backend"),
        ("--frontend", "frontend:8080", "a URL like http://frontend:8080"),
        ("--frontend", "", "a URL like http://frontend:8080"),
        ("--msq", "", "a URL like nats://dsiem-nats:4222"),
        ("--address", "http://x", "an IP address or a host name"),
    ],
)
def test_a_wrong_value_of_serve(flag: str, text: str, right: str) -> None:
    assert fault(f"{flag}={text}", command=SERVE) == f"{flag} is {text!r}, should be {right}"


@pytest.mark.parametrize("token", ["hunter2\n", "hunter 2", "hünter2"])
def test_a_wrong_secret_is_not_shown(token: str) -> None:
    assert fault(command=SERVE, DSIEM_API_TOKEN=token) == (
        "DSIEM_API_TOKEN (--api-token) is '***', "
        "should be visible ASCII characters, no blanks or line ends"
    )
    shown = fault(command=SERVE, DSIEM_FRONTEND=f"ftp://user:{token}@host")
    assert "is 'ftp://***@host', should be" in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://host:4222", "nats://host:4222"),
        ("nats://user:pass@host:4222", "nats://***@host:4222"),
        ("nats://token@host", "nats://***@host"),
        ("user:pass@host", "***@host"),
        ("nats://u:p@a:1,tls://v:q@b:2", "nats://***@a:1,tls://***@b:2"),
        ("nats://a:1,nats://v:q@b:2", "nats://a:1,nats://***@b:2"),
        ("nats://u:p@ss,w/rd@host", "nats://***@host"),
        ("a:1,u:p@b:2", "***@b:2"),
        ("", ""),
    ],
)
def test_the_user_name_in_a_url_is_never_shown(url: str, shown: str) -> None:
    assert SETTINGS_TABLE["msq"].spec.redact(url) == shown
