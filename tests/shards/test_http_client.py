"""One HTTP request to a server that misbehaves: a complete reply, or a reason."""

import gzip
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards import http_deadline
from shards.http_client import HttpClient, HttpClientError, parse_server_url
from tests.support.frontend import Frontend, Reply

pytestmark = pytest.mark.integration  # real servers, and time limits

PATH = "/config/a"
BODY = b'{"what": "was asked for"}'
MOST = 1000
CHUNKED = {"Content-Length": None, "Transfer-Encoding": "chunked"}


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    with Frontend() as served:
        served.replies[PATH] = Reply(body=BODY)
        yield served


def got(url: str, path: str = PATH, most: int = MOST, seconds: float = 5.0) -> bytes:
    with HttpClient(parse_server_url(url), threading.Event()) as client:
        return client.get(path, most, seconds)


def fault(url: str, most: int = MOST, seconds: float = 5.0) -> str:
    with pytest.raises(HttpClientError) as caught:
        got(url, most=most, seconds=seconds)
    return str(caught.value)


def test_the_body_comes_whole(frontend: Frontend) -> None:
    assert got(frontend.url) == BODY
    assert got(frontend.url, most=len(BODY)) == BODY


def test_a_client_whose_deadline_holds_no_connection_reads_nothing(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a version of urllib3 that has another method for new connections."""
    monkeypatch.delattr(http_deadline._Plain, "_new_conn")
    assert "use the pinned version" in fault(frontend.url)


def test_a_slash_at_the_end_of_the_url_is_dropped(frontend: Frontend) -> None:
    assert got(frontend.url + "/") == BODY


def test_a_server_below_a_path(frontend: Frontend) -> None:
    frontend.replies["/below/a"] = Reply(body=b"{}")
    assert got(frontend.url + "/below/", "/a") == b"{}"


def test_a_body_in_chunks(frontend: Frontend) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (BODY[:7], BODY[7:], b""))
    frontend.replies[PATH] = Reply(body=chunks, headers=CHUNKED)
    assert got(frontend.url) == BODY


def test_a_body_without_a_length(frontend: Frontend) -> None:
    frontend.replies[PATH] = Reply(body=BODY, headers={"Content-Length": None})
    assert got(frontend.url) == BODY


# Who asks.


@pytest.mark.parametrize(
    ("login", "meant"),
    [
        ("user:hunter2", "user:hunter2"),
        ("user", "user:"),
        (":hunter2", ":hunter2"),
        ("us%40er:hunter2%2F%23%3F", "us@er:hunter2/#?"),
        ("us%C3%A9r:hunter2%E2%82%AC", "usér:hunter2€"),
        ("user:hunter2@x", "user:hunter2@x"),
    ],
)
def test_a_login_in_the_url_is_used_and_not_shown(
    login: str, meant: str, frontend: Frontend
) -> None:
    url = frontend.url_with_login(login)
    assert got(url) == BODY
    frontend.replies[PATH] = Reply(401)
    assert fault(url).startswith(f"http://***@127.0.0.1:{frontend.port}{PATH} ")
    assert {asked.login for asked in frontend.asked} == {meant}


def test_of_the_environment_nothing_is_taken(
    frontend: Frontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert got(frontend.url) == BODY
    assert frontend.asked[0].login is None


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2#@host:8080",
        "http://user:hunter2/@host:8080",
        "http://user:80?hunter2@host",
        "http://user:80/hunter2@host",
        "http://user:hunter2@host:port",
        "http://user:hunter2@host:99999",
        "http://user:hunter2@[::1",
        "http://user:hunter2@",
        "http://user:hunter2@host/?x=1",
        "http://host/#x",
        "http://\udcff:hunter2@host",
    ],
)
def test_an_invalid_url_is_an_error(url: str) -> None:
    text = fault(url)
    assert "is no URL of a server" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("host", ["a..b", ".x", "x" * 300])
def test_a_host_that_cannot_be_one(host: str) -> None:
    text = fault(f"http://user:hunter2@{host}")
    assert "cannot be read" in text
    assert "hunter2" not in text


def test_a_refused_connection_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert fault(url) == f"{url}{PATH} cannot be read: Connection refused"


# Answers that are none.


@pytest.mark.parametrize("status", [201, 204, 206, 304, 401, 404, 500])
def test_only_status_200_will_do(status: int, frontend: Frontend) -> None:
    body = b"" if status in (204, 304) else b"what \x1b[2J came"
    frontend.replies[PATH] = Reply(status, body)
    said = f"{frontend.url}{PATH} is answered with status {status}, must be 200"
    assert fault(frontend.url) == said + ("; it begins with: what \\x1b[2J came" if body else "")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_its_target_is_in_the_error(
    status: int, frontend: Frontend
) -> None:
    to = frontend.url_with_login("user:hunter2") + "/else\x1b"
    frontend.replies[PATH] = Reply(status, headers={"Location": to})
    text = fault(frontend.url)
    shown = f"http://***@127.0.0.1:{frontend.port}/else\\x1b"
    assert text.startswith(f"{frontend.url}{PATH} is redirected to {shown}, must be")
    assert [asked.path for asked in frontend.asked] == [PATH]


def test_half_a_body_is_none(frontend: Frontend) -> None:
    said = (
        f"{frontend.url}{PATH} cannot be read: the connection has ended before all of it had come"
    )
    frontend.replies[PATH] = Reply(body=BODY, sent=9)
    assert fault(frontend.url) == said
    frontend.replies[PATH] = Reply(body=BODY, headers={"Content-Length": str(len(BODY) + 1)})
    assert fault(frontend.url) == said
    frontend.replies[PATH] = Reply(body=BODY, sent=0)
    assert fault(frontend.url) == said


@pytest.mark.parametrize("cut", [b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"x\r\n", b""])
def test_half_of_a_body_in_chunks_is_none(cut: bytes, frontend: Frontend) -> None:
    frontend.replies[PATH] = Reply(body=cut, headers=CHUNKED)
    assert "cannot be read: " in fault(frontend.url)


class Headless(Reply):
    """An answer that is not HTTP, or not even there."""

    def head(self) -> bytes:
        return b""


def test_no_answer(frontend: Frontend) -> None:
    frontend.replies[PATH] = Headless()
    assert fault(frontend.url).endswith("closed connection without response")


def test_an_answer_that_is_not_http(frontend: Frontend) -> None:
    frontend.replies[PATH] = Headless(body=b"220 mail.example \x1b[2J\r\n")
    text = fault(frontend.url)
    assert "220 mail.example" in text
    assert "\x1b" not in text


# Bounds.


@pytest.mark.parametrize("length", [{}, {"Content-Length": None}])
def test_a_body_that_is_too_long_is_not_waited_for(
    length: dict[str, str | None], frontend: Frontend
) -> None:
    endless = Reply(body=BODY * 10_000, headers=length)
    frontend.replies[PATH] = endless
    assert fault(frontend.url, most=len(BODY) - 1).endswith(
        f"too long, may have {len(BODY) - 1} bytes"
    )


@pytest.mark.parametrize("encoding", ["gzip", "GZip", "deflate", "br", "gzip, gzip"])
def test_nothing_is_unpacked(encoding: str, frontend: Frontend) -> None:
    bomb = gzip.compress(bytes(1 << 24))
    for status in (200, 500):
        frontend.replies[PATH] = Reply(status, bomb, {"Content-Encoding": encoding})
        text = fault(frontend.url, most=1 << 20)
        assert len(text) < 1000
        assert "begins with" not in text or r"begins with: \x1f\x8b" in text
    frontend.replies[PATH] = Reply(body=BODY, headers={"Content-Encoding": encoding})
    assert f"comes packed ({encoding.lower()})" in fault(frontend.url)
    assert frontend.asked[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", ""])
def test_what_is_packed_in_name_only_is_taken(encoding: str, frontend: Frontend) -> None:
    frontend.replies[PATH] = Reply(body=BODY, headers={"Content-Encoding": encoding})
    assert got(frontend.url) == BODY


SLOW = [
    Reply(body=BODY, head_drip=0.02),
    Reply(body=BODY * 9, drip=0.02),
    Reply(500, BODY * 9, drip=0.02),
    # Where the end of the connection is the end of the body, to cut it must not look like that.
    Reply(body=BODY * 9, drip=0.02, headers={"Content-Length": None}),
    Reply(body=b"5\r\n" + b"0" * 500, drip=0.02, headers=CHUNKED),
]


@pytest.mark.parametrize("slow", SLOW)
def test_a_slow_reply_is_cut_off_at_the_deadline(slow: Reply, frontend: Frontend) -> None:
    frontend.replies[PATH] = slow
    began = time.monotonic()
    text = fault(frontend.url, seconds=0.2)
    assert 0.2 <= time.monotonic() - began < 1.5
    assert text.endswith("did not come whole within 0.2 s") or "status 500" in text


@pytest.mark.parametrize("slow", [*SLOW, Reply(head_drip=60)])
def test_a_stop_ends_the_waiting(slow: Reply, frontend: Frontend) -> None:
    frontend.replies[PATH] = slow
    stop = threading.Event()
    faults = []

    def ask() -> None:
        with (
            HttpClient(parse_server_url(frontend.url), stop) as client,
            pytest.raises(HttpClientError) as caught,
        ):
            client.get(PATH, MOST, 60)
        faults.append(str(caught.value))

    thread = threading.Thread(target=ask)
    thread.start()
    frontend.wait_for(PATH)
    stop.set()
    thread.join(1)
    assert len(faults) == 1


def test_after_a_stop_nothing_is_asked(frontend: Frontend) -> None:
    stop = threading.Event()
    stop.set()
    with HttpClient(parse_server_url(frontend.url), stop) as client, pytest.raises(HttpClientError):
        client.get(PATH, MOST, 5)
    assert frontend.asked == []


def test_nothing_is_left_open(frontend: Frontend) -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts

    assert got(frontend.url) == BODY
    frontend.wait_until_idle()
    before = handles(), threading.active_count()
    for reply in (Reply(503, BODY), Reply(body=BODY, sent=5), Reply(body=BODY * 99), SLOW[0]):
        frontend.replies[PATH] = reply
        fault(frontend.url, seconds=0.2)
    frontend.wait_until_idle()
    assert (handles(), threading.active_count()) == before
