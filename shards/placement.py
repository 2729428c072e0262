"""Which directive lives in which shard: the same on every machine, in every version."""

from hashlib import blake2b


def shard_of_directive(directive: int, nodes: int, workers: int) -> tuple[int, int]:
    """The node, of those that share a node name, and the worker on it.

    With one modulus for both, all directives of a node would land in one of its workers.
    """
    digest = blake2b(str(directive).encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    return number % nodes, (number // nodes) % workers
