"""The plugin Wise: its requests, and the hits in its replies."""

import json
from collections.abc import Container, Iterable
from typing import Any

import pytest

from shards.lookups.plugins.api import BadReplyError, Hit, Reply
from shards.lookups.plugins.wise import Wise

IP = "203.0.113.9"


def hits(body: bytes) -> list[Hit]:
    asked = []

    def fetch(url: str, also_accept: Container[int] = ()) -> Reply:
        assert also_accept == ()
        asked.append(url)
        return Reply(200, body)

    found = Wise({"url": "http://wise:8081/ip/${ip}"}, fetch).check(IP)
    assert asked == [f"http://wise:8081/ip/{IP}"]
    return found


def results(body: str | bytes) -> list[str]:
    found = hits(body if isinstance(body, bytes) else body.encode())
    assert all((hit.provider, hit.term) == ("Wise", IP) for hit in found)
    return [hit.result for hit in found]


def test_an_object_literal() -> None:
    body = """[{field: "ip.asn", len: 9, value: "AS64500"},
{field: 'tags', len: 12, value: 'botnet'}]"""
    assert results(body) == ["ip.asn: AS64500", "tags: botnet"]


def test_json() -> None:
    body = json.dumps([{"value": "AS64500", "len": 9, "field": "ip.asn", "more": [1, None]}])
    assert results(body) == ["ip.asn: AS64500"]


def test_short_entries_are_metadata() -> None:
    lengths = [0, 4, 5, 6, -1]
    body = ",".join(f'{{field: "f", len: {n}, value: "v{n}"}}' for n in lengths)
    assert results(f"[{body}]") == ["f: v5", "f: v6"]


@pytest.mark.parametrize("body", ["[]", " [ ]\n", "[{field: 'x', len: 1, value: 'x'}]"])
def test_replies_without_hits(body: str) -> None:
    assert results(body) == []


VALUES = [
    'field: "x", len: 9, value: "y"',
    "{field: 'x'}",
    "len:",
    "it's",
    'say "hi"',
    "a, b, {c}, [d], (e)",
    "}]",
    "// no comment /* neither */",
    "http://x/?a=b&c#d",
    "back\\slash \\u0041",
    "ü€😀",
    "line\nbreak\ttab",
    "`${x}`",
    "null",
    "undefined",
    "",
]


@pytest.mark.parametrize("value", VALUES)
def test_values_are_not_changed(value: str) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert results(f'[{{field: "f", len: 99, value: {text}}}]') == [f"f: {value}"]
        assert results(f'[{{"field": {text}, "len": 99, "value": "v"}}]') == [f"{value}: v"]


@pytest.mark.parametrize("value", ["it's", 'say "hi"', "field: {x}", "ü€😀"])
def test_single_quotes(value: str) -> None:
    text = value.replace("'", "\\'")
    assert results(f"[{{field: 'f', len: 99, value: '{text}'}}]") == [f"f: {value}"]


def _with(**changes: Any) -> Iterable[bytes]:
    entry = {"field": "f", "len": 9, "value": "v", **changes}
    left = {name: value for name, value in entry.items() if value is not ...}
    yield json.dumps([left]).encode()
    yield f"[{{{', '.join(f'{n}: {json.dumps(v)}' for n, v in left.items())}}}]".encode()


CHANGES: list[dict[str, Any]] = [
    *({"field": 5}, {"field": None}, {"value": None}, {"value": ["x"]}, {"value": {}}),
    *({"len": "9"}, {"len": None}, {"len": 9.5}, {"value": ...}, {"len": ...}),
    *({"field": ...}, {"value": 5}, {"value": True}),
]
WRONG = [
    *(
        b"",
        b" ",
        b"null",
        b"5",
        b'"x"',
        b"{}",
        b"[null]",
        b"[[]]",
        b"[5]",
        b"NaN",
        b"[1] [2]",
        b"[] []",
    ),
    *(
        b"<html>[]</html>",
        b"[",
        b"]",
        b"[}",
        b"[{]",
        b"[{field: }]",
        b"not [] JSON",
        b"\xff",
        b"[\0]",
    ),
    *(b"[" * 100_000, b"[" * 5000 + b"]" * 5000, b'{"a":' * 5000, b"[" + b"{a:" * 5000 + b"]"),
    *(b'[{"x":' * 5000 + b"1" + b"}]" * 5000, b'[{field: "f", len: 9, value: "\\ud800"}]'),
    *(b"[" + b"9" * 10_000 + b"]", b'[{field: "f", len: 1e999, value: "v"}]'),
    *(b'[{field: "a", len: 9, value: "say "hi""}]', b"[" + b"," * 1000 + b"]"),
    *(wrong for change in CHANGES for wrong in _with(**change)),
]


@pytest.mark.parametrize("body", WRONG, ids=lambda body: repr(body[:40]))
def test_a_bad_reply_is_refused(body: bytes) -> None:
    with pytest.raises(BadReplyError) as caught:
        hits(body)
    assert len(str(caught.value)) < 500


def test_the_address_needs_no_escape() -> None:
    asked = []

    def fetch(url: str, also_accept: Container[int] = ()) -> Reply:
        assert also_accept == ()
        asked.append(url)
        return Reply(200, b"[]")

    Wise({"url": "https://wise/ip/${ip}?again=${ip}"}, fetch).check("2001:db8::1")
    assert asked == ["https://wise/ip/2001:db8::1?again=2001:db8::1"]


@pytest.mark.parametrize(
    "ip", ["", "x", "1.2.3", "1.2.3.4/../..", "fe80::1%eth0", "1.2.3.4\r\n", "${ip}"]
)
def test_a_bad_address_is_not_sent(ip: str) -> None:
    def fetch(url: str, also_accept: Container[int] = ()) -> Reply:
        raise AssertionError(url, also_accept)

    with pytest.raises(ValueError, match=r"."):
        Wise({"url": "http://wise/${ip}"}, fetch).check(ip)
