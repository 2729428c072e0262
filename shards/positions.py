"""Positions of deliveries to a shard: numbers that only grow.

They are counted up from the base of a *life*. Without a stream that is the life of a router: the
first router of a run of the service has life 1, the one after it life 2. So the positions of a new
router are above all that a shard has seen. With a stream it is the life of the stream, and the
rest is the sequence of the message: a stream that is made anew begins again with sequence 1.
"""

_LIFE_BITS = 48
"""10^14 deliveries or messages in a life: nine years at a million a second."""


def base_of(life: int) -> int:
    """The position before the first one of a life."""
    return life << _LIFE_BITS


def life_of(position: int) -> int:
    """The life that a position belongs to; 0 for position 0."""
    return position >> _LIFE_BITS


def sequence_of(position: int) -> int:
    """The number of a position in its life."""
    return position - base_of(life_of(position))
