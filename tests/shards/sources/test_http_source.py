"""The HTTP source: real sockets, with well-behaved and hostile clients."""

import asyncio
import gzip
import io
import json
import random
import re
import socket
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import msgspec
import pytest
import uvloop

from shards.http_server import HttpLimits
from shards.sources.event_source import Refusal
from shards.sources.http_source import HttpSource, RequestLimits
from shards.sources.posted_events import MAX_INVALID, MAX_LISTED, MAX_RANGES

pytestmark = pytest.mark.integration  # a real server, and its time limits

DEADLINE = 30.0
GOOD = b'{"id":1}'
FULL = b'{"full":true}'
USUAL = RequestLimits()
SMALL = RequestLimits(body_bytes=1000)


class Recorder:
    """Accepts every JSON object, except one that says that a queue is full."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.flushed = 0  # events taken before the last flush

    def take(self, raw: bytes) -> Refusal | None:
        self.taken.append(raw)
        try:
            event = msgspec.json.decode(raw)
        except Exception:
            return Refusal("bad_json", "no JSON")
        if not isinstance(event, dict):
            return Refusal("bad_type", "must be a JSON object")
        return Refusal("queue_full", "full") if "full" in event else None

    def flush(self) -> None:
        self.flushed = len(self.taken)


class Answer:
    """What a raw client reads: one response."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Raw:
    """A client that sends whatever bytes it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> Answer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(fields.get("content-length", "0")))
        return Answer(int(head[0].split()[1]), fields, body)

    async def rest(self) -> bytes:
        try:
            return await self._reader.read()
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class Site:
    """A running source, and clients for it."""

    def __init__(self, source: HttpSource, intake: Recorder, port: int) -> None:
        self.source = source
        self.intake = intake
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[Raw]:
        client = Raw(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield client
        finally:
            await client.close()

    async def send(self, data: bytes) -> Answer:
        async with self.raw() as client:
            client.send(data)
            return await client.answer()

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, **options) as response,
        ):
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, await response.read())

    async def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.request("POST", "/events", data=io.BytesIO(body), headers=headers)


Scenario = Callable[[Site], Awaitable[None]]


def serve(
    scenario: Scenario,
    intake: Recorder | None = None,
    token: str = "",
    limits: RequestLimits = USUAL,
    connections: HttpLimits | None = None,
) -> Recorder:
    """Run a scenario against a source of its own; what was taken is flushed when it ends."""
    intake = intake or Recorder()

    async def run() -> None:
        source = HttpSource(intake, "127.0.0.1", 0, token, limits, connections)
        _, port = await source.start()
        try:
            async with asyncio.timeout(DEADLINE):
                await scenario(Site(source, intake, port))
        finally:
            await source.stop()

    uvloop.run(run())
    assert intake.flushed == len(intake.taken)
    return intake


def posted(body: bytes, headers: Mapping[str, str] | None = None, **options: Any) -> Answer:
    """Post one body to a fresh source."""
    answers = []

    async def scenario(site: Site) -> None:
        answers.append(await site.post(body, headers))

    serve(scenario, **options)
    return answers[0]


def head(*lines: str, start: str = "POST /events HTTP/1.1") -> bytes:
    return "\r\n".join([start, "Host: x", *lines, "", ""]).encode("latin-1")


def with_length(body: bytes) -> bytes:
    return head(f"Content-Length: {len(body)}") + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = head("Transfer-Encoding: chunked")
END = chunk(b"")


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b'{"a":1}', [b'{"a":1}']),
        (b' \r\n{\n  "a": 1,\n  "b": [2,\n3]\n}\n\n', [b'{\n  "a": 1,\n  "b": [2,\n3]\n}']),
        (b'[{"a":1},{"b":[2]}]', [b'{"a":1}', b'{"b":[2]}']),
        (b'\n[ {"a": 1}\n, {"b":2} ]\r\n', [b'{"a": 1}', b'{"b":2}']),
        (b'[{"a":"]},{\\"["},{"b":"\\\\"}]', [b'{"a":"]},{\\"["}', b'{"b":"\\\\"}']),
        (b"[]", []),
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
        (b'\n\r\n {"a":1} \n \t\n\n{"b":2}\n\r\n', [b'{"a":1}', b'{"b":2}']),
        ('{"a":"é😀"}\n{"b":"\\u00e9"}'.encode(), ['{"a":"é😀"}'.encode(), b'{"b":"\\u00e9"}']),
        ('[{"a":"é😀\u2028"}]'.encode(), ['{"a":"é😀\u2028"}'.encode()]),
        ('{"a":"\u2028\u0085"}\n{"b":2}'.encode(), ['{"a":"\u2028\u0085"}'.encode(), b'{"b":2}']),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=latin-1", "?"])
def test_the_format_of_a_body_is_detected_and_its_events_are_unchanged(
    body: bytes, events: list[bytes], kind: str
) -> None:
    intake = Recorder()
    answer = posted(body, {"Content-Type": kind}, intake=intake)
    assert intake.taken == events
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {
        "received": len(events),
        "accepted": len(events),
        "rejected": [],
        "rejected_total": 0,
        "rejected_ranges": {},
    }


@pytest.mark.parametrize(
    "body", [b'\n{"a":1}\n\n{"b":\n\r\n5\n{"c":3}', b'{"a":1}\r\n\r\n{"b":\r\n5\r\n{"c":3}\r\n']
)
def test_a_position_counts_events_so_blank_lines_do_not_count(body: bytes) -> None:
    answer = posted(body)
    assert answer.status == 200
    assert (answer.json["received"], answer.json["accepted"]) == (4, 2)
    assert answer.json["rejected"] == [
        {"position": 1, "reason": "bad_json", "detail": "no JSON"},
        {"position": 2, "reason": "bad_type", "detail": "must be a JSON object"},
    ]


def test_a_position_in_an_array_is_its_index() -> None:
    answer = posted(b'[{"a":1},null,{"b":[]},"x",[{}]]')
    assert [entry["position"] for entry in answer.json["rejected"]] == [1, 3, 4]
    assert answer.json["rejected_total"] == 3


@pytest.mark.parametrize("body", [b"5", b'"x"', b"null", b"nonsense", b"\xff\xfe", b"[1,2]", b"{"])
def test_only_invalid_events_are_a_bad_request(body: bytes) -> None:
    answer = posted(body)
    assert answer.status == 400
    assert answer.json["accepted"] == 0
    assert answer.json["rejected_total"] == answer.json["received"] > 0


def test_an_object_nested_too_deep_is_an_invalid_event() -> None:
    answer = posted(b'{"a":' * 200_000 + b"1" + b"}" * 200_000)
    assert (answer.status, answer.json["rejected"][0]["reason"]) == (400, "bad_json")


@pytest.mark.parametrize("body", [b"", b" \r\n\t \n"])
def test_a_body_without_events_is_a_bad_request(body: bytes) -> None:
    answer = posted(body)
    assert (answer.status, answer.json) == (400, {"error": "the body is empty"})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'[{"a":1},{"b":]', r"\(byte 14\)"),
        (b'[{"a":1}] {"b":2}', r"trailing characters \(byte 11\)"),
        (b'[{"a":1}\n', r"truncated \(byte 9\)"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deep"),
    ],
)
def test_of_a_broken_array_nothing_is_taken(body: bytes, error: str) -> None:
    intake = Recorder()
    answer = posted(body, intake=intake)
    assert answer.status == 400
    assert re.search(error, answer.json["error"])
    assert intake.taken == []


def test_an_array_of_too_many_values_is_to_be_sent_as_lines() -> None:
    assert posted(b"[" + b"0," * 600_000 + b"0]").status == 413


def test_the_list_of_refused_events_is_bounded_but_their_count_is_not() -> None:
    answer = posted(GOOD + b"\nbad" * (MAX_LISTED + 50))
    assert answer.status == 200
    assert len(answer.json["rejected"]) == MAX_LISTED
    assert answer.json["rejected_total"] == MAX_LISTED + 50


@pytest.mark.parametrize("others", [[], [GOOD], [b"bad"], [b"bad"] * 200 + [GOOD]])
def test_a_full_queue_asks_for_a_retry_of_the_rest(others: list[bytes]) -> None:
    answer = posted(b"\n".join([FULL, *others, FULL]))
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert answer.json["rejected"][0]["reason"] == "queue_full"
    assert answer.json["accepted"] == others.count(GOOD)


def test_a_queue_that_is_full_after_the_last_event_is_reported_too() -> None:
    assert posted(b"bad\n" * (MAX_LISTED + 1) + FULL).status == 429


@pytest.mark.parametrize("pack", [b"\n".join, lambda events: b"[%b]" % b",".join(events)])
def test_after_a_thousand_invalid_events_the_rest_of_a_body_is_refused(
    pack: Callable[[list[bytes]], bytes],
) -> None:
    intake = Recorder()

    async def scenario(site: Site) -> None:
        answer = await site.post(pack([GOOD] + [b"5"] * 400_000))
        assert answer.status == 400
        assert answer.json["received"] == answer.json["not_taken_from"] == MAX_INVALID + 1
        assert answer.json["rejected_ranges"] == {"bad_type": [[1, MAX_INVALID]]}
        assert answer.json["error"] == f"the rest is not taken: {MAX_INVALID} events are invalid"
        assert site.source.feed.bodies_cut == 1
        just_fits = await site.post(pack([GOOD] + [b"5"] * MAX_INVALID))
        assert (just_fits.status, "error" in just_fits.json) == (200, False)
        assert site.source.feed.bodies_cut == 1

    serve(scenario, intake)
    assert len(intake.taken) == 2 * (MAX_INVALID + 1)


def test_a_body_of_which_too_many_ranges_are_refused_stops() -> None:
    intake = Recorder()
    answer = posted(b"\n".join([FULL, GOOD] * 5000), intake=intake)
    assert (answer.status, answer.json["not_taken_from"]) == (429, 2 * MAX_RANGES - 1)
    assert len(answer.json["rejected_ranges"]["queue_full"]) == MAX_RANGES
    assert len(intake.taken) == 2 * MAX_RANGES - 1


def test_a_retry_under_its_idempotency_key_takes_nothing_again() -> None:
    async def scenario(site: Site) -> None:
        first, again = [await site.post(GOOD, {"Idempotency-Key": "a"}) for _ in range(2)]
        assert (first.status, first.body) == (again.status, again.body)
        assert again.headers["idempotency-replayed"] == "true"
        assert (await site.post(GOOD, {"Idempotency-Key": "b"})).status == 200
        other = await site.post(GOOD + b" ", {"Idempotency-Key": "a"})
        assert (other.status, list(other.json)) == (422, ["error"])
        assert (await site.post(GOOD, {"Idempotency-Key": "x" * 256})).status == 400

    assert serve(scenario).taken == [GOOD, GOOD]


def test_a_body_of_which_nothing_was_taken_is_tried_again_under_its_key() -> None:
    async def scenario(site: Site) -> None:
        for _ in range(2):
            assert (await site.post(FULL, {"Idempotency-Key": "a"})).status == 429
        for _ in range(2):
            assert (await site.post(FULL + b"\n" + GOOD, {"Idempotency-Key": "b"})).status == 429

    assert serve(scenario).taken == [FULL, FULL, FULL, GOOD]


def test_a_key_in_progress_is_a_conflict() -> None:
    body = b"\n".join([GOOD] * 50_000)

    async def scenario(site: Site) -> None:
        key = {"Idempotency-Key": "a"}
        answers = await asyncio.gather(*(site.post(body, key) for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
        assert (await site.post(body, key)).json["accepted"] == 50_000

    assert len(serve(scenario).taken) == 50_000


class TurnRecorder(Recorder):
    """Counts the events that it takes in each turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0
        self.turns: dict[int, int] = {}

    def take(self, raw: bytes) -> Refusal | None:
        self.turns[self.turn] = self.turns.get(self.turn, 0) + 1
        return super().take(raw)

    async def count_turns(self) -> None:
        """Count the turns, until cancelled."""
        while True:
            self.turn += 1
            await asyncio.sleep(0)


