"""The version of the program.

A leaf of its own: the command line and the status report it.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of


@cache
def version() -> str:
    """The version of the installed package; `(not installed)` in a checkout."""
    try:
        return version_of("dsiem-shards")
    except PackageNotFoundError:
        return "(not installed)"
