"""A client of Elasticsearch and OpenSearch: counts documents, and searches at a point in time.

A point in time (PIT) is the state of indices at a moment; the servers differ in its requests.
"""

import base64
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth

from shards.errors import PathError
from shards.http_client import (
    HttpClient,
    HttpClientError,
    HttpResponse,
    RequestBody,
    TransportOptions,
    parse_server_url,
)
from shards.safe_text import excerpt, shorten
from shards.settings.schema import UsageError
from shards.settings.settings import Settings
from shards.sources.elasticsearch_replies import (
    Count,
    Page,
    PointInTime,
    Server,
    Shards,
    UnreadableReplyError,
    cause_of,
    decode_reply,
)

KEEP_ALIVE = "5m"
"""How long the server keeps a point in time after each request about it."""
MAX_REPLY_BYTES = 1 << 24
REPLY_SECONDS = 120.0
"""Deadline of a whole reply."""
SILENT_SECONDS = 60.0
"""Time without a byte from the server, which is that of a search, after which it is given up."""
RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try of a request that the server had no room for."""
_CLOSE_SECONDS = 5.0
_RETRIED = frozenset({429, 502, 503, 504})
_ANY_STATUS = range(100, 600)
_OLDEST = (7, 12)
"""The first version of Elasticsearch with `_shard_doc`."""
_OPENSEARCH_WITH_SHARD_DOC = (3, 3)
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})(?![0-9])")
_MAX_REASON = 300
T = TypeVar("T")
_LOGIN_VARIABLES = (
    "DSIEM_ELASTICSEARCH_USERNAME and DSIEM_ELASTICSEARCH_PASSWORD, or DSIEM_ELASTICSEARCH_API_KEY"
)


class _ApiKey(AuthBase):
    def __init__(self, key: str) -> None:
        is_pair = ":" in key
        self._encoded = base64.b64encode(key.encode()).decode() if is_pair else key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"ApiKey {self._encoded}"
        return request


class ElasticsearchClient:
    """Requests to one server, one at a time; PathError with one sentence if it refuses one.

    A request for which the server has no room is tried again, and one whose connection breaks if
    the server had answered before.
    """

    def __init__(self, settings: Settings) -> None:
        """Connect; PathError if the server cannot be reached, or is none of the two products.

        UsageError if the URL is that of no server.
        """
        options = TransportOptions(ca=settings.elasticsearch_ca, read_timeout=SILENT_SECONDS)
        try:
            server = parse_server_url(settings.elasticsearch)
        except HttpClientError as error:
            raise UsageError(f"--elasticsearch: {error}") from error
        self._shown = server.shown
        self._index = settings.index
        self._http = HttpClient(replace(server, login=_login(settings)), threading.Event(), options)
        self._has_answered = False
        self._is_opensearch = False
        self.tiebreakers: tuple[str, ...] = ("_shard_doc",)
        """Fields that order documents of the same time; no two documents have the same values."""
        self._recognize()

    def _recognize(self) -> None:
        """Find out what server it is."""
        response = self._exchange("/")
        if response.status == 403:
            # It may be read with fewer privileges than `GET /` needs. This is OpenSearch's text:
            self._is_opensearch = b"no permissions for [" in response.body
            version = (0, 0)
        else:
            found = self._decode(self._checked("/", response), Server).version
            self._is_opensearch = found.distribution == "opensearch"
            version = _parse_version(found.number)
            if not self._is_opensearch and version < _OLDEST:
                raise PathError(
                    f"{self._shown} is Elasticsearch {shorten(found.number, 20)}, must be 7.12 or"
                    " newer, or OpenSearch 2.4 or newer"
                )
        # OpenSearch 1 and 2 can be set to pass for Elasticsearch 7.10.
        is_new = version >= _OPENSEARCH_WITH_SHARD_DOC and version != (7, 10)
        if self._is_opensearch and not is_new:
            self.tiebreakers = ("_id", "_index")

    def count(self, query: Mapping[str, Any]) -> int:
        """Number of documents of the index that match."""
        path = f"/{self._quoted_index}/_count"
        reply = self._decode(self._post(path, {"query": query}), Count)
        self._check_shards(reply.shards)
        return reply.count

    def open_point_in_time(self) -> str:
        """The id of a new point in time of the index."""
        path = f"/{self._quoted_index}/_pit?keep_alive={KEEP_ALIVE}"
        if self._is_opensearch:
            path = (
                f"/{self._quoted_index}/_search/point_in_time"
                f"?keep_alive={KEEP_ALIVE}&allow_partial_pit_creation=false"
            )
        opened = self._decode(self._post(path), PointInTime)
        self._check_shards(opened.shards)
        return opened.id or opened.pit_id

    def close_point_in_time(self, id_: str) -> None:
        """Close a point in time; if that fails, the server closes it after KEEP_ALIVE."""
        path, body = "/_pit", msgspec.json.encode({"id": id_})
        if self._is_opensearch:
            path, body = "/_search/point_in_time", msgspec.json.encode({"pit_id": [id_]})
        with suppress(HttpClientError):
            sent = RequestBody("DELETE", body)
            self._http.request(path, MAX_REPLY_BYTES, _CLOSE_SECONDS, _ANY_STATUS, sent)

    def search(self, body: Mapping[str, Any]) -> Page:
        """The documents that a search finds; UnreadableReplyError if a smaller one may succeed."""
        path = "/_search?allow_partial_search_results=false"
        page = self._decode(self._post(path, body), Page)
        self._check_shards(page.shards)
        if page.timed_out:
            raise PathError(f"{self._shown} gave up a search before it was complete (timed_out)")
        return page

    @property
    def _quoted_index(self) -> str:
        return quote(self._index, safe=",*")

    def _post(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        content = msgspec.json.encode(body) if body is not None else b""
        return self._checked(path, self._exchange(path, RequestBody("POST", content)))

    def _exchange(self, path: str, sent: RequestBody = RequestBody("GET", b"")) -> HttpResponse:  # noqa: B008 - frozen
        """The response, after as many tries as it needs."""
        for pause in RETRY_PAUSES:
            try:
                response = self._try(path, sent)
            except HttpClientError as error:
                if error.code != "connection" or not self._has_answered:
                    raise PathError(str(error)) from error
            else:
                if response.status not in _RETRIED:
                    return response
            time.sleep(pause)
        try:
            return self._try(path, sent)
        except HttpClientError as error:
            raise PathError(f"{error} ({len(RETRY_PAUSES) + 1} tries)") from error

    def _try(self, path: str, sent: RequestBody) -> HttpResponse:
        try:
            response = self._http.request(path, MAX_REPLY_BYTES, REPLY_SECONDS, _ANY_STATUS, sent)
        except HttpClientError as error:
            if error.code == "too_long":
                raise UnreadableReplyError(str(error)) from error
            raise
        self._has_answered = True
        return response

    def _checked(self, path: str, response: HttpResponse) -> bytes:
        """The body of a response with status 200."""
        if response.status == 200:
            return response.body
        cause = cause_of(response.body)
        said = shorten(cause.reason or "", _MAX_REASON)
        says = f"; it says: {said}" if said else ""
        if response.status == 401:
            text = f"{self._shown} refuses the login (status 401); set {_LOGIN_VARIABLES}{says}"
        elif response.status == 403:
            text = (
                f"{self._shown} forbids the login to read {self._index} (status 403), it needs the"
                f" privilege read{says}"
            )
        elif cause.type == "search_context_missing_exception":
            text = (
                f"{self._shown} has lost the point in time: it was restarted, or no page was asked"
                f" for within {KEEP_ALIVE}; read the events again"
            )
        elif cause.type == "index_not_found_exception":
            text = f"{self._shown} has no index {self._index}"
        else:
            text = f"{self._shown}{path.partition('?')[0]} fails (status {response.status}){says}"
        raise PathError(text)

    def _decode(self, body: bytes, type_: type[T]) -> T:
        return decode_reply(self._shown, body, type_)

    def _check_shards(self, shards: Shards) -> None:
        """Check that all shards have answered: the others may have documents, too."""
        if shards.failed:
            why = f": {excerpt(bytes(shards.failures[0]))}" if shards.failures else ""
            raise PathError(
                f"{self._shown}: {shards.failed} of {shards.total} shards did not answer{why}"
            )


def _login(settings: Settings) -> AuthBase | None:
    if settings.elasticsearch_api_key:
        return _ApiKey(settings.elasticsearch_api_key)
    if settings.elasticsearch_username:
        user, password = settings.elasticsearch_username, settings.elasticsearch_password
        return HTTPBasicAuth(user.encode(), password.encode())
    return None


def _parse_version(number: str) -> tuple[int, int]:
    parts = _VERSION.match(number)
    return (int(parts[1]), int(parts[2])) if parts else (0, 0)