def test_one_body_is_worked_on_in_one_turn_of_the_loop() -> None:
    intake = TurnRecorder()

    async def scenario(site: Site) -> None:
        counting = asyncio.create_task(intake.count_turns())
        await asyncio.gather(*(site.post(b"\n".join([GOOD] * 5000)) for _ in range(20)))
        counting.cancel()

    serve(scenario, intake)
    assert len(intake.taken) == 100_000
    assert max(intake.turns.values()) <= 2 * 512  # of 20 * 512 without turns


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(GOOD.ljust(900), mtime=0), {"Content-Encoding": "gzip"}),
        (b"[" + b"1," * 20 + b"1]", {}),
    ],
)
def test_what_a_body_becomes_counts_in_the_memory_of_all(
    body: bytes, headers: dict[str, str]
) -> None:
    limits = RequestLimits(body_bytes=1000, all_bytes=800)
    answer = posted(body, headers, limits=limits)
    assert (answer.status, answer.json) == (503, {"error": "too many bodies at one time"})


def test_a_body_of_just_the_limit_is_taken() -> None:
    answer = posted(GOOD.ljust(1000), limits=SMALL)
    assert answer.status == 200
    assert posted(GOOD.ljust(1001), limits=SMALL).status == 413


def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes() -> None:
    async def scenario(site: Site) -> None:
        answer = await site.send(head("Content-Length: 999999999999"))
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert answer.json == {"error": "a body may have 16777216 bytes"}

    serve(scenario)


