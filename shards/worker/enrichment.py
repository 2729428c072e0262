"""Enrichment of the alarms of one shard: lookup requests for them, and hits into them."""

import asyncio
from collections.abc import Iterable, Sequence

from engine.alarm import AlarmRecord, BacklogKey, PublishedAlarm, with_hits
from engine.correlation.correlator import Correlator
from shards.ledger import LookupCounts
from shards.lookups.limits import LookupOptions
from shards.lookups.service import LookupHits, LookupResult, LookupsDone, LookupService
from shards.lookups.source_config import LookupSource
from shards.settings.settings import Settings


class _PendingAlarm:
    """An alarm with outstanding lookups, as it was published last.

    `requests`: lookup requests for it that are not concluded by LookupsDone.
    """

    __slots__ = ("alarm", "requests")

    def __init__(self, alarm: AlarmRecord) -> None:
        self.alarm = alarm
        self.requests = 0


class Enrichment:
    """Requests the lookups of published alarms, and adds the hits; created in a running loop.

    The owner runs `run` as a task, and passes each item of `results` to `apply`.
    """

    def __init__(
        self, correlator: Correlator, sources: Iterable[LookupSource], settings: Settings
    ) -> None:
        self._correlator = correlator
        options = LookupOptions(
            cache_minutes=settings.cache,
            private_addresses=settings.intel_private_ip,
            proxy=settings.lookup_proxy,
            ca=settings.lookup_ca,
        )
        self._lookups = LookupService(sources, options)
        self._pending: dict[BacklogKey, _PendingAlarm] = {}

    @property
    def results(self) -> asyncio.Queue[LookupResult]:
        """Lookup results that are not applied yet."""
        return self._lookups.results

    @property
    def counts(self) -> dict[str, LookupCounts]:
        """Lookup counts of each source, by its kind and name."""
        return self._lookups.counts

    def request_lookups(self, published: Iterable[PublishedAlarm]) -> None:
        """Request the lookups of published alarms.

        Every published alarm has to be passed, in order and before the next result is applied: a
        hit is added to the alarm as it was published last.
        """
        for publish in published:
            pending = self._pending.get(publish.key)
            if publish.lookups and self._lookups.request(publish.key, publish.lookups):
                if pending is None:
                    pending = self._pending[publish.key] = _PendingAlarm(publish.alarm)
                pending.requests += 1
            if pending is not None:
                pending.alarm = publish.alarm

    def apply(self, result: LookupResult) -> Sequence[PublishedAlarm]:
        """Apply a lookup result; return the alarms to publish, none if no hit is new.

        These must not be passed to `request_lookups`.
        """
        match result:
            case LookupHits():
                return self._add_hits(result)
            case LookupsDone(backlog, requests):
                pending = self._pending[backlog]
                pending.requests -= requests
                if not pending.requests:
                    del self._pending[backlog]
                return ()

    def _add_hits(self, found: LookupHits) -> Sequence[PublishedAlarm]:
        pending = self._pending[found.backlog]
        publishes = self._correlator.enrich(found.backlog, found.kind, found.hits)
        if publishes is None:  # the backlog is closed
            alarm = with_hits(pending.alarm, found.kind, found.hits)
            publishes = () if alarm is pending.alarm else (PublishedAlarm(found.backlog, alarm),)
        enriched = tuple(publishes)
        for publish in enriched:
            pending.alarm = publish.alarm
        return enriched

    async def run(self) -> None:
        """Run the lookups, until cancelled."""
        await self._lookups.run()

    def close(self) -> None:
        """Abort all lookups, and request no more; results in the queue can still be applied."""
        self._lookups.close()
