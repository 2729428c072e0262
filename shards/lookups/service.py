"""Threat intelligence and vulnerabilities of the alarms of one worker, asked for in threads.

What may live here: who is told what, and the end. What may not: what is in a reply (wise.py,
nesd.py), and what alarms do with hits. All is called in the thread of the loop, which nothing here
holds up: a little is done at a time.
"""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from typing import Any

from engine.alarm import Hit, LookupRequest
from shards.http_client import TransportOptions
from shards.ledger import LookupCounts
from shards.lookups.limits import LookupLimits, LookupOptions
from shards.lookups.plugin_runner import PluginRunner
from shards.lookups.plugins.api import LookupKind
from shards.lookups.sliced_work import SlicedWork
from shards.lookups.source_client import SourceClient
from shards.lookups.source_config import LookupSource
from shards.lookups.terms import candidates, is_wanted
from shards.lookups.thread_pool import LookupThreadPool

Deliver = Callable[[Any, tuple[Hit, ...], LookupKind], None]
"""Takes the key of an alarm, hits (at least one), and of which kind they are."""

_NOT_OF_NAMES = re.compile(r"\W+")
_LIMITS = LookupLimits()
_OPTIONS = LookupOptions()


class LookupService:
    """Asks sources; made in a running loop. `clock`: seconds, for the cache and the breakers."""

    def __init__(
        self,
        sources: Iterable[LookupSource],
        deliver: Deliver,
        options: LookupOptions = _OPTIONS,
        limits: LookupLimits = _LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._options = options
        self._limits = limits
        self._clock = clock
        self._stop = threading.Event()
        self._asks = SlicedWork(self._loop, limits.slice)
        self._tells = SlicedWork(self._loop, limits.tell_slice)
        self._crews: list[LookupThreadPool] = []
        self._inquiries = [self._inquiry(source) for source in sources]
        self._names = list(_names(inquiry.source for inquiry in self._inquiries))

    def ask(self, alarm: Hashable, due: LookupRequest) -> None:
        """Look up all that is due for an alarm; what is known already is delivered within."""
        if self._inquiries and not self._stop.is_set():
            self._asks.run(self._asking(alarm, due))

    @property
    def counts(self) -> dict[str, LookupCounts]:
        """What became of what each source was asked, by its kind and name."""
        counts = (inquiry.counts for inquiry in self._inquiries)
        return dict(zip(self._names, counts, strict=True))

    def close(self, seconds: float = 0.0) -> None:
        """Cut what is on its way, and deliver nothing more; wait so long for the threads to end.

        They are daemons, so there is no need to wait, except for those who count threads.
        """
        self._stop.set()
        self._asks.clear()
        self._tells.clear()
        for inquiry in self._inquiries:
            inquiry.close()
        until = time.monotonic() + seconds
        for crew in self._crews:
            crew.join(until)

    def _inquiry(self, source: LookupSource) -> SourceClient:
        way = TransportOptions(
            self._options.proxy, self._options.ca, read_timeout=self._limits.seconds
        )
        make = partial(PluginRunner, source, self._limits, way, self._stop)
        crew = LookupThreadPool(source.name, self._limits.threads, make, self._loop)
        self._crews.append(crew)
        tell = partial(self._tell, source.kind)
        keep = self._options.cache * 60
        return SourceClient(source, self._limits, keep, crew, tell, self._clock)

    def _asking(self, alarm: Hashable, due: LookupRequest) -> Iterator[None]:
        private = self._options.private
        for inquiry in self._inquiries:
            known: list[Hit] = []
            kind = inquiry.source.kind
            for term in candidates(kind, due):
                if is_wanted(term, private=private):
                    known += inquiry.ask(term, alarm)
                yield
            if known:
                self._deliver(alarm, tuple(known), kind)

    def _tell(self, kind: LookupKind, alarms: Iterable[Hashable], hits: tuple[Hit, ...]) -> None:
        self._tells.run(self._telling(kind, alarms, hits))

    def _telling(
        self, kind: LookupKind, alarms: Iterable[Hashable], hits: tuple[Hit, ...]
    ) -> Iterator[None]:
        for alarm in alarms:
            self._deliver(alarm, hits, kind)
            yield


def _names(sources: Iterable[LookupSource]) -> Iterator[str]:
    """Kind and name, in letters, digits and underscores; those that share one get a number."""
    seen: Counter[str] = Counter()
    for source in sources:
        name = f"{source.kind}_{_NOT_OF_NAMES.sub('_', source.name)}"
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}_{seen[name]}"