def test_a_length_that_was_not_declared_is_bounded_while_reading() -> None:
    async def scenario(site: Site) -> None:
        answer = await site.send(CHUNKED + chunk(b"x" * 600) * 2)
        assert answer.status == 413

    assert serve(scenario, limits=SMALL).taken == []


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("X-GZIP", gzip.compress), ("deflate", zlib.compress)],
)
def test_a_packed_body_is_unpacked(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    intake = Recorder()
    body = b"\n".join(b'{"id":%d,"x":"%x"}' % (i, i * 7**40) for i in range(20_000))
    answer = posted(pack(body), {"Content-Encoding": encoding}, intake=intake)
    assert (answer.status, answer.json["accepted"]) == (200, 20_000)
    assert b"\n".join(intake.taken) == body


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_too_large(encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    bomb = pack(bytes(200 << 20))
    assert posted(bomb, {"Content-Encoding": encoding}).status == 413


def test_what_fills_the_limit_unpacked_is_taken() -> None:
    headers = {"Content-Encoding": "gzip"}
    assert posted(gzip.compress(GOOD.ljust(1000)), headers, limits=SMALL).status == 200
    assert posted(gzip.compress(GOOD.ljust(1001)), headers, limits=SMALL).status == 413


@pytest.mark.parametrize(
    "body",
    [
        GOOD,
        b"",
        gzip.compress(GOOD, mtime=0)[:-3],
        gzip.compress(GOOD, mtime=0) * 2,
        b"\x1f\x8b\x08" + b"x" * 99,
    ],
)
def test_a_body_that_does_not_unpack_is_a_bad_request(body: bytes) -> None:
    intake = Recorder()
    answer = posted(body, {"Content-Encoding": "gzip"}, intake=intake)
    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert intake.taken == []


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "x" * 999])
def test_another_encoding_is_not_supported(encoding: str) -> None:
    async def scenario(site: Site) -> None:
        answer = await site.send(head(f"Content-Encoding: {encoding}", "Content-Length: 1") + b"x")
        assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")

    serve(scenario)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer s3cret", 200),
        ("bearer  s3cret ", 200),
        ("Bearer s3cre", 401),
        ("Bearer s3crett", 401),
        ("Basic s3cret", 401),
        ("s3cret", 401),
        ("Bearer", 401),
        ("Bearer \xff\xe9\xf0\x9f", 401),
        ("", 401),
    ],
)
def test_events_need_the_token(given: str, status: int) -> None:
    async def scenario(site: Site) -> None:
        lines = ["Content-Length: 8"] + [f"Authorization: {given}"] * bool(given)
        answer = await site.send(head(*lines) + GOOD)
        assert answer.status == status
        assert (answer.headers.get("www-authenticate") == "bearer") == (status == 401)
        assert (await site.request("GET", "/")).status == 200

    assert len(serve(scenario, token="s3cret").taken) == (status == 200)


