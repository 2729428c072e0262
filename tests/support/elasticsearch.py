"""A small Elasticsearch or OpenSearch for tests: its search API on a real socket, with faults.

It refuses what the servers refuse: ids of points in time other than the last one, tiebreakers that
it does not have, pages of more than 10,000 documents, unknown parameters.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import trustme

from tests.support.frontend import Asked, Reply
from tests.support.lookup_server import LookupServer
from tests.support.replaying import Json

INDEX = "siem_events-2025.03.04"
OPENSEARCH = "opensearch"
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_KEPT = {"keep_alive": "5m"}
_PARAMETERS = {
    ("POST", "_pit"): _KEPT,
    ("POST", "point_in_time"): _KEPT | {"allow_partial_pit_creation": "false"},
    ("POST", "_search"): {"allow_partial_search_results": "false"},
}


class Document(NamedTuple):
    """A stored document; `source` is None if the index does not keep it."""

    id: str
    source: bytes | None
    time: int
    home: str = INDEX

    @property
    def fields(self) -> Json:
        found: Json = json.loads(self.source or b"{}")
        return found

    def value_of(self, field: str, number: int) -> Any:
        special = {"_shard_doc": number, "_id": self.id, "_index": self.home}
        return special.get(field, self.time)


class ApiError(Exception):
    """A refusal, as the servers word it."""

    def __init__(self, status: int, type_: str, reason: str) -> None:
        super().__init__(reason)
        self.reply = error_reply(status, type_, reason)


class Elasticsearch(LookupServer):
    """Holds `documents`; `faults` are replies to the next searches, None for a right one."""

    def __init__(
        self,
        version: str = "8.15.0",
        distribution: str = "",
        authority: trustme.CA | None = None,
    ) -> None:
        super().__init__(authority=authority)
        self._version = version
        self._is_opensearch = distribution == OPENSEARCH
        self.documents: list[Document] = []
        self.authorization = ""
        """The header that requests must have, if it is not empty."""
        self.faults: list[Reply | None] = []
        self.changes: Json = {}
        """What is different in each reply to a search."""
        self.may_monitor = True
        self.open: dict[str, None] = {}
        """Ids of the point in time: one that was used ends those before it."""
        self.searches: list[Json] = []
        self._ids = 0

    def add(self, *events: Json | bytes | None, index: str = INDEX) -> None:
        """Store events; their @timestamp is their timestamp."""
        for event in events:
            fields = event if isinstance(event, dict) else {}
            source = json.dumps(event).encode() if isinstance(event, dict) else event
            number = len(self.documents)
            time = fields.get("timestamp", "2025-03-04T08:00:00Z")
            self.documents.append(Document(f"id{number:06}", source, milliseconds(time), index))

    def lose_points_in_time(self) -> None:
        """As after a restart, or when they have expired."""
        self.open.clear()

    def reply(self, asked: Asked) -> Reply:
        try:
            if self.authorization and asked.headers.get("Authorization") != self.authorization:
                raise ApiError(401, "security_exception", "unable to authenticate user [eve]")
            return self._reply(asked)
        except ApiError as error:
            return error.reply

    def _reply(self, asked: Asked) -> Reply:
        if asked.path in self.replies:
            return self.reply_to(asked.path)
        url = urlsplit(asked.path)
        *index, action = [unquote(part) for part in url.path.split("/")[1:]]
        parameters = dict(parse_qsl(url.query))
        if parameters != _PARAMETERS.get((asked.method, action), {}):
            text = f"request [{url.path}] has other parameters than those that are known"
            raise ApiError(400, "illegal_argument_exception", text)
        body: Json = json.loads(asked.body) if asked.body else {}
        return self._action(asked.method, index, action)(index, body)

    def _action(
        self, method: str, index: list[str], action: str
    ) -> Callable[[list[str], Json], Reply]:
        opening = "point_in_time" if self._is_opensearch else "_pit"
        actions: dict[tuple[str, int, str], Callable[[list[str], Json], Reply]] = {
            ("GET", 0, ""): self._info,
            ("POST", 1, "_count"): self._count,
            ("POST", 0, "_search"): self._search,
            ("POST", 2 if self._is_opensearch else 1, opening): self._open,
            ("DELETE", 1 if self._is_opensearch else 0, opening): self._close,
        }
        found = actions.get((method, len(index), action))
        if found is None:
            raise ApiError(400, "illegal_argument_exception", f"no handler for {method} {action}")
        return found

    def _info(self, *_: Any) -> Reply:
        if not self.may_monitor:
            action = "[cluster:monitor/main]"
            wordings = f"action {action} is unauthorized", f"no permissions for {action} and User"
            raise ApiError(403, "security_exception", wordings[self._is_opensearch])
        version = {"number": self._version}
        if self._is_opensearch:
            version["distribution"] = OPENSEARCH
        return json_reply({"name": "node", "version": version, "tagline": "any"})

    def _count(self, index: list[str], body: Json) -> Reply:
        found = self._matching(index[0], body["query"])
        return json_reply({"count": len(found), "_shards": shards()})

    def _open(self, index: list[str], _: Json) -> Reply:
        self._matching(index[0], {"bool": {"filter": []}})
        id_ = self._new_id()
        if self._is_opensearch:
            return json_reply({"pit_id": id_, "_shards": shards(), "creation_time": 1})
        return json_reply({"id": id_})

    def _new_id(self) -> str:
        self._ids += 1
        id_ = f"pit{self._ids}" + "=" * 500
        self.open[id_] = None
        return id_

    def _close(self, _: list[str], body: Json) -> Reply:
        ids = body["pit_id"] if self._is_opensearch else [body["id"]]
        assert isinstance(ids, list)
        freed = len(self.open) if set(ids) <= self.open.keys() else 0
        if freed:
            self.open.clear()
        return json_reply({"succeeded": True, "num_freed": freed})

    def _search(self, _: list[str], body: Json) -> Reply:
        self.searches.append(body)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            return fault
        assert body["pit"]["keep_alive"] == "5m"
        if body["pit"]["id"] not in self.open:
            raise ApiError(404, "search_context_missing_exception", "No search context found")
        if body["size"] > 10_000:
            raise ApiError(400, "illegal_argument_exception", "Result window is too large")
        while next(iter(self.open)) != body["pit"]["id"]:
            del self.open[next(iter(self.open))]
        reply = {"timed_out": False, "_shards": shards(), "pit_id": self._new_id(), **self.changes}
        hits = self._hits(body)
        if body["track_total_hits"] and "hits" not in self.changes:
            total = len(self._matching("*", body["query"]))
            reply["hits"] = {"total": {"value": total, "relation": "eq"}}
        head = json.dumps({"hits": {}, **reply}).encode()
        return Reply(body=with_hits(head, hits))

    def _hits(self, body: Json) -> list[bytes]:
        fields = [field if isinstance(field, str) else next(iter(field)) for field in body["sort"]]
        self._check_tiebreakers(fields)
        numbers = {id(document): n for n, document in enumerate(self.documents)}
        found = [
            ([document.value_of(field, numbers[id(document)]) for field in fields], document)
            for document in self._matching("*", body["query"])
        ]
        found.sort(key=lambda item: item[0])
        after = body.get("search_after")
        page = [item for item in found if after is None or item[0] > after][: body["size"]]
        return [hit(document, key, with_source=body["_source"]) for key, document in page]

    def _check_tiebreakers(self, fields: Iterable[str]) -> None:
        version = tuple(map(int, self._version.split(".")[:2]))
        has_shard_doc = version >= (7, 12)
        if self._is_opensearch:  # 7.10 is what versions 1 and 2 may pretend to be
            has_shard_doc = version >= (3, 3) and version != (7, 10)
        if "_shard_doc" in fields and not has_shard_doc:
            text = "No mapping found for [_shard_doc] in order to sort on"
            raise ApiError(400, "query_shard_exception", text)

    def _matching(self, pattern: str, query: Json) -> list[Document]:
        names = pattern.split(",")
        missing = [
            name
            for name in names
            if "*" not in name and name not in {one.home for one in self.documents}
        ]
        if missing:
            raise ApiError(404, "index_not_found_exception", f"no such index [{missing[0]}]")
        filters = query["bool"]["filter"]
        return [
            document
            for document in self.documents
            if any(fnmatchcase(document.home, name) for name in names)
            and all(matches(document, filter_) for filter_ in filters)
        ]


def matches(document: Document, query: Json) -> bool:
    """Whether a document matches a query of one of the kinds that are used here."""
    [(kind, about)] = query.items()
    if kind == "range":
        [bounds] = about.values()
        starts = "gte" not in bounds or date_math(bounds["gte"]) <= document.time
        return starts and ("lt" not in bounds or document.time < date_math(bounds["lt"]))
    if kind == "query_string":
        if ":" not in about["query"]:
            raise ApiError(
                400, "query_shard_exception", f"Failed to parse query [{about['query']}]"
            )
        field, _, value = str(about["query"]).partition(":")
        return str(document.fields.get(field)) == value
    if kind == "term":
        [(field, value)] = about.items()
        return str(document.fields.get(field)) == str(value)
    raise ApiError(400, "parsing_exception", f"unknown query [{kind}]")


def date_math(text: str) -> int:
    """A time like 2025-03-04T08:00:00.000Z||-1d, in milliseconds."""
    time, _, math = text.partition("||")
    moment = datetime.fromisoformat(time)
    for sign, number, unit in re.findall(r"([+-])(\d+)([dhm])", math):
        moment += _UNITS[unit] * int(sign + number)
    return int(moment.timestamp() * 1000)


def milliseconds(timestamp: str) -> int:
    moment = datetime.fromisoformat(timestamp)
    return int(moment.astimezone(UTC).timestamp() * 1000)


def hit(document: Document, key: list[Any], *, with_source: bool) -> bytes:
    """A document in a reply, with its source as it was stored."""
    fields = {"_index": document.home, "_id": document.id, "_score": None, "sort": key}
    head = json.dumps(fields).encode()
    if document.source is None or not with_source:
        return head
    return b"".join((head[:-1], b', "_source": ', document.source, b"}"))


def with_hits(reply: bytes, hits: Iterable[bytes]) -> bytes:
    """A reply whose object `hits` gets the hits."""
    head, _, tail = reply.rpartition(b'"hits": {')
    comma = b"" if tail.startswith(b"}") else b", "
    return b"".join((head, b'"hits": {"hits": [', b",".join(hits), b"]", comma, tail))


def shards(failed: int = 0, **more: Any) -> Json:
    return {"total": 3, "successful": 3 - failed, "skipped": 0, "failed": failed, **more}


def json_reply(document: Json, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode())


def error_reply(status: int, type_: str, reason: str) -> Reply:
    """An error as both servers send it: that of a search has its cause one level down."""
    cause = {"type": type_, "reason": reason}
    outer = {"type": "search_phase_execution_exception", "reason": "all shards failed"}
    return json_reply({"error": {"root_cause": [cause], **outer}, "status": status}, status)
