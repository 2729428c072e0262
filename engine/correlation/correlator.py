"""The entry point of correlation: events and time in, outputs out; snapshots and restore.

Synchronous and single-threaded. `now` is always an argument, in whole seconds since the epoch; the
caller chooses the clock (wall time, or the highest event time).
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Self

from msgspec.structs import replace

from engine.alarm import BacklogKey, Hit, LookupKind
from engine.asset import NetworkAssets
from engine.correlation.activity import Activity, keys_of
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.counted_backlogs import CountedBacklogs, CountsByDirective
from engine.correlation.directive_backlogs import DirectiveBacklogs
from engine.correlation.directive_set import DirectiveSet
from engine.correlation.expiry import ExpiryQueue
from engine.correlation.former_definitions import FormerDefinitions
from engine.correlation.memory import Memory
from engine.correlation.outputs import Outputs
from engine.correlation.pending_lines import PendingLines
from engine.correlation.publisher import Publisher
from engine.correlation.shared_parts import SharedParts
from engine.correlation.snapshot import (
    BacklogSnapshot,
    DroppedBacklog,
    HeldItems,
    UnusableBacklogError,
)
from engine.directive_counts import DirectiveCounts
from engine.directives.directive import Directive
from engine.directives.index import DirectiveIds, DirectiveRoutingKeys
from engine.directives.packed_directives import PackedDirectives
from engine.event import NormalizedEvent
from engine.options import Options


class Correlator:
    """The directives of one shard and their backlogs."""

    def __init__(
        self,
        directives: Iterable[Directive] | PackedDirectives,
        assets: NetworkAssets,
        options: Options,
    ) -> None:
        """Directives are compiled when an event, or a backlog to restore, first concerns them."""
        self._set = DirectiveSet(directives, assets)
        self._assets = assets
        self._options = options
        self.capped: Counter[str] = Counter()
        """What was not kept since a set was full: src_ips, custom_data, repeats, …"""
        self.memory = Memory(options.repeat_window, self.capped)
        self._shared = SharedParts(
            ExpiryQueue(),
            PendingLines(),
            Activity(track_changes=options.track_changes),
            self.memory,
            Publisher(self.memory),
            FormerDefinitions(self._set.index),
        )
        self._expiry, self._pending, self.activity, *_, self._former = self._shared
        self._counts: CountsByDirective = defaultdict(DirectiveCounts)
        self._by_directive: dict[int, DirectiveBacklogs] = {}
        """Those that were concerned; the others have no backlogs."""
        self._first_order = 0
        """The order of the first backlog of a directive: above those before it was removed."""
        self.ahead: Collection[int] = ()
        """Directives that have had the present events already, and are not to get them again."""

    @classmethod
    def of(cls, directive_set: DirectiveSet, options: Options) -> Self:
        """A correlator with directives and assets that are built already."""
        made = cls((), directive_set.assets, options)
        made._use(directive_set, options)
        return made

    def _use(self, directive_set: DirectiveSet, options: Options) -> None:
        self._set = directive_set
        self._assets = directive_set.assets
        self._options = options
        self._former.use_index(directive_set.index)

    def reload(self, new: DirectiveSet, now: int, outputs: Outputs, *, lookups: bool) -> None:
        """Go on with other directives and assets; visits the directives that were concerned.

        Directives with the same content keep all they have. Of those that have changed, open
        backlogs go on under their definition to the end; only new ones open by the new definition.
        Of those that are gone, they are closed without a line, and counted as removed. What has
        expired by `now` is to be closed before. `lookups`: as in Options.
        """
        before = self._set
        for id_ in [id_ for id_ in self._by_directive if id_ not in new.directives]:
            self._remove_directive(id_, now, outputs)
        self._use(new, replace(self._options, lookups=lookups))
        for id_, backlogs in self._by_directive.items():
            backlogs.stages.change_surroundings(self._assets, self._options)
            if not new.has_same(id_, before):
                backlogs.change_definition(new.directives[id_])

    def _remove_directive(self, directive: int, now: int, outputs: Outputs) -> None:
        backlogs = self._by_directive[directive]
        backlogs.close_all(now, outputs)  # before it is unknown: a cut may save them
        del self._by_directive[directive]
        self._first_order = max(self._first_order, backlogs.next_order)
        self._counts.pop(directive, None)

    def former_keys(self) -> list[DirectiveRoutingKeys]:
        """The routing keys of each former definition with open backlogs; any number a directive."""
        return self._former.routing_keys()

    @property
    def former_directives(self) -> Collection[int]:
        """The directives with open backlogs under former definitions."""
        return self._former.directives.keys()

    def __len__(self) -> int:
        """Number of open backlogs; visits every directive that has some."""
        return sum(len(self._by_directive[id_].backlogs()) for id_ in self.activity.active)

    def _compile(self, directive: int) -> DirectiveBacklogs:
        """Compile a directive that is concerned for the first time."""
        definition = self._set.directives[directive]
        compiled = CompiledDirective(definition, self._assets, self._options, self.capped)
        made = DirectiveBacklogs(compiled, self._shared, self._first_order)
        if self._options.count_by_directive:
            made = CountedBacklogs(compiled, self._shared, self._first_order, self._counts)
        self._by_directive[directive] = made
        return made

    @property
    def active_directives(self) -> int:
        """Number of directives with open backlogs."""
        return len(self.activity.active)

    @property
    def opened(self) -> dict[int, int]:
        """Number of backlogs opened or restored so far, by directive that has any."""
        return {id_: count for id_, all_ in self._by_directive.items() if (count := all_.opened)}

    def process_event(self, event: NormalizedEvent, now: int) -> Outputs:
        """Close what has expired by `now`, then correlate the event with the matching directives.

        The outputs' counts are empty if nothing expired and no directive consumed the event. The
        caller leaves out events from whitelisted sources.
        """
        outputs = Outputs()
        self.process_event_into(event, now, outputs)
        return outputs

    def process_event_into(self, event: NormalizedEvent, now: int, outputs: Outputs) -> bool:
        """As process_event, added to these outputs; returns whether a directive consumed it."""
        if self._expiry.first <= now or (self._pending.keys and self._pending.is_due(now)):
            self.advance_time(now, outputs)
        consumed = False
        concerned = self._former.find(event)
        if concerned:
            src = self._assets.address_info(event.src_ip)
            dst = self._assets.address_info(event.dst_ip)
            for directive in concerned:
                if self.ahead and directive in self.ahead:
                    continue
                try:
                    backlogs = self._by_directive[directive]
                except KeyError:
                    backlogs = self._compile(directive)
                if backlogs.process_event(event, src, dst, now, outputs):
                    consumed = True
        return consumed

    def take_counts(self) -> dict[int, DirectiveCounts]:
        """What each directive has done since the last call; empty if that is not counted."""
        return {id_: self._counts.pop(id_) for id_ in list(self._counts)}

    def is_due(self, now: int) -> bool:
        """Whether `advance_time` has something to do."""
        return self._expiry.is_due(now) or self._pending.is_due(now) or self.memory.is_due(now)

    def advance_time(
        self, now: int, outputs: Outputs | None = None, limit: int = sys.maxsize
    ) -> Outputs:
        """Write the alarms that wait for another second, and close what has expired by `now`.

        Adds to these outputs, if given. Not more than `limit` of both: call it again as long as
        `is_due`.
        """
        outputs = Outputs() if outputs is None else outputs
        changed = self._pending.pop_due(now, limit)
        for backlog in changed:
            self._backlogs_with(backlog).write_pending(backlog, now, outputs)
        limit -= len(changed)
        while expired := self._expiry.pop_expired(now, limit):
            for backlog in expired:
                self._expire(backlog, now, outputs)
            limit -= len(expired)
        if self.memory.is_due(now):
            self.memory.prune(now)
        return outputs

    def _expire(self, backlog: Backlog, now: int, outputs: Outputs) -> bool:
        return self._backlogs_with(backlog).expire(backlog, now, outputs)

    def write_pending(self, outputs: Outputs | None = None) -> Outputs:
        """Write the alarms that wait for another second, as the last thing before the end."""
        outputs = Outputs() if outputs is None else outputs
        for backlog in self._pending.pop_all():
            self._backlogs_with(backlog).write_pending(backlog, backlog.updated, outputs)
        return outputs

    def _backlogs_with(self, backlog: Backlog) -> DirectiveBacklogs:
        return self._by_directive[backlog.compiled.directive.id]

    def follow_clock_back(self, now: int, latest: int) -> None:
        """Correct the open backlogs after the clock was set back to `now`, or after a restore.

        Stages that began later than `latest` began at `now`, and no stage has been current since
        later than `now`: otherwise they would not expire before the clock is there again.
        """
        for backlogs in self._by_directive.values():
            backlogs.follow_clock_back(now, latest)
        self.memory.follow_clock_back(now)

    def enrich(self, key: BacklogKey, kind: LookupKind, hits: Iterable[Hit]) -> bool:
        """Add the hits of a lookup to a backlog; False if it is closed.

        If any is new, its alarm is written by the next `advance_time` in another second.
        """
        directive, opened_by = key
        backlogs = self._by_directive.get(directive)
        return backlogs is not None and backlogs.enrich(opened_by, kind, hits)

    def snapshots(self) -> list[BacklogSnapshot]:
        """Snapshots of all open backlogs, those of one directive oldest first."""
        return [
            state
            for id_ in sorted(self.activity.active)
            for state in self._by_directive[id_].snapshots()
        ]

    def restore(self, states: Iterable[BacklogSnapshot]) -> list[DroppedBacklog]:
        """Restore backlogs as the youngest ones, in their `order`; returns those that do not fit.

        Restored backlogs count as changed. Those that have expired meanwhile are closed and
        published by the next `advance_time`.
        """
        dropped = []
        for state in sorted(states, key=lambda state: state.order):
            try:
                self._restore(state)
            except UnusableBacklogError as unfit:
                dropped.append(unfit.dropped(state.directive, state.alarm_id, state.title))
        return dropped

    def _restore(self, state: BacklogSnapshot) -> None:
        backlogs = self.backlogs_of(state.directive)
        if backlogs is None:
            raise UnusableBacklogError("its directive is not here")
        backlogs.restore(state)

    def take_changed(self) -> Iterator[BacklogKey]:
        """As `Activity.take_changed`."""
        return self.activity.take_changed()

    def open_keys(self) -> Iterator[BacklogKey]:
        """The keys of all open backlogs; like those of `take_changed`."""
        opened_by = [(id_, self._by_directive[id_].opened_by) for id_ in self.activity.active]
        return keys_of(opened_by)

    def is_open(self, key: BacklogKey) -> bool:
        """Whether there is an open backlog with this key."""
        directive, opened_by = key
        return directive in self.activity.active and opened_by in self._by_directive[directive]

    def snapshot_of(self, key: BacklogKey, held: HeldItems | None = None) -> BacklogSnapshot | None:
        """The snapshot of a backlog, without the items held already; None if it is not open."""
        directive, opened_by = key
        backlogs = self._by_directive.get(directive)
        return backlogs.snapshot(opened_by, held) if backlogs is not None else None

    def backlogs_of(self, directive: int) -> DirectiveBacklogs | None:
        """The backlogs of a directive, not to be changed by the caller; None if it is not here."""
        if directive not in self._set.directives:
            return None
        return self._by_directive.get(directive) or self._compile(directive)

    def concerned(self, event: NormalizedEvent) -> DirectiveIds:
        """The directives with a rule for the plugin or the taxonomy of the event."""
        return self._former.find(event)

    def open_backlogs(self) -> dict[int, Collection[Backlog]]:
        """By directive: its open backlogs, oldest first; not to be changed by the caller."""
        return {id_: self._by_directive[id_].backlogs() for id_ in sorted(self.activity.active)}
