"""The cost of one event: taken, opening a backlog, finishing a stage, unmatched.

CPU time per event; each repeat has a new correlator and the same events.
"""

from collections.abc import Sequence

import msgspec

from benchmarks.engine.engine_setup import (
    build_correlator,
    build_index,
    correlator_with_backlogs,
    process_events,
)
from benchmarks.support import synthetic
from benchmarks.support.measure import Figure, Prepare, SetUp, Work, measure_cpu
from engine.address import CACHED_ADDRESSES
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.directives.index import DirectiveIndex
from engine.event import decode_event, decode_routing_key

SECTION = "event"
_ADDRESS_PAIRS = 300


def run(quick: bool) -> list[Figure]:
    """Measure the section `event`."""
    count, repeats = (4000, 3) if quick else (10_000, 7)
    return [
        _figure("taking a matched event", _matched_event(count), repeats, 4.0),
        _figure("opening a backlog", _opening_event(count), repeats, 8.0),
        _figure("concerns nobody: key, index", _unmatched_event(count), repeats, 0.7),
        _figure("  same, address never seen", _unseen_address(), repeats),
        _figure("decoding a whole event", _decoded_event(count), repeats),
        _figure("taking, with custom data", _matched_event(count, custom=True), repeats),
        _figure("finishing a stage, published", _finished_stage(count), repeats),
        _figure("  and both lines encoded", _finished_stage(count, encoded=True), repeats),
    ]


Case = tuple[SetUp, Sequence[bytes]]
"""The set-up, and the events to process."""


def _figure(name: str, case: Case, repeats: int, target: float | None = None) -> Figure:
    timing = measure_cpu(*case, repeats)
    return Figure(SECTION, name, timing.micros, "µs", target, False, timing.times_calibration)


def _matched_event(count: int, custom: bool = False) -> Case:
    """Events at stage 2, which refers to src_ip and dst_ip of stage 1, of 300 backlogs."""
    generator, pairs = synthetic.EventGenerator(1), synthetic.address_pairs(_ADDRESS_PAIRS)
    openers = generator.one_per_pair(pairs)
    raws = generator.random_events(count, pairs, [synthetic.FIRST_SID])
    if custom:
        fields = {"custom_label1": "url", "custom_data1": "/index.php?option=com_users"}
        choice = generator.random.choice
        raws = [generator.event(synthetic.FIRST_SID, choice(pairs), **fields) for _ in range(count)]
    document = synthetic.directives(1, synthetic.STAY_AT_STAGE_2)
    return lambda: process_events(correlator_with_backlogs(document, openers)), raws


def _opening_event(count: int) -> Case:
    """Each event opens a backlog, from a new address; risk 0, as nearly always at stage 1."""
    raws = synthetic.EventGenerator(2).one_per_pair(synthetic.address_pairs(count))
    document = synthetic.directives(1)
    return lambda: process_events(build_correlator(document)), raws


def _finished_stage(count: int, encoded: bool = False) -> Case:
    """Each event finishes stage 2 of its own backlog; the alarm is published with due lookups."""
    generator, pairs = synthetic.EventGenerator(3), synthetic.address_pairs(count)
    openers, raws = generator.one_per_pair(pairs), generator.one_per_pair(pairs)
    document = synthetic.directives(1, (1, 1, 10))
    prepare = _process_and_encode if encoded else process_events
    return lambda: prepare(correlator_with_backlogs(document, openers)), raws


def _process_and_encode(correlator: Correlator) -> Prepare:
    """Prepare work that passes events to a correlator, and encodes the lines of its outputs."""
    encode = msgspec.json.Encoder().encode

    def encode_lines(outputs: Outputs) -> bytes:
        records = [*outputs.alarm_events, *(publish.alarm for publish in outputs.published)]
        return b"\n".join(map(encode, records)) + b"\n"

    def prepare(raws: Sequence[bytes]) -> Work:
        events = [decode_event(raw) for raw in raws]

        def work() -> None:
            for event in events:
                encode_lines(correlator.process_event(event, event.time))

        return work

    return prepare


def route_events(index: DirectiveIndex) -> Prepare:
    """Prepare the work of the router: decode the routing key, and find it in the index."""

    def prepare(raws: Sequence[bytes]) -> Work:
        def work() -> None:
            find = index.find
            for raw in raws:
                find(decode_routing_key(raw))

        return work

    return prepare


def unmatched_events(count: int, pairs: Sequence[synthetic.AddressPair]) -> list[bytes]:
    """`count` events whose signatures match no directive."""
    sids = range(synthetic.UNKNOWN_SID, synthetic.UNKNOWN_SID + 500)
    return synthetic.EventGenerator(4).random_events(count, pairs, sids)


def _unmatched_event(count: int) -> Case:
    index = build_index(synthetic.directives(100))
    return lambda: route_events(index), unmatched_events(
        count, synthetic.address_pairs(_ADDRESS_PAIRS)
    )


def _unseen_address() -> Case:
    """Twice as many addresses as the cache holds, in turn: each is evicted before it repeats."""
    pairs = synthetic.address_pairs(2 * CACHED_ADDRESSES)
    raws = synthetic.EventGenerator(5).one_per_pair(pairs, synthetic.UNKNOWN_SID)
    index = build_index(synthetic.directives(100))
    return lambda: route_events(index), raws


def _decoded_event(count: int) -> Case:
    def prepare(raws: Sequence[bytes]) -> Work:
        def work() -> None:
            for raw in raws:
                decode_event(raw)

        return work

    return lambda: prepare, unmatched_events(count, synthetic.address_pairs(_ADDRESS_PAIRS))
