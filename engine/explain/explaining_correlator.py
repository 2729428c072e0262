"""A correlator that says of each event what its directives make of it.

A file of its own: it is what replayed events run through, while a service has a plain correlator.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable

from engine.asset import NetworkAssets
from engine.correlation.backlog import Backlog
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.directives.directive import Directive
from engine.event import NormalizedEvent
from engine.explain.explainer import DirectiveVerdicts, Explainer
from engine.options import Options

MAX_EXPIRED = 100
"""Number of the last backlogs of a directive that have timed out, and may say what they missed."""
Listener = Callable[[NormalizedEvent, list[DirectiveVerdicts]], None]
"""Gets an event and the verdicts on it, before it is correlated."""


class ExplainingCorrelator(Correlator):
    """As Correlator; tells a listener the verdicts on each event before it is correlated."""

    def __init__(
        self,
        directives: Iterable[Directive],
        assets: NetworkAssets,
        options: Options,
        selected: Collection[int] = (),
    ) -> None:
        """`selected`: directives to explain for every event; else those that it concerns."""
        super().__init__(directives, assets, options)
        self._selected = tuple(selected)
        self._explainer = Explainer()
        self._expired: dict[int, deque[Backlog]] = {}
        self._finished_by_time: Counter[int] = Counter()
        self.listener: Listener | None = None

    def process_event_into(self, event: NormalizedEvent, now: int, outputs: Outputs) -> bool:
        """As Correlator does."""
        if self.is_due(now):
            self.advance_time(now, outputs)
        if self.listener is not None:
            self.listener(event, self.explain(event, now))
        return super().process_event_into(event, now, outputs)

    def explain(self, event: NormalizedEvent, now: int) -> list[DirectiveVerdicts]:
        """The verdicts of the directives on an event; nothing is changed by it."""
        found: list[DirectiveVerdicts] = []
        for directive in self._selected or self.concerned(event):
            backlogs = self.backlogs_of(directive)
            if backlogs is not None:
                expired = self._expired.get(directive, ())
                found.append(self._explainer.explain(backlogs, event, now, expired))
        return found

    def take_finished_by_time(self) -> Counter[int]:
        """By directive: backlogs whose last stage was absent, and passed, since the last call."""
        taken, self._finished_by_time = self._finished_by_time, Counter()
        return taken

    def _expire(self, backlog: Backlog, now: int, outputs: Outputs) -> bool:
        timed_out = super()._expire(backlog, now, outputs)
        if timed_out:
            id_ = backlog.compiled.directive.id
            self._expired.setdefault(id_, deque(maxlen=MAX_EXPIRED)).append(backlog)
        elif backlog.closed:
            self._finished_by_time[backlog.compiled.directive.id] += 1
        return timed_out
