"""Memory, for a process that has loaded what it keeps to its end."""

import ctypes
import gc

_ALLOCATIONS = 50_000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
_KEPT_BYTES = 32 << 20


def tune_memory() -> None:
    """Look for garbage seldom from now on, and never among what there is already.

    Backlogs and events make no cycles: what is let go is gone without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 100)
    _keep_freed()


def _keep_freed() -> None:
    """Let the C library keep what is freed, up to 32 MiB, for what is allocated next.

    Reads and batches have some hundred kilobytes each. glibc takes blocks of that size from the
    kernel and gives them back each time, page by page, which took a fifth of the router's time.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none, and no such thresholds
        libc.malloc_trim(0)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
