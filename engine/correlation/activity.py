"""Which directives of a shard have open backlogs, and which backlogs have changed.

A file of its own, since the backlogs of all directives share one: what is asked twice a second and
at each checkpoint must not visit every directive.
"""

from collections import defaultdict
from collections.abc import Mapping


class Activity:
    """Noted by the backlogs of each directive, and read by the correlator."""

    __slots__ = ("_changed", "active")

    def __init__(self, *, track_changes: bool) -> None:
        self.active: set[int] = set()
        """The directives with open backlogs."""
        self._changed: defaultdict[int, set[str]] | None = (
            defaultdict(set) if track_changes else None
        )

    def add_changed(self, directive: int, opened_by: str) -> None:
        """Note that a backlog was opened, changed or closed, if changes are tracked."""
        if self._changed is not None:
            self._changed[directive].add(opened_by)

    def take_changed(self) -> Mapping[int, set[str]]:
        """By directive: `opened_by` of the backlogs that have changed since the last call."""
        if not self._changed:
            return {}
        changed, self._changed = self._changed, defaultdict(set)
        return changed
