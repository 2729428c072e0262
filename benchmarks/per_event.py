"""What one event costs: taken, opening a backlog, finishing a stage, concerning nobody.

CPU time per event; each repeat has a new correlator and sees the same events.
"""

from collections.abc import Callable, Sequence

import msgspec

from benchmarks import workload
from benchmarks.loaded import correlator, decoded, feeding, parsed
from benchmarks.measure import Figure, Work, timed
from engine.correlator import Correlator
from engine.event import NormalizedEvent, decode_event, decode_key
from engine.index import DirectiveIndex
from engine.outputs import Outputs

SECTION = "event"
LONG = (1, 1_000_000, 1_000_000)
"""Occurrences with which all events stay at stage 2."""
_SOURCES = 300


def run(quick: bool) -> list[Figure]:
    """The figures of this section."""
    count, repeats = (4000, 3) if quick else (20_000, 9)
    return [
        _figure("taking a matched event", _taking(count), repeats, 4.0),
        _figure("opening a backlog", _opening(count), repeats, 8.0),
        _figure("concerns nobody: key, index", _unmatched(count), repeats, 0.7),
        _figure("  same, address never seen", _strangers(count), repeats),
        _figure("decoding a whole event", _decoding(count), repeats),
        _figure("taking, with custom data", _taking(count, custom=True), repeats),
        _figure("finishing a stage, published", _finishing(count), repeats),
        _figure("  and both lines encoded", _finishing(count, encoded=True), repeats),
    ]


Case = tuple[Callable[[], Work], Sequence[bytes]]
"""Makes the work anew; and the events that it handles."""


def _figure(name: str, case: Case, repeats: int, target: float | None = None) -> Figure:
    timing = timed(*case, repeats)
    return Figure(SECTION, name, timing.micros, "µs", target, False, timing.times_calibration)


def with_open(document: bytes, openers: Sequence[NormalizedEvent]) -> Correlator:
    """A correlator with a backlog opened by each of these events."""
    shard = correlator(document)
    feeding(shard, openers)()
    return shard


def _taking(count: int, custom: bool = False) -> Case:
    """Stage 2, referring to src_ip and dst_ip of stage 1, of backlogs of some hundred sources."""
    maker, sources = workload.EventMaker(1), workload.pairs(_SOURCES)
    openers = decoded(maker.one_each(sources))
    raws = maker.drawn(count, sources, [workload.FIRST_SID])
    if custom:
        more = {"custom_label1": "url", "custom_data1": "/index.php?option=com_users"}
        choice = maker.random.choice
        raws = [maker.event(workload.FIRST_SID, choice(sources), **more) for _ in range(count)]
    events, document = decoded(raws), workload.directives(1, LONG)
    return lambda: feeding(with_open(document, openers), events), raws


def _opening(count: int) -> Case:
    """Each event from an address of its own; risk 0, as nearly always at stage 1."""
    raws = workload.EventMaker(2).one_each(workload.pairs(count))
    events, document = decoded(raws), workload.directives(1)
    return lambda: feeding(correlator(document), events), raws


def _finishing(count: int, encoded: bool = False) -> Case:
    """Each event finishes stage 2 of a backlog of its own, which is published with due lookups."""
    maker, sources = workload.EventMaker(3), workload.pairs(count)
    openers, raws = decoded(maker.one_each(sources)), maker.one_each(sources)
    events, document = decoded(raws), workload.directives(1, (1, 1, 10))
    feed = _encoding if encoded else feeding
    return lambda: feed(with_open(document, openers), events), raws


def _encoding(shard: Correlator, events: Sequence[NormalizedEvent]) -> Work:
    now, encode = events[0].time, msgspec.json.Encoder().encode

    def lines(outputs: Outputs) -> bytes:
        records = [*outputs.alarm_events, *(publish.alarm for publish in outputs.publishes)]
        return b"\n".join(map(encode, records)) + b"\n"

    def work() -> None:
        for event in events:
            lines(shard.on_event(event, now))

    return work


def routing(index: DirectiveIndex, raws: Sequence[bytes]) -> Work:
    """What the router does with an event: decode its key, ask the index."""

    def work() -> None:
        find = index.find
        for raw in raws:
            find(decode_key(raw))

    return work


def unknown(count: int, sources: Sequence[workload.Pair]) -> list[bytes]:
    """Events with signatures that no directive is for."""
    sids = range(workload.UNKNOWN_SID, workload.UNKNOWN_SID + 500)
    return workload.EventMaker(4).drawn(count, sources, sids)


def _unmatched(count: int) -> Case:
    raws = unknown(count, workload.pairs(_SOURCES))
    index = DirectiveIndex(parsed(workload.directives(100)))
    return lambda: routing(index, raws), raws


def _strangers(count: int) -> Case:
    """More addresses than are remembered, in a circle: none is when it comes again."""
    circle = max(count, 80_000)
    raws = workload.EventMaker(5).one_each(workload.pairs(circle), workload.UNKNOWN_SID)
    index = DirectiveIndex(parsed(workload.directives(100)))
    return lambda: routing(index, raws), raws


def _decoding(count: int) -> Case:
    raws = unknown(count, workload.pairs(_SOURCES))

    def work() -> None:
        for raw in raws:
            decode_event(raw)

    return lambda: work, raws
