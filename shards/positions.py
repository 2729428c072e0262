"""Positions of deliveries to a shard: numbers that only grow.

A router counts up from the base of its *life*: the first router of a run of the service has life 1,
the one after it life 2. So the positions of a new router are above all that a shard has seen.
"""

_LIFE_BITS = 40
"""A router has 10^12 deliveries to a shard: a month at 400,000 a second."""


def base_of(life: int) -> int:
    """The position before the first one of a life."""
    return life << _LIFE_BITS


def life_of(position: int) -> int:
    """The life that a position belongs to; 0 for position 0."""
    return position >> _LIFE_BITS
