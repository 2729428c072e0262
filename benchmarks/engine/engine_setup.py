"""Builds engine objects from documents and events as bytes, for several benchmarks."""

from collections.abc import Sequence

from benchmarks.support import synthetic
from benchmarks.support.measure import Prepare, Work
from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.directives.asset_document import parse_assets
from engine.directives.directive import Directive, parse_directives
from engine.directives.index import DirectiveIndex, routing_keys_of
from engine.event import decode_event
from engine.options import Options


def parse_valid_directives(document: bytes) -> list[Directive]:
    """All directives of a document whose directives are all valid."""
    directives = [checked.directive for checked in parse_directives(document)]
    return [directive for directive in directives if directive is not None]


def build_index(document: bytes) -> DirectiveIndex:
    """The index of these directives, as the router has it."""
    return DirectiveIndex(map(routing_keys_of, parse_valid_directives(document)))


def build_correlator(document: bytes, repeat_window: int = 600) -> Correlator:
    """A correlator of these directives and the assets of the benchmarks.

    `repeat_window`: seconds for which events are remembered, 0 for not at all.
    """
    assets = NetworkAssets(parse_assets(synthetic.assets())[0])
    return Correlator(
        parse_valid_directives(document), assets, Options(node="bench", repeat_window=repeat_window)
    )


def process_events(correlator: Correlator) -> Prepare:
    """Prepare work that passes events to a correlator; decoding them is not part of the work."""

    def prepare(raws: Sequence[bytes]) -> Work:
        events = [decode_event(raw) for raw in raws]

        def work() -> None:
            process_event = correlator.process_event
            for event in events:
                process_event(event, event.time)

        return work

    return prepare


def correlator_with_backlogs(document: bytes, openers: Sequence[bytes]) -> Correlator:
    """A correlator of these directives that has processed these events, which open backlogs."""
    correlator = build_correlator(document)
    process_events(correlator)(openers)()
    return correlator
