"""Which directives of a shard have open backlogs, and which backlogs have changed.

A file of its own, since the backlogs of all directives share one: what is asked twice a second and
at each checkpoint must not visit every directive.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

from engine.alarm import BacklogKey


class Activity:
    """Noted by the backlogs of each directive, and read by the correlator."""

    __slots__ = ("_changed", "_save", "active", "cut")

    def __init__(self, *, track_changes: bool) -> None:
        self.active: set[int] = set()
        """The directives with open backlogs."""
        self._changed: defaultdict[int, set[str]] | None = (
            defaultdict(set) if track_changes else None
        )
        self.cut: dict[BacklogKey, None] = {}
        """Backlogs that are still to be saved as they were at a moment."""
        self._save: Callable[[BacklogKey], None] = _ignore

    def begin_cut(self, keys: Iterable[BacklogKey], save: Callable[[BacklogKey], None]) -> None:
        """Call `save` for each of these backlogs that changes before `next_of_cut` has given it.

        So all of them can be saved as they are now, one after the other, while events go on.
        """
        self.cut = dict.fromkeys(keys)
        self._save = save

    def next_of_cut(self) -> BacklogKey | None:
        """The next backlog to be saved; None if all are."""
        return self.cut.popitem()[0] if self.cut else None

    def before_change(self, directive: int, opened_by: str) -> None:
        """To be called before a backlog changes, if there is a cut."""
        key = directive, opened_by
        if key in self.cut:
            del self.cut[key]
            self._save(key)

    def add_changed(self, directive: int, opened_by: str) -> None:
        """Note that a backlog was opened, changed or closed, if changes are tracked."""
        if self._changed is not None:
            self._changed[directive].add(opened_by)

    def take_changed(self) -> Iterator[BacklogKey]:
        """The keys of the backlogs opened, changed or closed since the last call, each once.

        Empty without `Options.track_changes`. The set is fixed at the call; the keys are made
        lazily, since there may be many.
        """
        if not self._changed:
            return iter(())
        changed, self._changed = self._changed, defaultdict(set)
        return keys_of(changed.items())


def keys_of(by_directive: Iterable[tuple[int, Iterable[str]]]) -> Iterator[BacklogKey]:
    """The keys of backlogs, from their `opened_by` by directive."""
    return chain.from_iterable(zip(repeat(id_), opened_by) for id_, opened_by in by_directive)


def _ignore(_: BacklogKey) -> None:
    pass
