"""How plugins ask servers: statuses, certificates, a proxy, and a server that drips its TLS."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from shards.http_client import HttpClientError, TransportOptions
from shards.lookups.fetcher import Fetcher, transport_fault
from shards.lookups.plugins.api import Reply as Answered
from tests.support.frontend import Reply
from tests.support.lookup_server import LookupServer, dripping_socket
from tests.support.lookup_service import LIMITS

SECONDS = 5.0


@pytest.fixture
def server() -> Iterator[LookupServer]:
    with LookupServer(Reply(body=b"well")) as served:
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
    with LookupServer(Reply(body=b"well"), authority) as served:
        yield served


def fetched(
    url: str, *also: int, seconds: float = SECONDS, proxy: str = "", ca: str = ""
) -> Answered:
    way = TransportOptions(proxy, ca, read_timeout=seconds)
    fetch = Fetcher(replace(LIMITS, seconds=seconds), way, threading.Event())
    try:
        return fetch(url, also)
    finally:
        fetch.close()


def fault(url: str, seconds: float = SECONDS, proxy: str = "", ca: str = "") -> tuple[str, str]:
    with pytest.raises(HttpClientError) as caught:
        fetched(url, seconds=seconds, proxy=proxy, ca=ca)
    assert "hunter2" not in str(caught.value)
    return caught.value.code, caught.value.predicate


def test_an_answer(server: LookupServer) -> None:
    assert fetched(f"{server.url}/x?y=%20z#no") == Answered(200, b"well")
    assert [asked.path for asked in server.asked] == ["/x?y=%20z"]


def test_statuses_that_are_wanted_come_with_their_bodies(server: LookupServer) -> None:
    server.usual = Reply(418, b"no vulnerability found\n")
    assert fetched(f"{server.url}/x", 404, 418) == Answered(418, b"no vulnerability found\n")
    why = "is answered with status 418, must be 200"
    assert fault(f"{server.url}/x") == ("status_418", why)


def test_a_redirect_is_not_followed_even_if_it_is_wanted(server: LookupServer) -> None:
    server.usual = Reply(302, headers={"Location": server.url + "/y"})
    with pytest.raises(HttpClientError):
        fetched(f"{server.url}/x", 302)
    assert [asked.path for asked in server.asked] == ["/x"]


def test_one_fetcher_asks_several_servers(server: LookupServer) -> None:
    with LookupServer(Reply(body=b"second")) as second:
        fetch = Fetcher(LIMITS, TransportOptions(), threading.Event())
        bodies = [fetch(to.url + "/x").body for to in (server, second, server, server)]
        fetch.close()
    assert bodies == [b"well", b"second", b"well", b"well"]


def test_a_login_in_the_url_is_used(server: LookupServer) -> None:
    assert fetched(server.url_with_login("user:hunter2") + "/x").status == 200
    assert server.asked[0].login == "user:hunter2"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "x"])
def test_what_is_no_http_is_not_asked(url: str) -> None:
    assert fault(url)[0] == "bad_url"


def test_a_query_is_not_shown(server: LookupServer) -> None:
    server.usual = Reply(500, b"hunter2")
    fault(f"{server.url}/x?key=hunter2")
    server.usual = Reply(302, headers={"Location": f"{server.url}/y?key=hunter2"})
    fault(f"{server.url}/x?key=hunter2")
    server.stop()
    fault(f"{server.url}/x?key=hunter2")


def test_after_a_stop_nothing_is_asked(server: LookupServer) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(HttpClientError) as caught:
        Fetcher(LIMITS, TransportOptions(), stop)(server.url)
    assert (caught.value.code, server.asked) == ("stopping", [])


# Certificates.


def test_a_certificate_of_somebody_unknown_is_refused(secure: LookupServer) -> None:
    code, why = fault(secure.url)
    assert code == "connection"
    assert "CERTIFICATE_VERIFY_FAILED" in why
    assert secure.asked == []


def test_a_certificate_of_somebody_named_is_taken(secure: LookupServer, certificates: str) -> None:
    assert fetched(f"{secure.url}/x", ca=certificates) == Answered(200, b"well")


def test_a_certificate_of_another_host_is_refused(secure: LookupServer, certificates: str) -> None:
    code, why = fault(secure.url.replace("127.0.0.1", "localhost"), ca=certificates)
    assert code == "connection"
    assert "match" in why.lower() or "CERTIFICATE_VERIFY_FAILED" in why


def took(what: Callable[[], tuple[str, str]]) -> float:
    began = time.monotonic()
    assert what()[0] == "timeout"
    return time.monotonic() - began


def test_a_dripping_handshake_ends_in_time() -> None:
    """A record of TLS that says it is long."""
    with dripping_socket(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\x03") as place:
        assert 0.2 <= took(lambda: fault(f"https://{place}/", seconds=0.2)) < 1.5


# A proxy.


def test_a_proxy_is_asked_in_place_of_the_server(server: LookupServer) -> None:
    login = server.url_with_login("user:hunter2")
    assert fetched("http://wise.invalid:8081/ip/x", proxy=login) == Answered(200, b"well")
    [asked] = server.asked
    assert asked.path == "http://wise.invalid:8081/ip/x"
    assert asked.headers["Proxy-Authorization"].startswith("Basic ")


def test_of_the_environment_no_proxy_is_taken(
    server: LookupServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetched(server.url).body == b"well"
    monkeypatch.setenv("no_proxy", "*")
    assert fetched("http://wise.invalid/", proxy=server.url).body == b"well"


@pytest.mark.parametrize("url", ["http://wise.invalid/", "https://wise.invalid/"])
def test_a_proxy_that_is_not_there(url: str, server: LookupServer) -> None:
    proxy = server.url_with_login("user:hunter2")
    server.stop()
    assert fault(url, proxy=proxy) == ("connection", "cannot be read: Connection refused")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dripping_proxy_ends_in_time(scheme: str) -> None:
    """For https it is the answer to CONNECT that drips."""
    with dripping_socket(b"HTTP/1.1 200 OK\r\nX: ", b"x") as place:
        proxy = f"http://{place}"
        assert 0.2 <= took(lambda: fault(f"{scheme}://x.invalid/", seconds=0.2, proxy=proxy)) < 1.5
    gc.collect()  # of what is cut in the middle of CONNECT, ssl leaves a socket to this


# What is wrong with a way is found before anything is asked.


def test_a_way_that_is_right(certificates: str) -> None:
    assert transport_fault(TransportOptions()) == ""
    assert transport_fault(TransportOptions("http://user:hunter2@proxy:3128", certificates)) == ""


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://proxy", "http://", "http://x:y"])
def test_a_proxy_that_is_none(proxy: str) -> None:
    right = "must be a URL like http://proxy:3128"
    assert transport_fault(TransportOptions(proxy)) == f"the proxy of lookups {right}"


def test_certificates_that_are_none(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    assert transport_fault(TransportOptions(ca=missing)).endswith(
        f"{missing}, cannot be used: No such file or directory"
    )
    empty = tmp_path / "empty.pem"
    for text in ("", "what is no certificate"):
        empty.write_text(text)
        assert "cannot be used: " in transport_fault(TransportOptions(ca=str(empty)))
