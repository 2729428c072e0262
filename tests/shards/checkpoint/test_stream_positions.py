"""Where directives are in a stream, over changes of the number of workers."""

from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.stream_positions import StreamPositions, find_positions
from shards.placement import shard_of_directive

DIRECTIVES = range(1, 50)


def rows(workers: int, *positions: int, nodes: int = 1, stream: str = "A") -> list[ShardRow]:
    return [
        ShardRow(worker, "run", position, b"", workers, nodes, stream)
        for worker, position in enumerate(positions)
        if position
    ]


def place(directive: int, workers: int, nodes: int = 1) -> tuple[int, int]:
    return shard_of_directive(directive, nodes, workers)


def test_without_rows_there_is_no_position() -> None:
    assert find_positions([], DIRECTIVES, 0) == StreamPositions()
    assert find_positions(rows(2, 5, 6, stream=""), DIRECTIVES, 0) == StreamPositions()


def test_a_shard_goes_on_where_it_was() -> None:
    mine = [directive for directive in DIRECTIVES if place(directive, 2) == (0, 1)]
    assert find_positions(rows(2, 5, 6), mine, 0) == StreamPositions(6, "A")


def test_directives_of_several_shards_begin_with_the_one_that_is_behind() -> None:
    found = find_positions(rows(2, 5, 6), DIRECTIVES, 0)
    ahead = {directive: 6 for directive in DIRECTIVES if place(directive, 2)[1] == 1}
    assert found == StreamPositions(5, "A", ahead)


def test_the_highest_of_several_layouts_counts_for_each_directive() -> None:
    """The new layout has saved the first checkpoints, behind what one of the old ones had."""
    found = find_positions([*rows(2, 5, 9), *rows(3, 7, 0, 6)], DIRECTIVES, 0)
    expected = {
        directive: max((5, 9)[place(directive, 2)[1]], (7, 0, 6)[place(directive, 3)[1]])
        for directive in DIRECTIVES
    }
    lowest = min(expected.values())
    ahead = {directive: at for directive, at in expected.items() if at > lowest}
    assert found == StreamPositions(lowest, "A", ahead)


def test_the_stream_is_that_of_the_highest_position() -> None:
    found = find_positions([*rows(1, 9, stream="B"), *rows(2, 5, 6)], DIRECTIVES, 0)
    assert (found.lowest, found.stream) == (9, "B")


def test_directives_that_another_service_had_have_no_position_here() -> None:
    elsewhere = [directive for directive in DIRECTIVES if place(directive, 1, 2)[0] == 1]
    assert find_positions(rows(1, 5, nodes=2), elsewhere, 0) == StreamPositions()
    assert find_positions(rows(1, 5, nodes=2), elsewhere, 1) == StreamPositions(5, "A")
