"""The question what directives would make of an event, and what workers answer.

It is one of the queries of shards/ipc/queries.py.
"""

from msgspec import Struct

from engine.explain.verdict import Verdict


class ExplainEvent(Struct, frozen=True, tag=True):
    """What the directives of a shard would make of an event.

    `directives`: those to explain, none for those that the event concerns.
    """

    event: bytes
    directives: list[int]


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


class ShardExplanation(Struct, frozen=True):
    """The answer to ExplainEvent.

    `whitelisted`: the source of the event is, so nothing is explained; `omitted`: number of
    directives that were left out, since they are too many, too large, or take too long.
    """

    directives: list[DirectiveExplanation] = []
    whitelisted: bool = False
    omitted: int = 0