def test_without_a_token_none_is_asked_for() -> None:
    assert posted(GOOD, {"Authorization": "Bearer whatever"}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nowhere", 404, None),
        ("POST", "/events/../..//etc/passwd", 404, None),
        ("GET", "/events", 405, "POST"),
        ("DELETE", "/events", 405, "POST"),
        ("POST", "/", 405, "GET, HEAD"),
        ("PATCH", "/", 405, "GET, HEAD"),
    ],
)
def test_no_other_path_or_method(method: str, path: str, status: int, allow: str | None) -> None:
    async def scenario(site: Site) -> None:
        answer = await site.request(method, path)
        assert (answer.status, answer.headers.get("allow")) == (status, allow)
        assert list(answer.json) == ["error"]

    serve(scenario)


@pytest.mark.parametrize("path", ["/events/", "//events", "/events?source=x", "/events/?x"])
def test_a_path_may_have_a_slash_too_many(path: str) -> None:
    async def scenario(site: Site) -> None:
        answer = await site.request("POST", path, data=GOOD)
        assert (answer.status, answer.json["accepted"]) == (200, 1)

    serve(scenario)


def test_the_root_page_is_one_line_without_a_version() -> None:
    async def scenario(site: Site) -> None:
        answer = await site.request("GET", "/?x=1")
        assert answer.json == {"name": "dsiem-shards", "events": "POST /events"}
        assert answer.body.count(b"\n") == 1
        assert answer.headers["server"] == "dsiem-shards"
        assert (await site.request("HEAD", "/")).body == b""

    serve(scenario)


