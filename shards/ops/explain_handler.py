"""POST /explain: what the open backlogs of the running service would make of an event."""

from collections.abc import Sequence

from aiohttp import web

from engine.errors import InvalidEventError
from engine.event import decode_event
from engine.explain.verdict import Verdict
from shards.http_request import (
    check_length,
    check_token,
    content_encoding,
    read_body,
    send_continue,
)
from shards.http_server import NO_HEADERS, RETRY_HEADER, RequestRefusedError, json_response
from shards.ops.event_explanation import (
    EventExplanation,
    Explain,
    UnknownDirectiveError,
)
from shards.ops.worker_answers import TooManyQueriesError

MAX_BODY_BYTES = 48 << 10
"""Longest event: a control pipe to a worker with room takes it at once."""
MAX_DIRECTIVES = 100
"""Directives that a request may select."""
MAX_UNDER_WAY = 4
"""Requests that the workers are asked at one time; those that still arrive do not count."""
_BODY_SECONDS = 10.0
_TOO_MANY = "too many requests at one time"


class ExplainHandler:
    """Answers the requests of one server."""

    def __init__(self, explain: Explain, token: str) -> None:
        """Without a token everybody may ask."""
        self._explain = explain
        self._token = token.encode()
        self._under_way = 0

    async def respond(self, request: web.BaseRequest) -> web.Response:
        """The response to a POST; RequestRefusedError."""
        check_token(request, self._token)
        if content_encoding(request) not in ("", "identity"):
            raise RequestRefusedError(415, "a body may not be compressed")
        check_length(request.content_length or 0, MAX_BODY_BYTES)
        directives = _selected(request.query.getall("directive", ()))
        await send_continue(request)
        body = await read_body(request, MAX_BODY_BYTES, _BODY_SECONDS)
        if self._under_way >= MAX_UNDER_WAY:
            raise RequestRefusedError(429, _TOO_MANY, RETRY_HEADER)
        self._under_way += 1
        try:
            return await self._explain_body(body, directives)
        finally:
            self._under_way -= 1

    async def _explain_body(self, body: bytes, directives: tuple[int, ...]) -> web.Response:
        try:
            decode_event(body)
        except InvalidEventError as error:
            verdict = Verdict("invalid", detail=str(error))
            return json_response(
                400,
                {
                    "error": "the event is invalid",
                    "reason": error.reason,
                    "detail": error.detail,
                    "verdicts": [verdict],
                },
            )
        try:
            explanation = await self._explain(body, directives)
        except UnknownDirectiveError as error:
            raise RequestRefusedError(404, str(error)) from None
        except TooManyQueriesError:
            raise RequestRefusedError(429, _TOO_MANY, RETRY_HEADER) from None
        return _response(explanation)


def _response(explanation: EventExplanation) -> web.Response:
    """200, or 503 with what has arrived if shards have not answered."""
    missing = explanation.shards_missing
    status, headers = (503, RETRY_HEADER) if missing else (200, NO_HEADERS)
    return json_response(status, explanation, headers)


def _selected(texts: Sequence[str]) -> tuple[int, ...]:
    """The ids of `?directive=1001,1002`; RequestRefusedError if they are not ids, or too many."""
    parts = [part for text in texts for part in text.split(",", MAX_DIRECTIVES + 1)]
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise RequestRefusedError(400, "directive must be ids, like ?directive=1001,1002")
    ids = tuple(dict.fromkeys(map(int, parts)))
    if len(ids) > MAX_DIRECTIVES:
        raise RequestRefusedError(400, f"at most {MAX_DIRECTIVES} directives at one time")
    return ids
