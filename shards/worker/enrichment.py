"""Enrichment of the alarms of one shard: lookup requests for them, and hits into them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator

from engine.alarm import AlarmRecord, BacklogKey, Hit, LookupKind, PublishedAlarm, with_hits
from engine.correlation.correlator import Correlator
from engine.correlation.pending_lines import PendingLines
from shards.ledger import LookupCounts
from shards.lookups.limits import LookupOptions
from shards.lookups.service import LookupHits, LookupResult, LookupsDone, LookupService
from shards.lookups.source_client import OnAnswered
from shards.lookups.source_config import LookupSource
from shards.settings.settings import Settings


class _PendingAlarm:
    """An alarm with outstanding lookups, as it was published last.

    `found`: hits since then, after its backlog was closed. `requests`: lookup requests for it that
    are not concluded by LookupsDone.
    """

    __slots__ = ("alarm", "found", "requests")

    def __init__(self, alarm: AlarmRecord) -> None:
        self.alarm = alarm
        self.found: list[tuple[LookupKind, Iterable[Hit]]] = []
        self.requests = 0

    def add_found(self, capped: Counter[str]) -> bool:
        """Add the found hits to the alarm, or count them; returns whether any was added."""
        before = self.alarm
        found: dict[LookupKind, list[Hit]] = {}
        for kind, hits in self.found:
            found.setdefault(kind, []).extend(hits)
        self.found = []
        for kind, hits in found.items():
            self.alarm, capped_hits = with_hits(self.alarm, kind, hits)
            capped["hits"] += capped_hits
        return self.alarm is not before


class Enrichment:
    """Requests the lookups of published alarms, and adds the hits; created in a running loop.

    The owner runs `run` as a task, and passes each item of `results` to `apply`.
    """

    def __init__(
        self,
        correlator: Correlator,
        sources: Iterable[LookupSource],
        settings: Settings,
        on_lookup: OnAnswered | None = None,
    ) -> None:
        """`on_lookup`: called with each answer of a source."""
        self._correlator = correlator
        options = LookupOptions(
            cache_minutes=settings.cache,
            private_addresses=settings.intel_private_ip,
            proxy=settings.lookup_proxy,
            ca=settings.lookup_ca,
        )
        self._lookups = LookupService(sources, options, on_answered=on_lookup)
        self._pending: dict[BacklogKey, _PendingAlarm] = {}
        self._changed: PendingLines[BacklogKey] = PendingLines()
        """Alarms of closed backlogs with new hits."""

    @property
    def results(self) -> asyncio.Queue[LookupResult]:
        """Lookup results that are not applied yet."""
        return self._lookups.results

    @property
    def counts(self) -> dict[str, LookupCounts]:
        """Lookup counts of each source, by its kind and name; totals, whatever sources are used."""
        return self._lookups.counts

    def use_sources(self, sources: Iterable[LookupSource]) -> None:
        """Look up further terms in these sources; see LookupService.use_sources."""
        self._lookups.use_sources(sources)

    def request_lookups(self, published: Iterable[PublishedAlarm]) -> None:
        """Request the lookups of published alarms.

        Every published alarm has to be passed once, in order and before the next result is applied:
        a hit is added to the alarm as it was published last.
        """
        for publish in published:
            pending = self._pending.get(publish.key)
            if publish.lookups and self._lookups.request(publish.key, publish.lookups):
                if pending is None:
                    pending = self._pending[publish.key] = _PendingAlarm(publish.alarm)
                pending.requests += 1
            if pending is not None:
                pending.alarm = publish.alarm

    def apply(self, result: LookupResult) -> None:
        """Apply a lookup result.

        The correlator publishes the alarms of open backlogs with new hits, `pop_changed` returns
        those of closed ones.
        """
        match result:
            case LookupHits(backlog, kind, hits):
                if not self._correlator.enrich(backlog, kind, hits):
                    self._pending[backlog].found.append((kind, hits))
                    self._changed.add(backlog)
            case LookupsDone(backlog, requests):
                self._pending[backlog].requests -= requests
                self._forget(backlog)

    def _forget(self, backlog: BacklogKey) -> None:
        """Forget an alarm that needs no more: neither results of lookups, nor a line."""
        if not self._pending[backlog].requests and backlog not in self._changed:
            del self._pending[backlog]

    def is_due(self, now: int) -> bool:
        """Whether `pop_changed` would return alarms."""
        return self._changed.is_due(now)

    def pop_changed(self, now: int, limit: int) -> Iterator[PublishedAlarm]:
        """The alarms of closed backlogs with new hits, each once a second; `limit` at most."""
        return self._with_hits(self._changed.pop_due(now, limit))

    def pop_all_changed(self) -> Iterator[PublishedAlarm]:
        """As `pop_changed`, all that there are, as the last thing before the end."""
        return self._with_hits(self._changed.pop_all())

    def _with_hits(self, backlogs: Iterable[BacklogKey]) -> Iterator[PublishedAlarm]:
        for backlog in backlogs:
            pending = self._pending[backlog]
            if pending.add_found(self._correlator.capped):
                yield PublishedAlarm(backlog, pending.alarm)
            self._forget(backlog)

    async def run(self) -> None:
        """Run the lookups, until cancelled."""
        await self._lookups.run()

    def close(self) -> None:
        """Abort all lookups, and request no more; results in the queue can still be applied."""
        self._lookups.close()
