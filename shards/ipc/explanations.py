"""The question what directives would make of an event, and the answers of workers.

They travel over control pipes, as the other messages there.
"""

from msgspec import Struct

from engine.explain.verdict import Verdict


class ExplainEvent(Struct, frozen=True, tag=True):
    """To a worker: what would its directives make of this event? It answers by ExplainParts.

    `number`: that of the request; `directives`: those to explain, none for those that the event
    concerns; `until`: when nobody waits for an answer any more, in time.monotonic(), which is one
    clock for all processes of a machine.
    """

    number: int
    event: bytes
    directives: list[int]
    until: float


class DirectiveExplanation(Struct, frozen=True):
    """What a directive would make of an event; docs/explain.md describes it.

    `verdicts_omitted`: verdicts that were left out; `backlogs_unasked`: open backlogs that were not
    asked; both since there are too many.
    """

    directive: int
    name: str
    shard: int
    open_backlogs: int
    verdicts: list[Verdict]
    verdicts_omitted: int = 0
    backlogs_unasked: int = 0


class ExplainPart(Struct, frozen=True, tag=True):
    """A worker's answer for one directive; the last one, with none, says that it was all.

    `number`: that of the request. `whitelisted`: the source of the event is, so nothing is
    explained; `omitted`: directives that were left out.
    """

    number: int
    explanation: DirectiveExplanation | None = None
    whitelisted: bool = False
    omitted: int = 0
