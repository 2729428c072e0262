"""The engine loaded from bytes, as in a service; the start of several benchmarks."""

from collections.abc import Sequence

from benchmarks.support import workload
from benchmarks.support.measure import Step, Work
from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.directives.asset_document import parse_assets
from engine.directives.directive import Directive, parse_directives
from engine.directives.index import DirectiveIndex, routing_keys_of
from engine.event import decode_event
from engine.options import Options


def parsed(document: bytes) -> list[Directive]:
    """All directives of a document; every one has to be valid."""
    directives = [checked.directive for checked in parse_directives(document)]
    return [directive for directive in directives if directive is not None]


def index(document: bytes) -> DirectiveIndex:
    """The index of these directives, as the router has it."""
    return DirectiveIndex(map(routing_keys_of, parsed(document)))


def correlator(document: bytes) -> Correlator:
    """A correlator of these directives and the assets of the workload."""
    assets = NetworkAssets(parse_assets(workload.assets())[0])
    return Correlator(parsed(document), assets, Options(node="bench"))


def feeding(shard: Correlator) -> Step:
    """Gives events to a correlator; they are decoded before the work begins."""

    def step(raws: Sequence[bytes]) -> Work:
        events = [decode_event(raw) for raw in raws]

        def work() -> None:
            process_event = shard.process_event
            for event in events:
                process_event(event, event.time)

        return work

    return step


def with_open_backlogs(document: bytes, openers: Sequence[bytes]) -> Correlator:
    """A correlator of these directives that has been given these events."""
    shard = correlator(document)
    feeding(shard)(openers)()
    return shard