def test_an_error_of_ours_tells_nothing_and_the_next_request_is_served() -> None:
    class Failing(Recorder):
        def take(self, raw: bytes) -> Refusal | None:
            if b"boom" in raw:
                raise RuntimeError("secret")
            return super().take(raw)

    async def scenario(site: Site) -> None:
        answer = await site.post(GOOD + b"\nboom")
        assert (answer.status, answer.json["error"]) == (500, "internal error")
        assert (answer.json["accepted"], answer.json["not_taken_from"]) == (1, 1)
        assert b"secret" not in answer.body
        assert site.intake.flushed == 1
        assert (await site.post(GOOD)).status == 200

    serve(scenario, Failing())


def test_a_body_that_drips_is_given_up() -> None:
    async def scenario(site: Site) -> None:
        answer = await site.send(head("Content-Length: 8") + GOOD[:3])
        assert (answer.status, answer.headers["connection"]) == (408, "close")

    assert serve(scenario, limits=RequestLimits(body_seconds=0.05)).taken == []


def test_a_head_that_drips_is_cut_off() -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            client.send(with_length(GOOD) + b"POST /events HT")
            assert (await client.answer()).status == 200
            assert await client.rest() == b""
        async with site.raw() as client:
            client.send(b"POST /events HTTP/1.1\r\nx")
            assert await client.rest() == b""

    serve(scenario, connections=HttpLimits(head_seconds=0.1, idle_seconds=0.1))


@pytest.mark.parametrize(
    ("field", "part"),
    [("Content-Length: 99", GOOD), ("Transfer-Encoding: chunked", chunk(GOOD))],
)
def test_of_a_body_that_breaks_off_nothing_is_taken(field: str, part: bytes) -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            client.send(head("Expect: 100-continue", field))
            assert (await client.answer()).status == 100
            client.send(part)
        began = time.monotonic()
        await site.source.stop()
        assert time.monotonic() - began < USUAL.stop_seconds

    assert serve(scenario).taken == []


def test_a_chunked_body_is_one_body() -> None:
    async def scenario(site: Site) -> None:
        parts = [chunk(bytes([byte])) for byte in b'{"a":1}\n{"b":2}']
        assert (await site.send(CHUNKED + b"".join(parts) + END)).status == 200

    assert serve(scenario).taken == [b'{"a":1}', b'{"b":2}']


