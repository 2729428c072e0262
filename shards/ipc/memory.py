"""Memory settings of a process that loads, or has finished loading.

A file of its own: the loader, the router, the workers and replay use it, and it knows none of them.
"""

import ctypes
import gc

_COLLECTION_THRESHOLD = 50_000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
_RETAINED_BYTES = 32 << 20
_LARGE_BYTES = 1 << 20


def tune_memory() -> None:
    """Exclude all present objects from garbage collection, and collect rarely from now on.

    Backlogs and events contain no reference cycles: reference counting frees them.
    """
    release_memory()
    gc.set_threshold(_COLLECTION_THRESHOLD, 20, 100)
    _retain_freed_memory()


def release_memory() -> None:
    """Return what loading has used to the system; exclude the rest from garbage collection."""
    gc.collect()
    gc.freeze()
    gc.enable()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def return_large_blocks() -> None:
    """Let the C library return freed blocks of 1 MiB or more to the system at once.

    By default it retains them once a larger one was freed, such as a file that was downloaded.
    """
    _set_allocation(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _retain_freed_memory() -> None:
    """Let the C library retain freed blocks of up to 32 MiB for the next allocations.

    Reads and batches are some hundred kilobytes each. glibc maps and unmaps blocks of that size
    each time, page by page, which took a fifth of the router's CPU time.
    """
    _set_allocation(_M_MMAP_THRESHOLD, _RETAINED_BYTES)
    _set_allocation(_M_TRIM_THRESHOLD, _RETAINED_BYTES)


def _set_allocation(parameter: int, size: int) -> None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has neither mallopt nor these thresholds
        libc.mallopt(parameter, size)
