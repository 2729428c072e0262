"""The tasks of a worker that enrich alarms, from the time when there are lookup sources."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shards.lookups.turn_limit import TurnLimit
from shards.settings.settings import Settings
from shards.worker.shard import Shard

if TYPE_CHECKING:  # most services have no lookups, and its libraries are large
    from shards.lookups.source_config import LookupSource
    from shards.worker.enrichment import Enrichment

RESULTS_PER_TURN = 64
"""Lookup results applied per turn of the event loop."""


class EnrichmentTasks:
    """Enriches the alarms of a shard in the background, if there are lookup sources."""

    def __init__(self, shard: Shard, settings: Settings) -> None:
        self._shard = shard
        self._settings = settings
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the tasks until the end of the context; a failure of one ends the context.

        Results that are in the queue at the end are still applied.
        """
        async with self._group:
            try:
                yield
            finally:
                if self._shard.enrichment is not None:
                    self._shard.enrichment.close()
                for task in self._tasks:
                    task.cancel()
        if (enrichment := self._shard.enrichment) is not None:
            while not enrichment.results.empty():
                enrichment.apply(enrichment.results.get_nowait())

    def use_sources(self, sources: "tuple[LookupSource, ...]") -> None:
        """Look up alarms in these sources from now on; may be repeated, within `running`.

        The first sources start the enrichment of the shard. It does not end without any, since
        lookups may be in progress, and the counts go on.
        """
        if self._shard.enrichment is not None:
            self._shard.enrichment.use_sources(sources)
        elif sources:
            from shards.worker.enrichment import Enrichment  # noqa: PLC0415 - large libraries

            correlator, tracer = self._shard.correlator, self._shard.tracer
            on_lookup = None if tracer is None else tracer.on_lookup
            enrichment = Enrichment(correlator, sources, self._settings, on_lookup)
            self._shard.enrichment = enrichment
            self._tasks = [
                self._group.create_task(enrichment.run()),
                self._group.create_task(_apply_results(enrichment)),
            ]


async def _apply_results(enrichment: "Enrichment") -> None:
    """Apply lookup results; the next tick writes the enriched alarms."""
    turn = TurnLimit(RESULTS_PER_TURN)
    while True:
        enrichment.apply(await enrichment.results.get())
        await turn.step()
