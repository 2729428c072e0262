"""The definitions of directives in the checkpoint: encodes them, and applies them to what is read.

A backlog goes on under the definition that it was opened under, whatever the configuration says
when it is restored.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from engine.alarm import BacklogKey
from engine.correlation.correlator import Correlator
from engine.directives.directive import Directive
from shards.checkpoint.definition_table import DefinitionRow
from shards.logs import KindLog

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Directive).decode


class DefinitionEncoder:
    """Encodes the definition of each directive that has rows; knows which the checkpoint has."""

    def __init__(self, correlator: Correlator) -> None:
        self._correlator = correlator
        self._saved: dict[int, Directive] = {}
        """Those in the checkpoint, as far as this worker has written them."""
        self._encoded: dict[int, Directive] = {}
        """Those that are written with the rows of the present checkpoint."""

    def begin(self, *, whole: bool) -> None:
        """Begin a checkpoint; `whole`: with all definitions that are needed."""
        self._encoded = {}
        if whole:
            self._saved = {}

    def encode(self, directive: int) -> Iterator[DefinitionRow]:
        """The row of a directive that has backlogs; none if the checkpoint has it."""
        backlogs = self._correlator.backlogs_of(directive)
        if backlogs is None:
            return
        definition = backlogs.compiled.directive
        if self._saved.get(directive) is not definition and directive not in self._encoded:
            self._encoded[directive] = definition
            yield DefinitionRow(directive, _encode(definition))

    def commit(self, closed: Iterable[BacklogKey]) -> None:
        """Note that the encoded rows have been written, and the rows of `closed` deleted.

        The definition of a closed backlog may be deleted, so it is written again when needed.
        """
        self._saved |= self._encoded
        self._encoded = {}
        for directive, _ in closed:
            self._saved.pop(directive, None)


def former_definitions(
    saved: Mapping[int, bytes], directives: Mapping[int, Directive]
) -> dict[int, Directive]:
    """The saved definitions that differ from those of the configuration.

    Logs those that cannot be read, and leaves them out.
    """
    unreadable = KindLog("ERROR", "a directive in the crash checkpoint cannot be read")
    former: dict[int, Directive] = {}
    for id_, content in saved.items():
        try:
            definition = _decode(content)
        except ValueError as error:
            about = {"directive": id_, "why": str(error)}
            unreadable.add(tuple(about.values()), about)
        else:
            if definition != directives[id_]:
                former[id_] = definition
    unreadable.flush()
    return former
