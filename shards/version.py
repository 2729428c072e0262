"""The version of the program, as its package says."""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of


@cache
def version() -> str:
    """The version of the installed package; `(not installed)` in a checkout that is not."""
    try:
        return version_of("dsiem-shards")
    except PackageNotFoundError:
        return "(not installed)"
