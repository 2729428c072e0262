"""Which deliveries of a stream are new, to a shard and to directives that are ahead of it."""

from array import array
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.options import Options
from shards.checkpoint.stats import ShardProgress
from shards.ipc.messages import POSITION_CODE, Batch
from shards.worker.deliveries import Deliveries
from shards.worker.start import Written
from tests.support.examples import examples

LAST = 30
"""The highest position, of an event or a directive."""


def batch_of(positions: list[int]) -> Batch:
    """A batch as the router makes it, from its first to its last event."""
    first, last = positions[0], positions[-1]
    gaps = last - first >= len(positions)
    raw = array(POSITION_CODE, positions).tobytes() if gaps else b""
    return Batch(first, last, 1, False, [b"%d" % at for at in positions], raw)


@settings(max_examples=examples(300))
@given(
    position=st.integers(0, LAST),
    ahead=st.dictionaries(st.integers(1, 3), st.integers(1, LAST)),
    written_until=st.integers(0, LAST),
    made=st.lists(st.integers(1, LAST), unique=True, min_size=4).map(sorted),
    size=st.integers(1, 4),
)
def test_each_directive_gets_what_follows_its_own_position_and_nothing_else(
    position: int, ahead: Mapping[int, int], written_until: int, made: list[int], size: int
) -> None:
    """A shard gets only events that concern it, so most positions lie between its batches."""
    correlator = Correlator([], NetworkAssets([]), Options())
    progress = ShardProgress(position=position)
    deliveries = Deliveries(progress, correlator, Written(written_until), has_stream=True)
    deliveries.put_ahead({id_: at for id_, at in ahead.items() if at > position})
    got: dict[int, list[int]] = {id_: [] for id_ in (1, 2, 3)}
    written: list[int] = []
    for at in range(0, len(made), size):
        for part in deliveries.new_parts(batch_of(made[at : at + size])):
            taken = [int(raw) for raw in part.events]
            for id_ in got.keys() - set(correlator.ahead):
                got[id_] += taken
            if deliveries.are_written(part.last):
                written += taken
            deliveries.reach(part.last)
    for id_, positions in got.items():
        assert positions == [at for at in made if at > max(position, ahead.get(id_, 0))]
    assert written == [at for at in made if position < at <= written_until]
