"""One log event of the example, before it has an id and a date.

Rule 1: times are seconds since the start of the example; only make_events.py knows the date.
Rule 2: every random choice comes from the `Random` that is passed in, so that a seed fixes the day.
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
"""Tells what one attacker (or one user) does from a given second on."""


class Flow(NamedTuple):
    """Who talks to whom."""

    src: str
    dst: str
    src_port: int = 0
    dst_port: int = 0
    protocol: str = ""


def tcp(rng: Random, src: str, dst: str, port: int) -> Flow:
    return Flow(src, dst, rng.randint(32768, 60999), port, "TCP")


def udp(rng: Random, src: str, dst: str, port: int) -> Flow:
    return Flow(src, dst, rng.randint(32768, 60999), port, "UDP")


def icmp(src: str, dst: str) -> Flow:
    return Flow(src, dst, protocol="ICMP")


def local(host: str) -> Flow:
    """Something a host says of itself: it is source and destination."""
    return Flow(host, host)


def beats(rng: Random, at: float, count: int, gap: float) -> Iterator[float]:
    """`count` times from `at` on, `gap` seconds apart on average, in order."""
    for _ in range(count):
        yield at
        at += gap * rng.uniform(0.7, 1.3)
