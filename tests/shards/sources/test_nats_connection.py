"""The options of a NATS connection, and the messages for faults in them."""

from pathlib import Path

import pytest

from shards.settings.settings import Settings
from shards.sources import nats_connection
from shards.sources.nats_connection import NatsSettingsError


def servers(url: str) -> dict[str, object]:
    return nats_connection._servers(Settings(msq=url))


@pytest.mark.parametrize(
    ("url", "comes_to"),
    [
        ("nats://dsiem-nats:4222", {"servers": ["nats://dsiem-nats:4222"]}),
        ("dsiem-nats:4222", {"servers": ["nats://dsiem-nats:4222"]}),
        ("tls://[::1]:4222", {"servers": ["tls://[::1]:4222"]}),
        ("nats://a:1, nats://b:2,", {"servers": ["nats://a:1", "nats://b:2"]}),
        (
            "nats://me:p%40ss%2F@host:1",
            {"servers": ["nats://host:1"], "user": "me", "password": "p@ss/"},
        ),
        ("nats://s3cret@host:1", {"servers": ["nats://host:1"], "token": "s3cret"}),
        (
            "nats://me:x@a:1,nats://b:2",
            {"servers": ["nats://a:1", "nats://b:2"], "user": "me", "password": "x"},
        ),
    ],
)
def test_urls_and_the_logins_in_them(url: str, comes_to: dict[str, object]) -> None:
    assert servers(url) == comes_to


@pytest.mark.parametrize(
    "url", ["http://a:1", "nats://", "nats://a:99999", "nats://me:pw@", "nats://[::1", ":::", ","]
)
def test_what_is_no_url_is_named_without_its_password(url: str) -> None:
    with pytest.raises(NatsSettingsError, match="DSIEM_MSQ") as caught:
        nats_connection.check_settings(Settings(msq=url))
    assert "pw" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    assert Settings(msq="nats://me:pw@a:1").redacted("msq") == "nats://***@a:1"


def test_credentials_must_be_there() -> None:
    with pytest.raises(NatsSettingsError, match=r"--nats-creds: /nowhere/x\.creds"):
        nats_connection.check_settings(Settings(nats_creds="/nowhere/x.creds"))
    with pytest.raises(NatsSettingsError, match=r"--nats-creds: x+ cannot be read: File name too"):
        nats_connection.check_settings(Settings(nats_creds="x" * 300))


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(NatsSettingsError, match="both or none"):
        nats_connection.check_settings(Settings(nats_tls_cert="a.pem"))


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NatsSettingsError, match=r"ca\.pem"):
        nats_connection.check_settings(Settings(nats_tls_ca=str(file)))


def test_without_certificates_of_ones_own_the_system_decides() -> None:
    assert nats_connection._tls(Settings()) is None
