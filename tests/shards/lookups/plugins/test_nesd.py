"""The plugin Nesd: its requests, and the hits in its replies."""

import json
from collections.abc import Container
from typing import Any

import pytest

from shards.lookups.plugins.api import BadReplyError, Hit, Reply
from shards.lookups.plugins.nesd import Nesd

URL = "http://nesd:8081/?ip=${ip}&port=${port}"
HEARTBLEED = {"cve": "CVE-2014-0160", "risk": "High", "name": "Heartbleed"}


def hits(body: Any, status: int = 200, **options: Any) -> list[Hit]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = []

    def fetch(url: str, also_accept: Container[int] = ()) -> Reply:
        assert 418 in also_accept
        asked.append(url)
        return Reply(status, raw)

    found = Nesd({"url": URL, **options}, fetch).check("10.0.0.9", 443)
    assert asked == ["http://nesd:8081/?ip=10.0.0.9&port=443"]
    assert all((hit.provider, hit.term) == ("Nesd", "10.0.0.9:443") for hit in found)
    return found


def results(body: Any, **options: Any) -> list[str]:
    return [hit.result for hit in hits(body, **options)]


def test_a_vulnerability() -> None:
    assert results([HEARTBLEED]) == ["High - Heartbleed (CVE-2014-0160)"]


@pytest.mark.parametrize("cve", ["", None, ...])
def test_without_a_cve(cve: Any) -> None:
    found = {**HEARTBLEED, "cve": cve}
    if cve is ...:
        del found["cve"]
    assert results([found]) == ["High - Heartbleed"]


RISKS = ["None", "Low", "Medium", "High", "Critical", "Info", "", "high", "MEDIUM"]


def test_which_risks_are_reported() -> None:
    found = [{"cve": "", "risk": risk, "name": "n"} for risk in RISKS]
    assert results(found) == ["Medium - n", "High - n", "Critical - n"]
    assert results(found, allow_low_severity=False) == results(found)
    low = results(found, allow_low_severity=True)
    assert low == ["Low - n", "Medium - n", "High - n", "Critical - n"]


@pytest.mark.parametrize("low", ["true", 1, None, []])
def test_an_option_that_is_not_a_bool_is_refused(low: Any) -> None:
    with pytest.raises(ValueError, match="allow_low_severity must be true or false"):
        results([], allow_low_severity=low)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (418, b"no vulnerability found\n"),
        (418, b""),
        (418, b"\xff anything"),
        (200, b"no vulnerability found\n"),
        (404, b"no vulnerability found\n"),
        (200, b"[]"),
        (200, b" [\n]\n"),
    ],
)
def test_replies_without_hits(status: int, body: bytes) -> None:
    assert hits(body, status) == []


def _with(**changes: Any) -> list[dict[str, Any]]:
    return [{**HEARTBLEED, **changes}]


WRONG: list[Any] = [
    *(b"", b"no vulnerability", b"nothing", b"<html>", b"[", b"\xff", b"[\xff]", b'["\xff"]', None),
    *(5, "x", {}, [None], [[]], [5], ["x"], {"0": HEARTBLEED}, [HEARTBLEED, None], [{}]),
    *(_with(risk=None), _with(risk=5), _with(name=None), _with(name=["x"]), _with(cve=5)),
    *(b"[" * 100_000, b"[" * 5000 + b"]" * 5000, b'[{"x":' * 5000 + b"1" + b"}]" * 5000),
    *(b"[{risk: 'High', name: 'x'}]", b'[{"risk": "High", "name": "\\ud800"}]'),
]


@pytest.mark.parametrize("body", WRONG, ids=lambda body: repr(body)[:40])
def test_a_bad_reply_is_refused(body: Any) -> None:
    with pytest.raises(BadReplyError) as caught:
        hits(body)
    assert len(str(caught.value)) < 500


def test_status_404_with_any_other_body_is_a_bad_reply() -> None:
    for body in (b"404 page not found", [HEARTBLEED], []):
        with pytest.raises(BadReplyError, match="404"):
            hits(body, 404)


@pytest.mark.parametrize(
    ("ip", "port"), [("10.0.0.9", 0), ("10.0.0.9", 65536), ("x", 443), ("10.0.0.9", "80/x")]
)
def test_a_bad_address_or_port_is_not_sent(ip: str, port: Any) -> None:
    def fetch(url: str, also_accept: Container[int] = ()) -> Reply:
        raise AssertionError(url, also_accept)

    with pytest.raises(ValueError, match=r"."):
        Nesd({"url": URL}, fetch).check(ip, port)


def test_ipv6() -> None:
    asked = []

    def fetch(url: str, also_accept: Container[int] = ()) -> Reply:
        assert 418 in also_accept
        asked.append(url)
        return Reply(200, json.dumps([HEARTBLEED]).encode())

    [hit] = Nesd({"url": URL}, fetch).check("2001:db8::1", 443)
    assert asked == ["http://nesd:8081/?ip=2001:db8::1&port=443"]
    assert hit.term == "2001:db8::1:443"
