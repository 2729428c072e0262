"""What a directive, or one of its backlogs, makes of an event.

A file of its own: explanations make verdicts, and commands, tests and the service show them.
"""

from typing import Literal, get_args

from msgspec import Struct

VerdictKind = Literal[
    "invalid",
    "whitelisted",
    "unmatched",
    "opened",
    "taken",
    "finished",
    "revisited",
    "repeated",
    "suppressed",
    "sticky_seen",
    "out_of_order",
    "too_late",
    "averted",
    "no_match",
    "expired_before",
]
VERDICT_KINDS: tuple[VerdictKind, ...] = get_args(VerdictKind)
"""What can become of an event.

Of the whole event: invalid, whitelisted (its source is in a whitelisted asset), unmatched (no rule
has its plugin or taxonomy). By a directive: opened (a backlog), repeated (it took the event
before), suppressed (it would open a backlog, but an alarm of the same values is not long ago). By a
backlog: taken, finished (taken as the last one of its stage), revisited (taken at an earlier
stage), sticky_seen, out_of_order, too_late (it came after the timeout of an absent stage), averted
(the last event that its absent stage excludes), no_match (a condition of its stage refused the
event), expired_before (it matches, but the stage had timed out).
"""
CONSUMED = frozenset(
    {
        *("opened", "taken", "finished", "revisited", "repeated"),
        *("suppressed", "sticky_seen", "out_of_order", "too_late", "averted"),
    }
)
"""The verdicts after which the event opens no other backlog of the directive."""


class Refusal(Struct, frozen=True):
    """The first condition of a rule that an event does not meet.

    `field`: its name in the directive; `rule`: its text there; `wants`: the values that it stands
    for, with references resolved; `got`: the value of the event; `met` of `conditions`: how near
    it was.
    """

    field: str
    rule: str
    wants: str
    got: str
    met: int
    conditions: int


class Verdict(Struct, frozen=True, omit_defaults=True):
    """A verdict on an event.

    `directive` and `stage`: 0 if it concerns the whole event; `backlog`: the id of its alarm, ""
    for a verdict of the directive. `count` of `needed`: events that the stage has with this one.
    `seconds`: after the timeout, or before the end of the earlier stage. `detail`: why an event is
    invalid.
    """

    verdict: VerdictKind
    directive: int = 0
    stage: int = 0
    backlog: str = ""
    count: int = 0
    needed: int = 0
    seconds: int = 0
    refusal: Refusal | None = None
    detail: str = ""
