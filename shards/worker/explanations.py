"""What the directives of a shard would make of an event, for POST /explain. Changes nothing.

One directive is explained in a step, between which events can be correlated.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from engine.correlation.directive_backlogs import DirectiveBacklogs
from engine.errors import InvalidEventError
from engine.event import NormalizedEvent, decode_event
from engine.explain.explainer import Explainer
from engine.explain.rule_checks import MAX_TEXT
from engine.explain.verdict import Verdict
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ShardExplanation
from shards.worker.shard import Shard

MAX_DIRECTIVES = 100
"""Directives of a shard that are explained for one event."""
MAX_VERDICTS = 100
"""Verdicts of one directive that are sent: consuming ones first, then those nearest to that."""
MAX_VERDICT_BYTES = 48 << 10
"""Bytes of the verdicts of one directive."""
MAX_BYTES = 1 << 20
"""Bytes of explanations after which no further directive is explained."""

_encode = msgspec.msgpack.Encoder().encode


def explain_event(
    shard: Shard, query: ExplainEvent, now: int, in_time: Callable[[], bool]
) -> Iterator[ShardExplanation | None]:
    """The answer as the last item, after None for each directive; none for an invalid event.

    `now`: in seconds since the epoch; `in_time`: whether to go on.
    """
    try:
        event = shard.with_possible_time(decode_event(query.event), now)
    except InvalidEventError:  # the supervisor refuses it
        return
    correlator = shard.correlator
    ids = list(query.directives or correlator.concerned(event))
    explainer = Explainer()
    found: list[DirectiveExplanation] = []
    left = MAX_BYTES
    for done, id_ in enumerate(ids):
        if done == MAX_DIRECTIVES or left < 0 or not in_time():
            yield ShardExplanation(found, omitted=len(ids) - done)
            return
        backlogs = correlator.backlogs_of(id_)
        if backlogs is None:
            continue
        if backlogs.compiled.assets.address_info(event.src_ip).whitelisted:
            yield ShardExplanation(whitelisted=True)
            return
        found.append(_explain_directive(shard, explainer, backlogs, event, now))
        left -= len(_encode(found[-1]))
        yield None
    yield ShardExplanation(found)


def _explain_directive(
    shard: Shard,
    explainer: Explainer,
    backlogs: DirectiveBacklogs,
    event: NormalizedEvent,
    now: int,
) -> DirectiveExplanation:
    found = explainer.explain(backlogs, event, now)
    verdicts = [verdict for _, verdict in found.verdicts]
    kept = list(_within_bytes(sorted(verdicts, key=_distance)[:MAX_VERDICTS]))
    directive = backlogs.compiled.directive
    return DirectiveExplanation(
        directive.id,
        directive.name[:MAX_TEXT],
        shard.progress.worker,
        len(backlogs.backlogs()),
        kept,
        verdicts_omitted=len(verdicts) - len(kept),
        backlogs_unasked=found.unasked,
    )


def _distance(verdict: Verdict) -> int:
    """The number of conditions that refuse the event."""
    refusal = verdict.refusal
    return 0 if refusal is None else refusal.conditions - refusal.met


def _within_bytes(verdicts: Sequence[Verdict]) -> Iterator[Verdict]:
    left = MAX_VERDICT_BYTES
    for verdict in verdicts:
        left -= len(_encode(verdict))
        if left < 0:
            return
        yield verdict
