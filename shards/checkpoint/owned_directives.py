"""The directives whose rows in the checkpoint one worker writes, while reloads change them."""

from collections.abc import Collection


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

    def commit(self) -> None:
        """Note that the checkpoint has been written: rows of directives that are gone are, too."""
        if len(self._owned) > len(self._present):
            self._owned = set(self._present)
        self._unknown = set()
        self.reclaimed = ()
