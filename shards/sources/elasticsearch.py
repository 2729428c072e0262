"""Recorded events from Elasticsearch or OpenSearch: page by page, at one point in time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw

from shards.errors import PathError
from shards.settings.schema import parse_time
from shards.settings.settings import Settings
from shards.sources.elasticsearch_client import KEEP_ALIVE, MAX_REPLY_BYTES, ElasticsearchClient
from shards.sources.elasticsearch_replies import Page, UnreadableReplyError
from shards.sources.recorded_event import RecordedEvent, decode_recorded_event

MAX_PAGE = 5000
"""Documents in a page at most; a server gives 10,000 at most."""
_PAGE_BYTES = MAX_REPLY_BYTES // 2
"""Size of the documents of a page that is aimed at, if there are many large ones."""
_MAX_PLACE = 800
"""Characters of index and id; the server bounds them in bytes, to 255 and 512."""


class ElasticsearchEvents:
    """The events of an index that settings select, in the order of their time field.

    As a RecordedFile; `size` and `position` count documents, and `name` is that of the index.
    """

    is_stream = False
    is_newest_first = False

    def __init__(self, settings: Settings) -> None:
        """Count the documents; PathError if the server cannot be reached or refuses the query."""
        self.name = settings.index
        self._time_field = settings.time_field
        self._query = _make_query(settings)
        self._client = ElasticsearchClient(settings)
        self.size = self._client.count(self._query)
        self.position = 0
        self._point_in_time = ""

    def events(self) -> Iterator[RecordedEvent]:
        """All events, also invalid ones.

        PathError if they cannot be read to their end: never are there silently fewer.
        """
        self._point_in_time = self._client.open_point_in_time()
        self.position = 0
        try:
            yield from self._events()
        finally:
            self._client.close_point_in_time(self._point_in_time)

    def _events(self) -> Iterator[RecordedEvent]:
        after: Raw | None = None
        page_size = MAX_PAGE
        while after is None or self.position < self.size:
            page = self._read_page(page_size, after)
            if after is None and page.hits.total is not None:
                self.size = page.hits.total.value
            if not page.hits.hits:
                break
            size = 0
            for hit in page.hits.hits:
                self.position += 1
                after = hit.sort
                raw = bytes(hit.source) or msgspec.json.encode({"_index": hit.index, "_id": hit.id})
                size += len(raw)
                place = f"{hit.index}/{hit.id}"[:_MAX_PLACE]
                yield decode_recorded_event(place, raw, line=0, column=0)
            fitting = len(page.hits.hits) * _PAGE_BYTES // size
            page_size = max(1, min(MAX_PAGE, fitting, 2 * page_size))
        if self.position != self.size:
            raise PathError(
                f"{self.name} cannot be read to its end: {self.position:,} of {self.size:,}"
                " documents came"
            )

    def _read_page(self, size: int, after: Raw | None) -> Page:
        """The next page; a smaller one if a page of this size cannot be read.

        If not even one document can be, it is without its content, and so an invalid event.
        """
        while True:
            try:
                return self._search(size, after)
            except UnreadableReplyError:
                if size == 1:
                    return self._search(size, after, with_source=False)
                size //= 2

    def _search(self, size: int, after: Raw | None, *, with_source: bool = True) -> Page:
        by_time = {"order": "asc", "numeric_type": "date"}  # not ns in one index, ms in another
        search: dict[str, Any] = {
            "size": size,
            "query": self._query,
            "sort": [{self._time_field: by_time}, *self._client.tiebreakers],
            "pit": {"id": self._point_in_time, "keep_alive": KEEP_ALIVE},
            "track_total_hits": after is None,
            "_source": with_source,
        }
        if after is not None:
            search["search_after"] = after
        page = self._client.search(search)
        self._point_in_time = page.pit_id or self._point_in_time
        return page


def _make_query(settings: Settings) -> dict[str, Any]:
    """The query of the settings, as JSON; relative times count from now on all pages."""
    now = datetime.now(UTC)
    bounds = {
        name: _absolute_time(text, now)
        for name, text in (("gte", settings.from_), ("lt", settings.to))
        if text
    }
    filters: list[Any] = []
    if bounds:
        bounds["format"] = "strict_date_optional_time"
        filters.append({"range": {settings.time_field: bounds}})
    if settings.query.startswith("{"):
        filters.append(Raw(settings.query.encode()))
    elif settings.query:
        filters.append({"query_string": {"query": settings.query}})
    return {"bool": {"filter": filters}}


def _absolute_time(text: str, now: datetime) -> str:
    """A time of --from or --to as Elasticsearch takes it; it would read `now` anew each time."""
    if not text.startswith("now"):
        return _as_utc(parse_time(text))
    math = text.removeprefix("now")
    return _as_utc(now) + (f"||{math}" if math else "")


def _as_utc(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
