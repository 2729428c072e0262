"""The fetcher of plugins: URLs, statuses, certificates, proxies, deadlines."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from shards.http_client import HttpClientError, TransportOptions
from shards.lookups.fetcher import Fetcher, find_transport_error, split_url
from shards.lookups.plugins.api import Reply as FetchedReply
from tests.support.frontend import Reply
from tests.support.lookup_server import LookupServer, dripping_socket
from tests.support.lookup_service import LIMITS

SECONDS = 5.0


@pytest.fixture
def server() -> Iterator[LookupServer]:
    """A server that answers every path with "body"."""
    with LookupServer(Reply(body=b"body")) as served:
        yield served


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificates(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[LookupServer]:
    with LookupServer(Reply(body=b"body"), authority) as served:
        yield served


def fetch_once(
    url: str, *also_accept: int, seconds: float = SECONDS, proxy: str = "", ca: str = ""
) -> FetchedReply:
    transport = TransportOptions(proxy, ca, read_timeout=seconds)
    fetch = Fetcher(replace(LIMITS, request_seconds=seconds), transport, threading.Event())
    try:
        return fetch(url, also_accept)
    finally:
        fetch.close()


def fetch_error(
    url: str, seconds: float = SECONDS, proxy: str = "", ca: str = ""
) -> tuple[str, str]:
    with pytest.raises(HttpClientError) as caught:
        fetch_once(url, seconds=seconds, proxy=proxy, ca=ca)
    assert "hunter2" not in str(caught.value)
    return caught.value.code, caught.value.predicate


def test_a_reply_is_returned_and_the_fragment_is_not_sent(server: LookupServer) -> None:
    assert fetch_once(f"{server.url}/x?y=%20z#no") == FetchedReply(200, b"body")
    assert [asked.path for asked in server.asked] == ["/x?y=%20z"]


def test_accepted_statuses_are_returned_with_their_body(server: LookupServer) -> None:
    server.usual = Reply(418, b"no vulnerability found\n")
    assert fetch_once(f"{server.url}/x", 404, 418) == FetchedReply(418, b"no vulnerability found\n")
    why = "is answered with status 418, must be 200"
    assert fetch_error(f"{server.url}/x") == ("status_418", why)


def test_a_redirect_is_not_followed_even_if_its_status_is_accepted(server: LookupServer) -> None:
    server.usual = Reply(302, headers={"Location": server.url + "/y"})
    with pytest.raises(HttpClientError):
        fetch_once(f"{server.url}/x", 302)
    assert [asked.path for asked in server.asked] == ["/x"]


def test_one_fetcher_can_ask_several_servers(server: LookupServer) -> None:
    with LookupServer(Reply(body=b"second")) as second:
        fetch = Fetcher(LIMITS, TransportOptions(), threading.Event())
        bodies = [fetch(to.url + "/x").body for to in (server, second, server, server)]
        fetch.close()
    assert bodies == [b"body", b"second", b"body", b"body"]


def test_a_login_in_the_url_is_used(server: LookupServer) -> None:
    assert fetch_once(server.url_with_login("user:hunter2") + "/x").status == 200
    assert server.asked[0].login == "user:hunter2"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "x"])
def test_a_url_that_is_not_http_is_refused(url: str) -> None:
    assert fetch_error(url)[0] == "bad_url"


def test_errors_do_not_contain_the_query(server: LookupServer) -> None:
    server.usual = Reply(500, b"hunter2")
    fetch_error(f"{server.url}/x?key=hunter2")
    server.usual = Reply(302, headers={"Location": f"{server.url}/y?key=hunter2"})
    fetch_error(f"{server.url}/x?key=hunter2")
    server.stop()
    fetch_error(f"{server.url}/x?key=hunter2")


def test_after_a_stop_nothing_is_sent(server: LookupServer) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(HttpClientError) as caught:
        Fetcher(LIMITS, TransportOptions(), stop)(server.url)
    assert (caught.value.code, server.asked) == ("stopping", [])


# Certificates.


def test_a_certificate_of_an_unknown_authority_is_refused(secure: LookupServer) -> None:
    code, why = fetch_error(secure.url)
    assert code == "connection"
    assert "CERTIFICATE_VERIFY_FAILED" in why
    assert secure.asked == []


def test_a_certificate_of_the_configured_authority_is_accepted(
    secure: LookupServer, certificates: str
) -> None:
    assert fetch_once(f"{secure.url}/x", ca=certificates) == FetchedReply(200, b"body")


def test_a_certificate_of_another_host_is_refused(secure: LookupServer, certificates: str) -> None:
    code, why = fetch_error(secure.url.replace("127.0.0.1", "localhost"), ca=certificates)
    assert code == "connection"
    assert "match" in why.lower() or "CERTIFICATE_VERIFY_FAILED" in why


def seconds_until_timeout(fetch: Callable[[], tuple[str, str]]) -> float:
    began = time.monotonic()
    assert fetch()[0] == "timeout"
    return time.monotonic() - began


def test_a_slow_tls_handshake_times_out() -> None:
    """The server announces a long TLS record and sends it byte by byte."""
    with dripping_socket(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\x03") as place:
        assert (
            0.2
            <= seconds_until_timeout(lambda: fetch_error(f"https://{place}/", seconds=0.2))
            < 1.5
        )


# A proxy.


def test_requests_go_to_the_proxy(server: LookupServer) -> None:
    login = server.url_with_login("user:hunter2")
    assert fetch_once("http://wise.invalid:8081/ip/x", proxy=login) == FetchedReply(200, b"body")
    [asked] = server.asked
    assert asked.path == "http://wise.invalid:8081/ip/x"
    assert asked.headers["Proxy-Authorization"].startswith("Basic ")


def test_proxies_and_certificates_of_the_environment_are_ignored(
    server: LookupServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetch_once(server.url).body == b"body"
    monkeypatch.setenv("no_proxy", "*")
    assert fetch_once("http://wise.invalid/", proxy=server.url).body == b"body"


@pytest.mark.parametrize("url", ["http://wise.invalid/", "https://wise.invalid/"])
def test_a_proxy_that_is_down(url: str, server: LookupServer) -> None:
    proxy = server.url_with_login("user:hunter2")
    server.stop()
    assert fetch_error(url, proxy=proxy) == ("connection", "cannot be read: Connection refused")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_slow_proxy_times_out(scheme: str) -> None:
    """For https the reply to CONNECT is the slow one."""
    with dripping_socket(b"HTTP/1.1 200 OK\r\nX: ", b"x") as place:
        proxy = f"http://{place}"
        assert (
            0.2
            <= seconds_until_timeout(
                lambda: fetch_error(f"{scheme}://x.invalid/", seconds=0.2, proxy=proxy)
            )
            < 1.5
        )
    gc.collect()  # ssl leaves the socket of an aborted CONNECT to the garbage collector


# Transport options, URLs.


def test_transport_options_that_can_be_used(certificates: str) -> None:
    assert find_transport_error(TransportOptions()) == ""
    assert (
        find_transport_error(TransportOptions("http://user:hunter2@proxy:3128", certificates)) == ""
    )


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://proxy", "http://", "http://x:y"])
def test_a_proxy_that_is_not_a_url(proxy: str) -> None:
    right = "must be a URL like http://proxy:3128"
    assert find_transport_error(TransportOptions(proxy)) == f"the proxy of lookups {right}"


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    assert find_transport_error(TransportOptions(ca=missing)).endswith(
        f"{missing}, cannot be used: No such file or directory"
    )
    empty = tmp_path / "empty.pem"
    for text in ("", "not a certificate"):
        empty.write_text(text)
        assert "cannot be used: " in find_transport_error(TransportOptions(ca=str(empty)))


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("http://wise", "http://wise", "/"),
        ("https://wise:8081/", "https://wise:8081", "/"),
        ("HTTP://wise/a//b?x=1#y", "http://wise", "/a//b?x=1"),
        ("http://user:p%40@wise//x", "http://user:p%40@wise", "//x"),
        ("http://wise?x=/", "http://wise", "/?x=/"),
        ("http://[::1]:80/2001:db8::1", "http://[::1]:80", "/2001:db8::1"),
    ],
)
def test_a_url_is_split_into_origin_and_path(url: str, origin: str, path: str) -> None:
    assert split_url(url) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        *("", "wise", "//wise", "/x", "ftp://wise/x", "file:///etc/passwd", "http://", "http:///x"),
        *(
            "http://:80/",
            "http://wise:x/",
            "http://[::1/",
            "http://[x]/",
            "gopher://x",
            "http:wise",
        ),
    ],
)
def test_a_url_without_a_server_is_refused(url: str) -> None:
    with pytest.raises(HttpClientError) as caught:
        split_url(url)
    assert caught.value.code == "bad_url"
