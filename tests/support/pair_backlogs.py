"""Correlators with open backlogs of two directives, a backlog for each pair of addresses."""

from itertools import count

import msgspec

from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.directives.asset_document import parse_assets
from engine.directives.directive import Directive, parse_directives
from engine.event import decode_event
from engine.options import Options
from tests.support.cluster import OPENS, pair_directive, pair_event, raws
from tests.support.serving import ASSETS

_numbers = count()


def _directive(id_: int) -> Directive:
    document = msgspec.json.encode({"directives": [pair_directive(id_)]})
    [checked] = parse_directives(document)
    assert checked.directive is not None
    return checked.directive


PAIR_DIRECTIVES = {id_: _directive(id_) for id_ in (1, 2)}


def pair_correlator(backlogs: int, *, track_changes: bool = False) -> Correlator:
    """A correlator with this number of open backlogs of each directive."""
    assets = NetworkAssets(parse_assets(msgspec.json.encode({"assets": ASSETS}))[0])
    options = Options(track_changes=track_changes)
    correlator = Correlator(PAIR_DIRECTIVES.values(), assets, options)
    for id_ in PAIR_DIRECTIVES:
        for number in range(backlogs):
            take(correlator, id_, OPENS, number)
    return correlator


def take(correlator: Correlator, directive: int, action: int, number: int) -> None:
    """Correlate an event that opens, advances or ends the backlog of a pair of addresses.

    The backlog `number` is opened by the event `e<number>`; the ids of other events are unique.
    """
    name = "e" if action == OPENS else f"{next(_numbers)}-"
    [raw] = raws([pair_event(name, directive, action, number)])
    correlator.process_event(decode_event(raw), 0)
