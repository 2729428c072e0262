"""Where directives are in a stream, over changes of the numbers of workers and services."""

from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.stream_positions import SavedShard, StreamPositions, find_positions
from shards.placement import shard_of_directive

DIRECTIVES = range(1, 50)


def shards(
    workers: int, *positions: int, nodes: int = 1, part: int = 0, stream: str = "A", at: int = 0
) -> list[SavedShard]:
    return [
        SavedShard(ShardRow(n, "run", position, b"", workers, nodes, stream, at=at), part)
        for n, position in enumerate(positions)
        if position
    ]


def place(directive: int, workers: int, nodes: int = 1) -> tuple[int, int]:
    return shard_of_directive(directive, nodes, workers)


def test_without_rows_there_is_no_position() -> None:
    assert find_positions([], DIRECTIVES) == StreamPositions()
    assert find_positions(shards(2, 5, 6, stream=""), DIRECTIVES) == StreamPositions()


def test_a_shard_goes_on_where_it_was() -> None:
    mine = [directive for directive in DIRECTIVES if place(directive, 2) == (0, 1)]
    assert find_positions(shards(2, 5, 6), mine) == StreamPositions(6, "A")


def test_directives_of_several_shards_begin_with_the_one_that_is_behind() -> None:
    found = find_positions(shards(2, 5, 6), DIRECTIVES)
    ahead = {directive: 6 for directive in DIRECTIVES if place(directive, 2)[1] == 1}
    assert found == StreamPositions(5, "A", ahead)


def test_the_highest_of_several_layouts_counts_for_each_directive() -> None:
    """The new layout has saved the first checkpoints, behind what one of the old ones had."""
    found = find_positions([*shards(2, 5, 9), *shards(3, 7, 0, 6)], DIRECTIVES)
    expected = {
        directive: max((5, 9)[place(directive, 2)[1]], (7, 0, 6)[place(directive, 3)[1]])
        for directive in DIRECTIVES
    }
    lowest = min(expected.values())
    ahead = {directive: at for directive, at in expected.items() if at > lowest}
    assert found == StreamPositions(lowest, "A", ahead)


def test_of_two_streams_the_later_one_counts() -> None:
    found = find_positions([*shards(1, 9, stream="B", at=2), *shards(2, 5, 6, at=1)], DIRECTIVES)
    assert (found.lowest, found.stream) == (9, "B")


def test_a_directive_follows_the_service_that_had_it() -> None:
    elsewhere = [directive for directive in DIRECTIVES if place(directive, 1, 2)[0] == 1]
    assert find_positions(shards(1, 5, nodes=2), elsewhere) == StreamPositions()
    assert find_positions(shards(1, 5, nodes=2, part=1), elsewhere) == StreamPositions(5, "A")


def test_rows_of_no_workers_are_of_no_directive() -> None:
    assert find_positions(shards(0, 5), DIRECTIVES) == StreamPositions()
    assert find_positions(shards(1, 5, nodes=0), DIRECTIVES) == StreamPositions()
