"""Which events are sampled, and the ids of their traces: properties of the raw bytes alone.

So router and workers agree on both without a message, and an event that is given again after a
death continues its trace. Two events with the same bytes share one.
"""

from collections.abc import Sequence

from xxhash import xxh3_64_digest, xxh3_64_intdigest, xxh3_128_digest

_HASHES = 1 << 64


class Sampler:
    """Samples one of `one_in` events: those with the lowest hashes."""

    def __init__(self, one_in: int) -> None:
        self._limit = _HASHES // one_in

    def is_sampled(self, raw: bytes) -> bool:
        """Whether an event is sampled."""
        return xxh3_64_intdigest(raw) < self._limit

    def find(self, raws: Sequence[bytes]) -> list[int]:
        """The indexes of the events that are sampled."""
        limit = self._limit
        return [index for index, hash_ in enumerate(map(xxh3_64_intdigest, raws)) if hash_ < limit]


def trace_id(raw: bytes) -> bytes:
    """The id of an event's trace: 16 bytes."""
    return xxh3_128_digest(raw)


def route_span_id(trace: bytes) -> bytes:
    """The id of the router's span of a trace, which its workers have to know: 8 bytes."""
    return xxh3_64_digest(trace)
