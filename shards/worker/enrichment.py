"""The lookups of one shard's alarms, and the hits on their way back into alarms.

What may live here: which alarm a hit belongs to, whether its backlog is open or closed by then.
What may not: asking (lookups/), and what an alarm is made of (engine/).
"""

from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

from engine.alarm import AlarmRecord, BacklogKey, Hit, LookupKind, PublishedAlarm, with_hits
from engine.correlation.correlator import Correlator
from shards.ledger import LookupCounts
from shards.lookups.limits import LookupOptions
from shards.lookups.service import LookupService
from shards.lookups.source_config import LookupSource
from shards.settings.settings import Settings


class _Asked:
    """An alarm that something is looked up for, as it was written last."""

    __slots__ = ("__weakref__", "alarm", "key")

    def __init__(self, key: BacklogKey, alarm: AlarmRecord) -> None:
        self.key = key
        self.alarm = alarm


class Enrichment:
    """Has alarms looked up, and publishes them again when that has found something new.

    Made in a running loop; `publish` takes what is to be written.
    """

    def __init__(
        self,
        correlator: Correlator,
        sources: Iterable[LookupSource],
        settings: Settings,
        publish: Callable[[Iterable[PublishedAlarm]], None],
    ) -> None:
        self._correlator = correlator
        self._publish = publish
        options = LookupOptions(
            cache=settings.cache,
            private=settings.intel_private_ip,
            proxy=settings.lookup_proxy,
            ca=settings.lookup_ca,
        )
        self._lookups = LookupService(sources, self._deliver, options)
        self._asked: WeakValueDictionary[BacklogKey, _Asked] = WeakValueDictionary()
        """By backlog; lookups hold those that they have not answered, and nobody else does."""

    @property
    def counts(self) -> dict[str, LookupCounts]:
        """What became of what was asked, by source."""
        return self._lookups.counts

    def note(self, publishes: Iterable[PublishedAlarm]) -> None:
        """Have looked up what is due; told of everything published, in order, and at once.

        An alarm can be there twice: what is found has to go into it as it is now.
        """
        due = [(self._note(publish), publish.lookups) for publish in publishes]
        for asked, wanted in due:
            if asked is not None and wanted is not None:
                self._lookups.ask(asked, wanted)

    def _note(self, publish: PublishedAlarm) -> _Asked | None:
        asked = self._asked.get(publish.key)
        if asked is not None:
            asked.alarm = publish.alarm
        elif publish.lookups is not None:
            asked = self._asked[publish.key] = _Asked(publish.key, publish.alarm)
        return asked

    def _deliver(self, asked: _Asked, hits: tuple[Hit, ...], kind: LookupKind) -> None:
        publishes = self._correlator.enrich(asked.key, kind, hits)
        if publishes is None:  # it is closed: what was written last is all that there is
            alarm = with_hits(asked.alarm, kind, hits)
            publishes = () if alarm is asked.alarm else (PublishedAlarm(asked.key, alarm),)
        for publish in publishes:
            asked.alarm = publish.alarm
            self._publish((publish,))

    def close(self) -> None:
        """Ask no more, and forget what is on its way."""
        self._lookups.close()
