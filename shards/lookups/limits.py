"""What bounds lookups, and what the settings say of them.

What may live here: numbers and choices. What may not: what is done with them.
"""

from msgspec import Struct


class LookupLimits(Struct, frozen=True):
    """The bounds of the lookups of one process; those of tests are smaller."""

    threads: int = 8  # of each source: enough failures at once to open its breaker
    queue: int = 4096  # terms of a source that wait for a thread
    askers: int = 65_536  # alarms that wait for a source's terms, each term counted
    cached: int = 65_536  # answers of a source that are kept
    failures: int = 5  # in a row, which open the breaker
    rest: float = 30.0  # seconds until it lets one through again
    seconds: float = 10.0  # for a whole exchange
    grace: float = 2.0  # more, until a plugin that does not come back is given up
    size: int = 1 << 20  # bytes of a reply
    hits: int = 1000  # of an answer
    text: int = 1 << 16  # characters of all hits of an answer
    slice: int = 64  # terms that are handled before the loop has its turn
    tell_slice: int = 16  # alarms that are told of a hit before that


class LookupOptions(Struct, frozen=True):
    """What the settings say: minutes that answers are kept, private addresses too, the way."""

    cache: int = 10
    private: bool = False
    proxy: str = ""
    ca: str = ""
