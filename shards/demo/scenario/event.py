"""A log event of the example, without id and date, and helpers to create events.

Times are seconds since the start of the example; make_events.py adds the date. All random choices
use the `Random` argument, so that the seed determines all events.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, TypeAlias

Fields: TypeAlias = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Event:
    """A normalized event without `event_id` and `timestamp`."""

    at: float
    fields: Fields


Story: TypeAlias = Callable[[float, Random], Iterable[Event]]
"""Returns the events of one attacker or user, from a given second on. Its name seeds its random
numbers: a renamed story has other events."""


class Flow(NamedTuple):
    """Source and destination of a connection."""

    src: str
    dst: str
    src_port: int = 0
    dst_port: int = 0
    protocol: str = ""


def tcp(rng: Random, src: str, dst: str, port: int) -> Flow:
    """A TCP flow from a random ephemeral port."""
    return Flow(src, dst, rng.randint(32768, 60999), port, "TCP")


def udp(rng: Random, src: str, dst: str, port: int) -> Flow:
    """A UDP flow from a random ephemeral port."""
    return Flow(src, dst, rng.randint(32768, 60999), port, "UDP")


def icmp(src: str, dst: str) -> Flow:
    """An ICMP flow, without ports."""
    return Flow(src, dst, protocol="ICMP")


def local(host: str) -> Flow:
    """A flow for an event that a host reports about itself: it is source and destination."""
    return Flow(host, host)


def spaced_times(rng: Random, at: float, count: int, gap: float) -> Iterator[float]:
    """`count` increasing times from `at` on, on average `gap` seconds apart."""
    for _ in range(count):
        yield at
        at += gap * rng.uniform(0.7, 1.3)
