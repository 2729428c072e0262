"""The shard's only door: events and time go in, outputs come out; snapshot and restore.

Single-threaded plain calls. `now` is an argument, in whole seconds since the epoch; what it is
(wall time, or the highest event time) is the caller's choice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, repeat

from engine.alarm import BacklogKey, Hit, LookupKind, PublishedAlarm
from engine.asset import NetworkAssets
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.directive_backlogs import DirectiveBacklogs
from engine.correlation.expiry import ExpiryQueue
from engine.correlation.outputs import Outputs
from engine.correlation.snapshot import BacklogSnapshot, DroppedBacklog, UnusableBacklogError
from engine.directives.directive import Directive
from engine.directives.index import DirectiveIndex, routing_keys_of
from engine.dsiem_format.saved_alarm import SavedAlarm, saved_alarms
from engine.event import NormalizedEvent
from engine.options import Options


class Correlator:
    """The directives of one shard, and all their backlogs."""

    def __init__(
        self, directives: Iterable[Directive], assets: NetworkAssets, options: Options
    ) -> None:
        directives = tuple(directives)
        self._index = DirectiveIndex(map(routing_keys_of, directives))
        self._assets = assets
        self._expiry = ExpiryQueue()
        self._matches: Counter[int] | None = Counter() if options.count_matches else None
        self._managers = {
            directive.id: DirectiveBacklogs(
                CompiledDirective(directive, assets, options), self._expiry
            )
            for directive in directives
        }

    def __len__(self) -> int:
        """How many backlogs are open; asks every directive."""
        return sum(map(len, self._managers.values()))

    @property
    def active_directives(self) -> int:
        """How many directives have open backlogs; asks each of them."""
        return sum(1 for manager in self._managers.values() if len(manager))

    def on_event(self, event: NormalizedEvent, now: int) -> Outputs:
        """Close what has expired by now, then offer the event to each directive it concerns.

        The outputs' counts are empty when nothing expired and no directive consumed the event.
        Events from whitelisted sources are the caller's to leave out.
        """
        outputs = Outputs()
        self.take(event, now, outputs)
        return outputs

    def take(self, event: NormalizedEvent, now: int, outputs: Outputs) -> bool:
        """As on_event, into outputs that may hold others; whether a directive consumed it."""
        if self._expiry.due(now):
            self.on_tick(now, outputs)
        consumed = False
        concerned = self._index.find(event)
        if concerned:
            src, dst = self._assets.facts(event.src_ip), self._assets.facts(event.dst_ip)
            for directive in concerned:
                if self._managers[directive].on_event(event, src, dst, now, outputs):
                    consumed = True
                    if self._matches is not None:
                        self._matches[directive] += 1
        return consumed

    def take_matches(self) -> Mapping[int, int]:
        """How many events each directive has consumed since this was last asked.

        Needs `Options.count_matches`, else there are none.
        """
        if not self._matches:
            return {}
        matches, self._matches = self._matches, Counter()
        return matches

    def on_tick(self, now: int, outputs: Outputs | None = None) -> Outputs:
        """Close what has expired by now; into these outputs, if given."""
        outputs = Outputs() if outputs is None else outputs
        for backlog in self._expiry.pop(now):
            self._managers[backlog.compiled.directive.id].expire(backlog, outputs)
        return outputs

    def enrich(
        self, key: BacklogKey, kind: LookupKind, hits: Iterable[Hit]
    ) -> Iterable[PublishedAlarm] | None:
        """What is to be published now that a lookup has found this for a backlog: if it is new.

        None when the backlog is no longer open.
        """
        directive, opened_by = key
        return self._managers[directive].enrich(opened_by, kind, hits)

    def snapshot(self) -> list[BacklogSnapshot]:
        """All open backlogs as plain data, those of one directive oldest first."""
        return [state for manager in self._managers.values() for state in manager.states()]

    def restore(self, states: Iterable[BacklogSnapshot]) -> list[DroppedBacklog]:
        """Take up backlogs, each younger than all that are open; say which do not fit, and why.

        Among themselves they are as old as their `order` says. Those taken up count as changed.
        What has expired meanwhile is closed, and published, by the next `on_tick`.
        """
        dropped = []
        for state in sorted(states, key=lambda state: state.order):
            try:
                self._restore(state)
            except UnusableBacklogError as unfit:
                dropped.append(unfit.dropped(state.directive, state.alarm_id, state.title))
        return dropped

    def _restore(self, state: BacklogSnapshot) -> None:
        manager = self._managers.get(state.directive)
        if manager is None:
            raise UnusableBacklogError("its directive is not here")
        manager.restore(state)

    def take_changes(self) -> Iterator[BacklogKey]:
        """Which backlogs have been opened, changed or closed since this was last asked.

        Each once, whatever has become of it. Needs `Options.track_changes`, else there are none.
        What is said is settled now; the keys are made one by one, since there may be many.
        """
        taken = {key: manager.take_changes() for key, manager in self._managers.items()}
        by_directive = [
            zip(repeat(key), opened_by) for key, opened_by in taken.items() if opened_by
        ]
        return chain.from_iterable(by_directive)

    def state(self, key: BacklogKey) -> BacklogSnapshot | None:
        """The backlog as it is now; None when it is closed."""
        directive, opened_by = key
        manager = self._managers.get(directive)
        return manager.state(opened_by) if manager is not None else None

    def saved(self) -> Iterator[tuple[int, list[SavedAlarm]]]:
        """The open backlogs as dsiem-backend saves them, by directive, oldest first."""
        for directive, manager in self._managers.items():
            if len(manager):
                yield directive, saved_alarms(manager.backlogs())
