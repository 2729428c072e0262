"""What POST /explain answers, and how it asks for that.

A file of its own: the supervisor makes the answer, and need not load the libraries of a server.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from engine.explain.verdict import Verdict
from shards.ipc.explanations import DirectiveExplanation

MAX_ANSWER_BYTES = 1 << 20
"""Bytes of the explanations of all directives."""


class EventExplanation(Struct, frozen=True):
    """The answer; docs/explain.md describes it.

    `verdicts`: on the event as a whole; `directives_omitted`: those that were left out;
    `shards_missing`: those that have not answered in time, or were not running.
    """

    verdicts: list[Verdict]
    directives: list[DirectiveExplanation] = []
    directives_omitted: int = 0
    shards_missing: list[int] = []


class UnknownDirectiveError(ValueError):
    """A directive is not in this service; the text says which."""


Explain = Callable[[bytes, tuple[int, ...]], Awaitable[EventExplanation]]
"""Explains a valid event for some directives, none for those that it concerns.

UnknownDirectiveError, TooManyQueriesError.
"""
