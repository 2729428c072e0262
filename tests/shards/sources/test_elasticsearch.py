"""Events of Elasticsearch and OpenSearch: all of them and in order, or an error."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from shards.errors import PathError
from shards.settings.settings import Settings
from shards.sources import elasticsearch, elasticsearch_client
from shards.sources.elasticsearch import MAX_PAGE, ElasticsearchEvents
from shards.sources.recorded_event import RecordedEvent
from tests.support.elasticsearch import (
    INDEX,
    OPENSEARCH,
    Elasticsearch,
    error_reply,
    json_reply,
    shards,
)
from tests.support.frontend import Reply
from tests.support.replaying import LOGIN, Json, event

pytestmark = pytest.mark.integration  # real servers, and time limits

SERVERS = {
    "elasticsearch": ("8.15.0", ""),
    "oldest elasticsearch": ("7.12.1", ""),
    "opensearch": ("3.3.0", OPENSEARCH),
    "opensearch without _shard_doc": ("2.11.0", OPENSEARCH),
    "opensearch that passes for elasticsearch": ("7.10.2", OPENSEARCH),
}


@pytest.fixture
def server() -> Iterator[Elasticsearch]:
    with Elasticsearch() as started:
        yield started


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch_client, "RETRY_PAUSES", (0.0, 0.0, 0.0))


def opened(server: Elasticsearch, **more: Any) -> ElasticsearchEvents:
    return ElasticsearchEvents(Settings(elasticsearch=server.url, **more))


def ids_of(events: Iterator[RecordedEvent]) -> list[str]:
    return [json.loads(one.raw)["event_id"] for one in events]


def fault(read: Callable[[], object]) -> str:
    with pytest.raises(PathError) as caught:
        read()
    return str(caught.value)


def fault_of_reading(server: Elasticsearch, **more: Any) -> str:
    """The error of a page; the point in time is closed then."""
    events = opened(server, **more)
    text = fault(lambda: list(events.events()))
    assert server.open == {}
    return text.removeprefix(server.url)


def add_numbered(server: Elasticsearch, number: int, **more: Any) -> list[str]:
    """So many events, ten in a second, newest first; their ids in the order of time."""
    ids = [f"e{n:05}" for n in range(number)]
    server.add(*(event(ids[n], n // 10, LOGIN, **more) for n in reversed(range(number))))
    return sorted(ids, key=lambda id_: int(id_[1:]) // 10)


def test_ten_thousand_documents_come_in_large_pages(server: Elasticsearch) -> None:
    assert len(add_numbered(server, 10_001)) == len(list(opened(server).events()))
    assert [search["size"] for search in server.searches] == [MAX_PAGE] * 3


@pytest.mark.parametrize("what", SERVERS)
def test_all_pages_come_in_the_order_of_time(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch, "MAX_PAGE", 44)
    with Elasticsearch(*SERVERS[what]) as server:
        expected = add_numbered(server, 100)  # 10 of each second: some on both sides of a page
        server.add(event("of another index", 1, LOGIN), index="other")
        events = opened(server, index="siem_events*,other", to="2025-03-05")
        assert (events.size, events.position) == (101, 0)
        found = list(events.events())
        assert events.position == 101
        times = [one.time for one in found]
        assert times == sorted(times, key=lambda time: time or 0)
        assert sorted(ids_of(iter(found))) == sorted([*expected, "of another index"])
        assert len({search["pit"]["id"] for search in server.searches}) == 3
        assert [search["track_total_hits"] for search in server.searches] == [True, False, False]
        assert server.open == {}


def test_they_can_be_read_again(server: Elasticsearch) -> None:
    add_numbered(server, 3)
    events = opened(server)
    assert ids_of(events.events()) == ids_of(events.events())


def test_no_documents_are_no_error(server: Elasticsearch) -> None:
    events = opened(server)
    assert (events.size, list(events.events())) == (0, [])
    assert server.open == {}


def test_what_comes_later_is_not_read(server: Elasticsearch) -> None:
    """The progress counts what there was when the reading began."""
    events = opened(server)
    add_numbered(server, 5)
    assert len(list(events.events())) == events.size == 5


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ({"from_": "2025-03-04T08:00:01Z"}, ["b", "c", "d"]),
        ({"to": "2025-03-04T08:00:02Z"}, ["a", "b"]),
        ({"from_": "2025-03-04T09:00:01+01:00", "to": "2025-03-04T08:00:03"}, ["b", "c"]),
        ({"from_": "2025-03-05"}, []),
        ({"from_": "now-1d"}, []),
        ({"to": "now"}, ["a", "b", "c", "d"]),
        ({"query": "event_id:c"}, ["c"]),
        ({"query": '{"term": {"event_id": "c"}}', "to": "now"}, ["c"]),
    ],
)
def test_settings_select(server: Elasticsearch, bounds: Json, found: list[str]) -> None:
    server.add(*(event(id_, n, LOGIN) for n, id_ in enumerate("abcd")))
    assert ids_of(opened(server, **bounds).events()) == found


def test_now_is_the_same_for_all_pages(
    server: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch, "MAX_PAGE", 2)
    add_numbered(server, 6)
    assert len(list(opened(server, from_="now-9999d/d", to="now").events())) == 6
    [query] = {json.dumps(search["query"]) for search in server.searches}
    assert 'Z||-9999d/d"' in query
    assert "now" not in query


def test_another_field_may_be_that_of_the_time(server: Elasticsearch) -> None:
    list(opened(server, time_field="timestamp", from_="now-1d").events())
    [search] = server.searches
    assert "timestamp" in search["sort"][0]
    assert "timestamp" in search["query"]["bool"]["filter"][0]["range"]


# Documents that are no events.


def test_what_is_no_event_has_index_and_id_as_its_place(server: Elasticsearch) -> None:
    nested = event("d", 0, LOGIN)
    server.add(b'{"a": 1}', None, b"[]", json.dumps({"_source": nested}).encode())
    found = list(opened(server).events())
    assert [one.place for one in found] == [f"{INDEX}/id{n:06}" for n in range(4)]
    assert [one.key is not None for one in found] == [False, False, False, True]
    assert json.loads(found[1].raw) == {"_index": INDEX, "_id": "id000001"}


def test_documents_that_make_a_page_too_long_come_in_smaller_ones(
    server: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch_client, "MAX_REPLY_BYTES", 100_000)
    monkeypatch.setattr(elasticsearch, "_PAGE_BYTES", 50_000)
    expected = add_numbered(server, 300, title="x" * 4000)
    assert sorted(ids_of(opened(server).events())) == expected
    sizes = [search["size"] for search in server.searches]
    assert sizes[0] == MAX_PAGE
    assert max(sizes[len(sizes) // 2 :]) < 20


@pytest.mark.parametrize(
    "document", [b'{"a": "' + b"x" * 20_000 + b'"}', b'{"a":' * 2000 + b"1" + b"}" * 2000]
)
def test_a_document_that_cannot_be_read_is_an_invalid_event_and_no_end(
    server: Elasticsearch, monkeypatch: pytest.MonkeyPatch, document: bytes
) -> None:
    monkeypatch.setattr(elasticsearch_client, "MAX_REPLY_BYTES", 15_000)
    add_numbered(server, 20)
    server.add(document)
    add_numbered(server, 20)
    found = list(opened(server).events())
    assert len(found) == 41
    assert [one.place for one in found if one.key is None] == [f"{INDEX}/id000020"]
    assert server.searches[-1]["size"] > 10


def test_half_a_surrogate_pair_is_repaired_as_in_a_file(server: Elasticsearch) -> None:
    whole = json.dumps(event("a", 0, LOGIN, title="t")).encode()
    titles = rb"\ud83d\ude00 \\ud800", rb"a\ud800", rb"\udc00b\uD83d\u0041"
    server.add(*(whole.replace(b'"t"', b'"%s"' % title) for title in titles), whole)
    found = list(opened(server).events())
    read = [json.loads(one.raw)["title"] for one in found]
    assert read == ["\U0001f600 \\ud800", "a\ufffd", "\ufffdb\ufffdA", "t"]
    assert None not in [one.key for one in found]
    assert len(server.searches) == 1


# Logins.


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({"elasticsearch_username": "ann", "elasticsearch_password": "pä"}, "Basic YW5uOnDDpA=="),
        ({"elasticsearch_api_key": "id:key"}, "ApiKey aWQ6a2V5"),
        ({"elasticsearch_api_key": "aWQ6a2V5"}, "ApiKey aWQ6a2V5"),
    ],
)
def test_logins(server: Elasticsearch, login: Json, header: str) -> None:
    server.authorization = header
    add_numbered(server, 3)
    assert len(list(opened(server, **login).events())) == 3
    wrong = dict.fromkeys(login, "wrong")
    text = fault(lambda: opened(server, **wrong))
    assert text.startswith(f"{server.url} refuses the login (status 401); set DSIEM_ELASTICSEARCH_")
    assert text.endswith("; it says: unable to authenticate user [eve]")
    assert "wrong" not in text


@pytest.mark.parametrize("distribution", ["", OPENSEARCH])
def test_a_login_that_may_only_read_the_index_is_enough(distribution: str) -> None:
    with Elasticsearch("8.0.0" if not distribution else "2.0.0", distribution) as server:
        server.may_monitor = False
        add_numbered(server, 3)
        assert len(list(opened(server).events())) == 3


# Servers that fail.


def test_a_version_without_tiebreaker_is_refused() -> None:
    with Elasticsearch("7.11.2") as server:
        text = fault(lambda: opened(server))
    assert text == (
        f"{server.url} is Elasticsearch 7.11.2, must be 7.12 or newer, or OpenSearch 2.4 or newer"
    )


def test_a_server_that_is_not_there_is_not_waited_for() -> None:
    settings = Settings(elasticsearch="http://127.0.0.1:1")
    text = fault(lambda: ElasticsearchEvents(settings))
    assert text == "http://127.0.0.1:1/ cannot be read: Connection refused"


def test_something_else_is_recognized(server: Elasticsearch) -> None:
    server.replies["/"] = Reply(body=b"<html>")
    text = fault(lambda: opened(server))
    assert "does not answer as Elasticsearch or OpenSearch" in text
    assert text.endswith("its reply begins with: <html>")


@pytest.mark.parametrize("number", ["9" * 5000 + ".1", "x", "²."], ids=["long", "text", "digit"])
def test_a_number_that_is_no_version_is_refused(server: Elasticsearch, number: str) -> None:
    server.replies["/"] = json_reply({"version": {"number": number}})
    assert "must be 7.12 or newer" in fault(lambda: opened(server))


def test_an_index_that_is_missing(server: Elasticsearch) -> None:
    assert fault(lambda: opened(server, index="nope")) == f"{server.url} has no index nope"


def test_a_query_that_is_wrong(server: Elasticsearch) -> None:
    add_numbered(server, 1)
    assert fault(lambda: opened(server, query="(")) == (
        f"{server.url}/siem_events*/_count fails (status 400); it says: Failed to parse query [(]"
    )


def test_a_name_of_an_index_is_no_path(server: Elasticsearch) -> None:
    fault(lambda: opened(server, index="../a%2f?b#c"))
    assert server.asked[-1].path == "/..%2Fa%252f%3Fb%23c/_count"


SEARCH = "/_search?allow_partial_search_results=false"
ENDED = "the connection has ended before all of it had come"
LOST = "has lost the point in time: it was restarted, or no page was asked for within 5m"
FORBIDDEN = "forbids the login to read siem_events* (status 403), it needs the privilege read"
FAULTS: list[tuple[Reply, str]] = [
    (
        json_reply({"hits": {"hits": []}, "_shards": shards(2, failures=[{"reason": "disk"}])}),
        ': 2 of 3 shards did not answer: {"reason": "disk"}',
    ),
    (
        json_reply({"hits": {"hits": []}, "_shards": shards(), "timed_out": True}),
        " gave up a search before it was complete (timed_out)",
    ),
    (
        error_reply(404, "search_context_missing_exception", "No search context found for id [7]"),
        f" {LOST}; read the events again",
    ),
    (
        error_reply(403, "security_exception", "action [read] is unauthorized"),
        f" {FORBIDDEN}; it says: action [read] is unauthorized",
    ),
    (
        error_reply(400, "query_shard_exception", "No mapping found\x1b[31m " + "x" * 999),
        "/_search fails (status 400); it says: No mapping found\\x1b[31m " + "x" * 274 + "…",
    ),
    (Reply(500, b'{"error": "text"}'), "/_search fails (status 500); it says: text"),
    (Reply(500, b"<html>"), "/_search fails (status 500); it says: <html>"),
    (
        Reply(302, headers={"Location": "http://169.254.169.254/?key=1"}),
        f"{SEARCH} is redirected to http://169.254.169.254/, must be answered by the server itself",
    ),
]


@pytest.mark.parametrize(("reply", "text"), FAULTS, ids=range(len(FAULTS)))
def test_a_page_that_fails_ends_the_reading(server: Elasticsearch, reply: Reply, text: str) -> None:
    add_numbered(server, 3)
    server.faults = [reply]
    assert fault_of_reading(server) == text
    assert len(server.searches) == 1


@pytest.mark.parametrize("total", [4, 2, 0])
def test_fewer_or_more_documents_than_there_are_is_an_error(
    server: Elasticsearch, total: int
) -> None:
    add_numbered(server, 3)
    server.changes = {"hits": {"total": {"value": total, "relation": "eq"}}}
    assert fault_of_reading(server) == (
        f"siem_events* cannot be read to its end: 3 of {total} documents came"
    )


def test_a_point_in_time_that_is_lost_between_two_pages(
    server: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch, "MAX_PAGE", 2)
    add_numbered(server, 6)
    reading = opened(server).events()
    next(reading), next(reading)
    server.lose_points_in_time()
    assert LOST in fault(lambda: next(reading))


BUSY = {
    "429": error_reply(429, "es_rejected_execution_exception", "queue is full"),
    "503": error_reply(503, "no_shard_available_action_exception", "no shard"),
    "a connection that breaks": Reply(body=b"{" + b" " * 100, sent=50),
}


@pytest.mark.parametrize("what", BUSY)
def test_a_server_without_room_is_asked_again(server: Elasticsearch, what: str) -> None:
    add_numbered(server, 3)
    server.faults = [BUSY[what]] * 3
    assert len(list(opened(server).events())) == 3
    assert len(server.searches) == 4


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("429", "/_search fails (status 429); it says: queue is full"),
        ("503", "/_search fails (status 503); it says: no shard"),
        (
            "a connection that breaks",
            f"{SEARCH} cannot be read: {ENDED} (4 tries)",
        ),
    ],
)
def test_a_server_is_not_asked_for_ever(server: Elasticsearch, what: str, text: str) -> None:
    add_numbered(server, 3)
    server.faults = [BUSY[what]] * 9
    assert fault_of_reading(server) == text
    assert len(server.searches) == 4


def test_a_slow_drip_has_a_deadline(server: Elasticsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch_client, "REPLY_SECONDS", 0.3)
    add_numbered(server, 3)
    server.faults = [Reply(body=b"{" + b" " * 500, drip=0.02)]
    assert "did not come whole within 0.3 s" in fault_of_reading(server)


def test_a_server_that_is_silent_is_given_up(
    server: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch_client, "SILENT_SECONDS", 0.2)
    add_numbered(server, 3)
    server.faults = [Reply(head_drip=60)]
    assert "nothing came for 0.2 s" in fault_of_reading(server)


def test_the_point_in_time_is_closed_when_reading_stops_early(server: Elasticsearch) -> None:
    add_numbered(server, 3)
    reading = opened(server).events()
    next(reading)
    assert server.open
    del reading
    assert server.open == {}


def test_a_point_in_time_that_cannot_be_closed_is_no_error(server: Elasticsearch) -> None:
    add_numbered(server, 3)
    reading = opened(server).events()
    next(reading)
    server.stop()
    assert len(list(reading)) == 2


def test_certificates_are_checked(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Elasticsearch(authority=authority) as server:
        add_numbered(server, 3)
        assert len(list(opened(server, elasticsearch_ca=str(tmp_path / "ca.pem")).events())) == 3
        assert "CERTIFICATE_VERIFY_FAILED" in fault(lambda: opened(server))
        missing = str(tmp_path / "none.pem")
        assert missing in fault(lambda: opened(server, elasticsearch_ca=missing))
