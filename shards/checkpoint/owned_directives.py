"""The directives whose rows in the checkpoint one worker writes, while reloads change them."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from shards.checkpoint.store import CheckpointStore
from shards.logs import KindLog

_NO_ROWS: Mapping[int, int] = MappingProxyType({})


class OwnedDirectives:
    """The directives of a worker, as its checkpoints know them.

    A reload is taken over by the next checkpoint: one that is being written must not notice it.
    """

    def __init__(self, directives: Collection[int]) -> None:
        self._loaded = self._present = directives
        self._owned = set(directives)
        """Those of the last checkpoint, and of reloads since."""
        self._unknown: set[int] = set()
        """Those that a reload has added: rows of an earlier run that they have are not restored."""
        self._old_rows = _NO_ROWS
        """Numbers of rows of an earlier run that the next checkpoint deletes, by directive."""
        self.reclaimed = directives
        """Those whose mark as handed over to another program the next checkpoint removes."""

    def reload(self, directives: Collection[int]) -> None:
        """Note which directives there are after a reload."""
        self._loaded = directives

    def begin(self) -> None:
        """Begin a checkpoint of the directives that there are now."""
        if self._loaded is self._present:
            return
        self._present = self._loaded
        added = set(self._present) - self._owned
        self._owned |= added
        self._unknown |= added
        self.reclaimed = {*self.reclaimed, *added}

    def to_reset(self, *, whole: bool) -> Collection[int]:
        """Those of which the checkpoint deletes all rows first; `whole`: it writes all backlogs."""
        return self._owned if whole else self._unknown

    def find_old_rows(self, store: CheckpointStore) -> None:
        """Find what the checkpoint deletes and nobody has restored; CheckpointError."""
        self._old_rows = store.count_backlogs(self._unknown) if self._unknown else _NO_ROWS

    def commit(self) -> None:
        """Note that the checkpoint has been written: rows of directives that are gone are, too."""
        log = KindLog("WARNING", "a saved backlog is dropped")
        about = {"reason": "its directive was not there at the start, and came by a reload"}
        for directive, number in self._old_rows.items():
            for _ in range(number):
                log.add((directive,), {"directive": directive, **about})
        log.flush()
        self._old_rows = _NO_ROWS
        if len(self._owned) > len(self._present):
            self._owned = set(self._present)
        self._unknown = set()
        self.reclaimed = ()