def test_of_a_body_in_broken_chunks_nothing_is_taken() -> None:
    async def scenario(site: Site) -> None:
        answer = await site.send(CHUNKED + chunk(GOOD) + b"zz\r\n")
        assert (answer.status, list(answer.json)) == (400, ["error"])

    assert serve(scenario).taken == []


def test_a_connection_serves_one_request_after_the_other() -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            for body, status in ((GOOD, 200), (b"bad", 400), (b"", 400), (FULL, 429), (GOOD, 200)):
                client.send(with_length(body))
                assert (await client.answer()).status == status

    serve(scenario)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            client.send(b"".join(with_length(b"[%b]" % b",".join([GOOD] * n)) for n in range(80)))
            assert [(await client.answer()).json["received"] for _ in range(80)] == [*range(80)]

    serve(scenario)


def test_a_client_that_expects_100_continue_gets_it() -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            client.send(head("Expect: 100-continue", "Content-Length: 8"))
            assert (await client.answer()).status == 100
            client.send(GOOD)
            assert (await client.answer()).status == 200
        asking = head("Expect: 100-continue", "Content-Length: 999999999")
        assert (await site.send(asking)).status == 413

    serve(scenario)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret\r\n\r\n",
        b"secret\r\n\r\n",
        b"POST /events HTTP/9.9\r\n\r\n",
        head("Content-Length: secret"),
        head("Content-Length: -1"),
        head("Content-Length: 8", "Transfer-Encoding: chunked") + GOOD,
        head("Content-Length: 8", "Content-Length: 9") + GOOD,
        head("secret\x00: x"),
        head(": secret"),
        head("x: " + "secret" * 10_000),
        head(*(f"x{i}: secret" for i in range(1000))),
        head(start="POST http://[secret HTTP/1.1"),
        head(start="POST /" + "secret" * 10_000 + " HTTP/1.1"),
    ],
)
def test_what_is_not_http_is_refused_without_a_word_of_it(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            client.send(garbage)
            answer = await client.answer()
            assert (answer.status, answer.json) == (400, {"error": "no valid HTTP request"})
            assert answer.headers["server"] == "dsiem-shards"
            assert await client.rest() == b""
        assert (await site.post(b"[]")).status == 200

    assert serve(scenario).taken == []
    assert caplog.records == []


def test_random_bytes_do_no_harm() -> None:
    dice = random.Random(0)
    whole = head("Authorization: Bearer x", "Content-Encoding: gzip", "Content-Length: 60")
    request = whole + gzip.compress(GOOD, mtime=0).ljust(60, b"\0")

    async def scenario(site: Site) -> None:
        for _ in range(300):
            mutated = bytearray(request)
            for _ in range(dice.randint(1, 4)):
                mutated[dice.randrange(len(mutated))] = dice.randrange(256)
            async with site.raw() as client:
                client.send(bytes(mutated))
        assert (await site.post(b"[]")).status == 200

    serve(scenario, limits=RequestLimits(body_seconds=0.2))


def test_a_hundred_clients_at_one_time() -> None:
    async def scenario(site: Site) -> None:
        async def client(number: int) -> None:
            async with aiohttp.ClientSession() as session:
                for turn in range(5):
                    body = [{"client": number, "turn": turn, "n": n} for n in range(20)]
                    async with session.post(site.url + "/events", json=body) as response:
                        assert (await response.json())["accepted"] == 20

        async with asyncio.TaskGroup() as clients:
            for number in range(100):
                clients.create_task(client(number))

    taken = serve(scenario).taken
    assert len(taken) == len(set(taken)) == 100 * 5 * 20


@pytest.mark.parametrize(
    ("event", "number", "most"),
    [(b"{}", 200_000, 512), (b'{"x":"%b"}' % (b"x" * 100_000), 31, 12), (b"\n", 1_000_000, 0)],
)
def test_the_loop_turns_while_a_big_body_is_taken(event: bytes, number: int, most: int) -> None:
    intake = TurnRecorder()

    async def scenario(site: Site) -> None:
        counting = asyncio.create_task(intake.count_turns())
        await site.post(b"\n".join([event] * number))
        counting.cancel()

    serve(scenario, intake)
    assert max(intake.turns.values(), default=0) <= most


def test_all_bodies_together_are_bounded_and_give_back_what_they_held() -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as first:
            first.send(head("Expect: 100-continue", "Content-Length: 900"))
            assert (await first.answer()).status == 100
            first.send(GOOD.ljust(899))
            while (await site.post(GOOD.ljust(700))).status != 503:
                pass  # until the first has arrived
            first.send(b" ")
            assert (await first.answer()).status == 200
        answer = await site.post(GOOD.ljust(1000))
        assert answer.status == 200

    serve(scenario, limits=RequestLimits(body_bytes=1000, all_bytes=1500))


def test_a_stop_lets_what_is_in_progress_end_and_refuses_the_rest() -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as old, site.raw() as idle, site.raw() as other:
            idle.send(with_length(GOOD))
            await idle.answer()
            old.send(head("Expect: 100-continue", "Content-Length: 8"))
            assert (await old.answer()).status == 100
            stopping = asyncio.create_task(site.source.stop())
            await asyncio.sleep(0)
            other.send(with_length(GOOD))
            for refused in (await other.answer(), await site.post(GOOD)):
                assert (refused.status, refused.json) == (503, {"error": "stopping"})
                assert (refused.headers["connection"], refused.headers["retry-after"]) == (
                    "close",
                    "1",
                )
            old.send(GOOD)
            assert (await old.answer()).status == 200
            await stopping
            assert await idle.rest() == await old.rest() == await other.rest() == b""
        with pytest.raises(OSError, match=r"111|refused"):
            await site.send(with_length(GOOD))

    assert serve(scenario).taken == [GOOD, GOOD]


def test_a_stop_does_not_wait_for_a_body_that_does_not_come() -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            client.send(head("Expect: 100-continue", "Content-Length: 8"))
            await client.answer()
            began = time.monotonic()
            await site.source.stop()
            assert time.monotonic() - began < 2
            assert (await client.answer()).json == {"error": "stopping"}

    assert serve(scenario).taken == []


def test_a_stop_during_a_body_reports_the_accepted_events() -> None:
    class Slow(Recorder):
        started = asyncio.Event()

        def take(self, raw: bytes) -> Refusal | None:
            time.sleep(0.0001)  # a slow consumer, so that the stop comes within the body
            self.started.set()
            return super().take(raw)

    intake = Slow()
    limits = RequestLimits(stop_seconds=0.1)

    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            client.send(with_length(GOOD + b"\n{}" * 100_000))
            await intake.started.wait()
            await site.source.stop()
            answer = await client.answer()
            assert answer.status == 503
            assert answer.json["error"] == "stopping"
            assert answer.json["not_taken_from"] == answer.json["accepted"] == len(intake.taken)

    assert 0 < len(serve(scenario, intake, limits=limits).taken) < 100_000


def test_a_stop_cuts_off_a_client_that_is_answered_but_still_sends() -> None:
    async def scenario(site: Site) -> None:
        async with site.raw() as client:
            client.send(CHUNKED + chunk(b"x" * 2000))
            assert (await client.answer()).status == 413
            began = time.monotonic()
            await site.source.stop()
            assert time.monotonic() - began < 2

    serve(scenario, limits=SMALL)


def test_a_stop_may_come_twice_or_before_the_start() -> None:
    async def scenario(site: Site) -> None:
        await site.source.stop()
        await HttpSource(site.intake, "127.0.0.1", 0).stop()

    serve(scenario)


def test_it_listens_on_its_address_or_reports_an_error() -> None:
    async def scenario(site: Site) -> None:
        with pytest.raises(OSError, match="in use"):
            await HttpSource(site.intake, "127.0.0.1", site.port).start()
        source = HttpSource(site.intake, "127.0.0.1", 0)
        address, port = await source.start()
        assert (address, port != site.port, port > 0) == ("127.0.0.1", True, True)
        await source.stop()

    serve(scenario)


def test_it_listens_on_ipv6_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")

    async def run() -> None:
        source = HttpSource(Recorder(), "::1", 0)
        address, port = await source.start()
        url = f"http://[{address}]:{port}/"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200
        await source.stop()

    uvloop.run(run())
