"""Garbage collection, for a process that has loaded what it keeps to its end."""

import gc

_ALLOCATIONS = 50_000


def settle() -> None:
    """Look for garbage seldom from now on, and never among what there is already.

    Backlogs and events make no cycles: what is let go is gone without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 100)
