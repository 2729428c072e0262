"""Events that no directive has a rule for, counted by signature in bounded memory."""

from collections import Counter
from heapq import nlargest
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.event import RoutingKey
from shards.safe_text import shorten

MAX_SIGNATURES = 5_000
"""Number of signatures that are kept; twice as many until the rare ones are dropped."""
MOST_FREQUENT = 20
"""Number of signatures that are shown of a running service."""
MAX_TITLES = 4
MAX_TEXT = 80


class _Titled(Struct):
    title: str = ""


_titles = msgspec.json.Decoder(_Titled)


class Signature(Struct):
    """A kind of events. `plugin_id` and `plugin_sid` are 0 if it is that of a taxonomy.

    Of a plugin, `product`, `category` and `first_title` are those of the first event. `titles`: a
    few of the most frequent ones, with lower bounds of their numbers.
    """

    plugin_id: int
    plugin_sid: int
    product: str
    category: str
    events: int = 0
    first_title: str = ""
    titles: dict[str, int] = {}

    @property
    def key(self) -> tuple[int, int, str, str]:
        """What events of the same kind have in common."""
        if self.plugin_id:
            return self.plugin_id, self.plugin_sid, "", ""
        return 0, 0, self.product, self.category

    def as_document(self) -> dict[str, Any]:
        """The signature for programs."""
        return {
            "plugin_id": self.plugin_id,
            "plugin_sid": self.plugin_sid,
            "product": self.product,
            "category": self.category,
            "title": self.title,
            "events": self.events,
        }

    @property
    def title(self) -> str:
        """The most frequent title, the first if there are too many, or ""."""
        return max(self.titles, key=lambda title: self.titles[title], default=self.first_title)

    def add_title(self, title: str) -> None:
        """Count a title; Misra and Gries: a title of every fifth event or more remains."""
        titles = self.titles
        self.first_title = self.first_title or title
        if title in titles or len(titles) < MAX_TITLES:
            titles[title] = titles.get(title, 0) + 1
        else:
            self.titles = {kept: count - 1 for kept, count in titles.items() if count > 1}


class UnmatchedEvents:
    """Counts events by signature.

    When there are too many signatures, the rarest are dropped, and their events counted in
    `others`. So `others` and the events of all signatures are all events, always.
    """

    def __init__(self, limit: int = MAX_SIGNATURES) -> None:
        self._limit = limit
        self._by_key: dict[tuple[int, int, str, str], Signature] = {}
        self.others = 0

    @property
    def most_frequent(self) -> list[Signature]:
        """The signatures kept, the most frequent first."""
        return sorted(self._by_key.values(), key=lambda signature: -signature.events)

    def add(self, key: RoutingKey, raw: bytes) -> None:
        """Count an event of this routing key; `raw` is its JSON, for the title."""
        product, category = shorten(key.product, MAX_TEXT), shorten(key.category, MAX_TEXT)
        is_plugin = bool(key.plugin_id and key.plugin_sid)
        plugin = (key.plugin_id, key.plugin_sid) if is_plugin else (0, 0)
        by = (*plugin, "", "") if is_plugin else (*plugin, product, category)
        signature = self._by_key.get(by)
        if signature is None:
            if len(self._by_key) >= 2 * self._limit:
                self._drop_rarest()
            signature = self._by_key[by] = Signature(*plugin, product, category)
        signature.events += 1
        if title := _title_of(raw):
            signature.add_title(title)

    def short_report(self) -> list[Signature]:
        """The most frequent ones, each with its title alone."""
        frequent = nlargest(MOST_FREQUENT, self._by_key.values(), key=lambda one: one.events)
        return [replace(one, first_title=one.title, titles={}) for one in frequent]

    def finish(self) -> None:
        """Drop all but the most frequent ones."""
        if len(self._by_key) > self._limit:
            self._drop_rarest()

    def _drop_rarest(self) -> None:
        counts = Counter({key: signature.events for key, signature in self._by_key.items()})
        kept = {key for key, _ in counts.most_common(self._limit)}
        for key in counts.keys() - kept:
            self.others += self._by_key.pop(key).events


def _title_of(raw: bytes) -> str:
    try:
        return shorten(_titles.decode(raw).title, MAX_TEXT)
    except Exception:  # UnicodeDecodeError and RecursionError are not MsgspecErrors
        return ""
