"""The cost of one event: taken, opening a backlog, finishing a stage, unmatched.

CPU time per event; each repeat has a new correlator and the same events.
"""

from collections.abc import Sequence

import msgspec

from benchmarks.engine.loaded import correlator, feeding, index, with_open_backlogs
from benchmarks.support import workload
from benchmarks.support.measure import Figure, Fresh, Step, Work, timed
from engine.address import CACHED_ADDRESSES
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.directives.index import DirectiveIndex
from engine.event import decode_event, decode_routing_key

SECTION = "event"
LONG = (1, 1_000_000, 1_000_000)
"""Occurrences with which all events stay at stage 2."""
_SOURCES = 300


def run(quick: bool) -> list[Figure]:
    """The figures of this section."""
    count, repeats = (4000, 3) if quick else (10_000, 7)
    return [
        _figure("taking a matched event", _taking(count), repeats, 4.0),
        _figure("opening a backlog", _opening(count), repeats, 8.0),
        _figure("concerns nobody: key, index", _unmatched(count), repeats, 0.7),
        _figure("  same, address never seen", _strangers(), repeats),
        _figure("decoding a whole event", _decoding(count), repeats),
        _figure("taking, with custom data", _taking(count, custom=True), repeats),
        _figure("finishing a stage, published", _finishing(count), repeats),
        _figure("  and both lines encoded", _finishing(count, encoded=True), repeats),
    ]


Case = tuple[Fresh, Sequence[bytes]]
"""Sets up anew; and the events to handle."""


def _figure(name: str, case: Case, repeats: int, target: float | None = None) -> Figure:
    timing = timed(*case, repeats)
    return Figure(SECTION, name, timing.micros, "µs", target, False, timing.times_calibration)


def _taking(count: int, custom: bool = False) -> Case:
    """Stage 2, referring to src_ip and dst_ip of stage 1, of backlogs of some hundred sources."""
    maker, sources = workload.EventMaker(1), workload.pairs(_SOURCES)
    openers = maker.one_each(sources)
    raws = maker.draw_all(count, sources, [workload.FIRST_SID])
    if custom:
        more = {"custom_label1": "url", "custom_data1": "/index.php?option=com_users"}
        choice = maker.random.choice
        raws = [maker.event(workload.FIRST_SID, choice(sources), **more) for _ in range(count)]
    document = workload.directives(1, LONG)
    return lambda: feeding(with_open_backlogs(document, openers)), raws


def _opening(count: int) -> Case:
    """Each event from an address not seen before; risk 0, as nearly always at stage 1."""
    raws = workload.EventMaker(2).one_each(workload.pairs(count))
    document = workload.directives(1)
    return lambda: feeding(correlator(document)), raws


def _finishing(count: int, encoded: bool = False) -> Case:
    """Each event finishes stage 2 of a backlog of its own, which is published with due lookups."""
    maker, sources = workload.EventMaker(3), workload.pairs(count)
    openers, raws = maker.one_each(sources), maker.one_each(sources)
    document = workload.directives(1, (1, 1, 10))
    step = _encoding if encoded else feeding
    return lambda: step(with_open_backlogs(document, openers)), raws


def _encoding(shard: Correlator) -> Step:
    """Gives events to a correlator, and makes lines of all that comes out."""
    encode = msgspec.json.Encoder().encode

    def lines(outputs: Outputs) -> bytes:
        records = [*outputs.alarm_events, *(publish.alarm for publish in outputs.published)]
        return b"\n".join(map(encode, records)) + b"\n"

    def step(raws: Sequence[bytes]) -> Work:
        events = [decode_event(raw) for raw in raws]

        def work() -> None:
            for event in events:
                lines(shard.process_event(event, event.time))

        return work

    return step


def routing(known: DirectiveIndex) -> Step:
    """What the router does with an event: decode its key, ask the index."""

    def step(raws: Sequence[bytes]) -> Work:
        def work() -> None:
            find = known.find
            for raw in raws:
                find(decode_routing_key(raw))

        return work

    return step


def unknown(count: int, sources: Sequence[workload.Pair]) -> list[bytes]:
    """Events with signatures that no directive is for."""
    sids = range(workload.UNKNOWN_SID, workload.UNKNOWN_SID + 500)
    return workload.EventMaker(4).draw_all(count, sources, sids)


def _unmatched(count: int) -> Case:
    known = index(workload.directives(100))
    return lambda: routing(known), unknown(count, workload.pairs(_SOURCES))


def _strangers() -> Case:
    """More addresses than are remembered, in a circle: none is when it comes again."""
    circle = workload.pairs(2 * CACHED_ADDRESSES)
    raws = workload.EventMaker(5).one_each(circle, workload.UNKNOWN_SID)
    known = index(workload.directives(100))
    return lambda: routing(known), raws


def _decoding(count: int) -> Case:
    def step(raws: Sequence[bytes]) -> Work:
        def work() -> None:
            for raw in raws:
                decode_event(raw)

        return work

    return lambda: step, unknown(count, workload.pairs(_SOURCES))
