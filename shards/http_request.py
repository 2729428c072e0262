"""The parts of a request that both HTTP servers read alike: token, length and body."""

import asyncio
import hmac
from collections.abc import Callable

from aiohttp import web

from shards.http_server import RequestRefusedError


def check_token(request: web.BaseRequest, token: bytes) -> None:
    """RequestRefusedError unless the request has this token; without a token everybody may ask."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token)
    if token and not (same and scheme.lower() == "bearer"):
        raise RequestRefusedError(401, "wrong or missing token", {"WWW-Authenticate": "Bearer"})


def check_length(length: int, most: int) -> None:
    """Raise RequestRefusedError if a body is too long."""
    if length > most:
        raise RequestRefusedError(413, f"a body may have {most} bytes")


def content_encoding(request: web.BaseRequest) -> str:
    """The content encoding of the body, in lower case; "" if there is none."""
    return request.headers.get("Content-Encoding", "").strip().lower()


async def send_continue(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue`, so that the client sends its body."""
    expected = request.headers.get("Expect", "").lower()
    if expected == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the response itself has not begun


async def read_body(
    request: web.BaseRequest,
    most: int,
    seconds: float,
    note: Callable[[int], None] = lambda _: None,
) -> bytes:
    """Read a body of at most `most` bytes within this time; RequestRefusedError.

    `note` is called with the length of each part before it is kept.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while chunk := await request.content.readany():
                note(len(chunk))
                body += chunk
                check_length(len(body), most)
    except TimeoutError:
        raise RequestRefusedError(408, "the body took too long") from None
    except web.RequestPayloadError:
        raise RequestRefusedError(400, "the body is broken") from None
    return bytes(body)
