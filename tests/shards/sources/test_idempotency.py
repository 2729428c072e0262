"""The memory of answered requests: what it repeats, refuses and forgets."""

import pytest
from aiohttp import web

from shards.http_server import RequestRefusedError, response
from shards.sources.idempotency import IdempotencyMemory, MemoryLimits, check_key, digest_of


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def reply(text: str = "{}", status: int = 200) -> web.Response:
    return response(status, text.encode(), "application/json")


def answer_all(memory: IdempotencyMemory, number: int, text: str = "{}") -> None:
    for n in range(number):
        assert memory.begin(f"key-{n}", b"d") is None
        memory.end(f"key-{n}", reply(text))


def test_a_key_with_the_same_body_gets_the_same_answer() -> None:
    memory = IdempotencyMemory(Clock())
    assert memory.begin("k", digest_of(b"body")) is None
    memory.end("k", reply('{"accepted":1}', 429))
    again = memory.begin("k", digest_of(b"body"))
    assert again is not None
    assert (again.status, again.body) == (429, b'{"accepted":1}')
    assert (again.headers["Retry-After"], again.headers["Idempotency-Replayed"]) == ("1", "true")


@pytest.mark.parametrize("done", [False, True])
def test_a_key_with_another_body_is_refused(done: bool) -> None:
    memory = IdempotencyMemory(Clock())
    memory.begin("k", digest_of(b"body"))
    if done:
        memory.end("k", reply())
    with pytest.raises(RequestRefusedError) as refused:
        memory.begin("k", digest_of(b"other"))
    assert refused.value.status == 422


def test_a_key_in_progress_is_refused_until_it_ends() -> None:
    memory = IdempotencyMemory(Clock())
    memory.begin("k", b"d")
    with pytest.raises(RequestRefusedError) as refused:
        memory.begin("k", b"d")
    assert refused.value.status == 409
    memory.end("k", None)
    assert memory.begin("k", b"d") is None


def test_the_number_of_keys_is_bounded() -> None:
    memory = IdempotencyMemory(Clock(), MemoryLimits(keys=100))
    answer_all(memory, 1000)
    assert len(memory) == 100
    assert memory.begin("key-0", b"d") is None
    assert memory.begin("key-999", b"d") is not None


def test_the_bytes_of_responses_are_bounded() -> None:
    memory = IdempotencyMemory(Clock(), MemoryLimits(bytes=10_000))
    answer_all(memory, 1000, "x" * 500)
    assert memory.size <= 10_000
    assert 10 < len(memory) < 20
    answer_all(memory, 1, "x" * 20_000)
    assert (len(memory), memory.size) == (0, 0)


def test_keys_are_forgotten_after_a_time() -> None:
    clock = Clock()
    memory = IdempotencyMemory(clock, MemoryLimits(seconds=600))
    answer_all(memory, 10)
    clock.now += 601
    assert memory.begin("key-0", b"other") is None
    assert (len(memory), memory.size) == (0, 0)


def test_a_key_may_have_255_bytes() -> None:
    assert check_key("x" * 255) == "x" * 255
    with pytest.raises(RequestRefusedError, match="255 bytes"):
        check_key("x" * 256)
