"""Recorded events through one correlator; their timestamps are the clock.

For every command that correlates recordings: it decides what happens to an event, and in which
order, as router and shard of a service do.
"""

from msgspec.structs import replace

from engine.address import canonical_event_ip
from engine.alarm import BacklogKey, alarm_id, directive_salt
from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.directive_counts import DirectiveCounts
from engine.directives.index import DirectiveIndex, routing_keys_of
from engine.errors import InvalidEventError
from engine.event import (
    NormalizedEvent,
    TimedRoutingKey,
    decode_event,
    decode_timed_routing_key,
)
from engine.options import Options
from shards.config.config_folder import Config, engine_options
from shards.ledger import Ledger
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent

_BEFORE_ALL_EVENTS = -(2**62)
_UNSORTED_SECONDS = 60
"""An event that is behind the clock by more shows that the input is not sorted by time."""


class EventClock:
    """The highest event time so far, in seconds since the epoch; counts late events."""

    def __init__(self) -> None:
        self.now = _BEFORE_ALL_EVENTS
        self.late_events = 0
        self.first_late = ""
        """The place of the first late event."""
        self.max_seconds_behind = 0

    def advance(self, event_time: int, event: RecordedEvent) -> int:
        """Advance to the time of an event, unless it has passed; returns the clock's time."""
        if event_time >= self.now:
            self.now = event_time
        elif self.now - event_time > _UNSORTED_SECONDS:
            self.late_events += 1
            self.first_late = self.first_late or event.place
            self.max_seconds_behind = max(self.max_seconds_behind, self.now - event_time)
        return self.now


class Replay:
    """A correlator for raw events, whose timestamps are its clock."""

    def __init__(
        self, config: Config, settings: Settings, *, count_by_directive: bool = False
    ) -> None:
        """`count_by_directive`: count what each directive does."""
        self.clock = EventClock()
        self._node = settings.node
        self._assets = NetworkAssets(config.assets)
        self._index = DirectiveIndex(map(routing_keys_of, config.directives))
        options = replace(engine_options(settings), count_by_directive=count_by_directive)
        self._correlator = self._make_correlator(config, options)
        self.ledger = Ledger(capped=self._correlator.capped)
        self._outputs = Outputs()
        """Outputs since the last `take_outputs`."""

    def _make_correlator(self, config: Config, options: Options) -> Correlator:
        return Correlator(config.directives, self._assets, options)

    @property
    def open_backlogs(self) -> int:
        """Number of open backlogs."""
        return len(self._correlator)

    @property
    def opened(self) -> dict[int, int]:
        """Number of backlogs opened so far, by directive that has opened any."""
        return self._correlator.opened

    @property
    def has_lines(self) -> bool:
        """Whether `take_outputs` has lines to write."""
        return bool(self._outputs.alarm_events or self._outputs.published)

    def is_open(self, key: BacklogKey) -> bool:
        """Whether there is an open backlog with this key."""
        return self._correlator.is_open(key)

    def concerned_by(self, key: TimedRoutingKey) -> tuple[int, ...]:
        """The directives with a rule for the plugin or the taxonomy of an event."""
        return self._index.find(key)

    def directive_of(self, alarm: str, recorded: RecordedEvent) -> int | None:
        """The directive with a backlog of this alarm id that has just taken this event.

        The backlog is open, or, of a directive of one rule, the event has opened and closed it.
        None if neither is true.
        """
        concerned = self.concerned_by(recorded.key) if recorded.key else ()
        if found := next((id_ for id_ in concerned if self.is_open((id_, alarm))), None):
            return found
        identity = decode_event(recorded.raw, [], recorded.time).identity
        ids = (
            id_
            for id_ in concerned
            if alarm_id(identity ^ directive_salt(self._node, id_)) == alarm
        )
        return next(ids, None)

    def take_counts(self) -> dict[int, DirectiveCounts]:
        """As `Correlator.take_counts`."""
        return self._correlator.take_counts()

    def process_event(self, recorded: RecordedEvent) -> None:
        """Route and correlate one event; InvalidEventError, counted, if it is invalid."""
        events = self.ledger.events
        events.received += 1
        try:
            key = recorded.key or decode_timed_routing_key(recorded.raw)
        except InvalidEventError as error:
            self.ledger.count_invalid(events.invalid, error)
            raise
        if recorded.from_future:
            self.ledger.from_future += 1
        if not self._index.find(key):
            events.unmatched += 1
            self._advance_clock(recorded)
        elif self._assets.address_info(canonical_event_ip(key.src_ip)).whitelisted:
            events.whitelisted += 1
            self._advance_clock(recorded)
        else:
            events.routed += 1
            self._deliver(recorded)

    def _deliver(self, recorded: RecordedEvent) -> None:
        """Decode the whole event and correlate it, as a shard does."""
        deliveries = self.ledger.deliveries
        deliveries.sent += 1
        repaired: list[str] = []
        try:
            event = decode_event(recorded.raw, repaired, recorded.time)
        except InvalidEventError as error:
            self.ledger.count_invalid(deliveries.invalid, error)
            raise
        self.ledger.repaired.update(repaired)
        now = self.clock.advance(event.time, recorded)
        if self._correlator.process_event_into(event, now, self._outputs):
            deliveries.consumed += 1
        else:
            deliveries.unmatched += 1

    def _advance_clock(self, recorded: RecordedEvent) -> None:
        """Advance the clock by an event that is not correlated; one without a time is ignored."""
        if recorded.time is not None:
            now = self.clock.advance(recorded.time, recorded)
            if self._correlator.is_due(now):
                self._correlator.advance_time(now, self._outputs)

    def take_reused(self) -> NormalizedEvent | None:
        """An event whose id another one had, of those since the last call."""
        return self._correlator.memory.take_reused()

    def finish(self) -> None:
        """Close what has expired by the end of the input, and write what waits."""
        self._correlator.advance_time(self.clock.now, self._outputs)
        self._correlator.write_pending(self._outputs)

    def take_outputs(self) -> Outputs:
        """The outputs since the last call; counts them."""
        outputs, self._outputs = self._outputs, Outputs()
        self.ledger.add_outputs(outputs.counts)
        return outputs
