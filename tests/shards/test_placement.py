"""The worker of a directive: stable, evenly spread, and different on each node."""

from collections import Counter

import pytest

from shards.placement import shard_of_directive

PINNED = {
    1: ((0, 0), (0, 0), (2, 0)),
    2: ((0, 0), (0, 0), (2, 2)),
    3: ((0, 1), (0, 1), (1, 0)),
    1001: ((0, 1), (0, 4), (1, 0)),
    1002: ((0, 0), (0, 3), (0, 0)),
    2**63 - 1: ((0, 1), (0, 4), (0, 3)),
}
"""By directive: for one node of two workers, one of five, and three of four."""
MANY = range(1, 12_001)


@pytest.mark.parametrize("directive", PINNED)
def test_no_version_moves_a_directive(directive: int) -> None:
    kinds = ((1, 2), (1, 5), (3, 4))
    assert tuple(shard_of_directive(directive, *kind) for kind in kinds) == PINNED[directive]


@pytest.mark.parametrize(("nodes", "workers"), [(1, 1), (1, 2), (2, 2), (3, 4), (4, 4), (5, 3)])
def test_all_workers_of_all_nodes_have_about_as_much(nodes: int, workers: int) -> None:
    share = len(MANY) / (nodes * workers)
    counts = Counter(shard_of_directive(directive, nodes, workers) for directive in MANY)
    assert counts.keys() == {(node, worker) for node in range(nodes) for worker in range(workers)}
    assert all(0.85 * share < count < 1.15 * share for count in counts.values())


def test_ids_in_steps_are_spread_too() -> None:
    """Ids are often numbered by tens or hundreds."""
    for step in (2, 10, 100, 1000):
        counts = Counter(
            shard_of_directive(directive * step, 1, 4)[1] for directive in range(1, 1001)
        )
        assert all(180 < counts[worker] < 320 for worker in range(4))


def test_more_workers_move_no_directive_to_another_node() -> None:
    for directive in MANY[:1000]:
        assert len({shard_of_directive(directive, 3, workers)[0] for workers in range(1, 9)}) == 1
