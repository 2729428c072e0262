"""The shard of a directive: the same on every machine and in every version.

A file of its own, since the router and the supervisor must agree on it.
"""

from hashlib import blake2b


def shard_of_directive(directive: int, nodes: int, workers: int) -> tuple[int, int]:
    """The number of the node, among `nodes` that share a name, and of the worker on it.

    One modulus for both would put all directives of a node into one of its workers.
    """
    digest = blake2b(str(directive).encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    return number % nodes, (number // nodes) % workers
