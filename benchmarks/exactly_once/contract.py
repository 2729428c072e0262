"""What a run promises, by its source and by what is killed: docs/reliability.md has the table."""

from collections.abc import Collection

CHILDREN = ("worker", "router")
"""Victims that the service starts again by itself, and only so often."""
PROCESSES = (*CHILDREN, "supervisor", "all", "resize", "nats")
"""Victims of SIGKILL; all: the supervisor and its children, at once; resize: the same, and the next
run has another number of workers."""
_SERVICE = {"supervisor", "all", "resize"}
HINDRANCES = ("pause", "disk", "rotate", "reload")
"""pause: SIGSTOP of any process for a while; disk: no room for a while; rotate: renamed files;
reload: half of the directives change, in nothing that matters to the events."""
VICTIMS = (*PROCESSES, *HINDRANCES)
SOURCES = ("http", "nats", "stream", "spool")

_LOSSES = frozenset({"missing", "events missing", "spurious"})
"""What events that were lost cause. Spurious: an event takes the place of one before it."""


def permitted_faults(source: str, victims: Collection[str]) -> frozenset[str]:
    """The faults of files (see judge.FAULTS) that these victims may cause; others never may be."""
    return _LOSSES if _loses_events(source, victims) else frozenset()


def received_at_most(source: str, victims: Collection[str], sent: int, again: int) -> int | None:
    """The largest number of events that the ledger may have received; the smallest is `sent`.

    None if it says nothing: each life of a supervisor has a ledger of its own, and what a router
    had received over HTTP or core NATS since its last report dies with it. `again`: events that
    were sent again, which a spool may have twice.
    """
    if _SERVICE & set(victims) or _loses_events(source, victims):
        return None
    return sent + again if source == "spool" else sent


def _loses_events(source: str, victims: Collection[str]) -> bool:
    """Whether events in memory, or on their way from NATS, may be lost."""
    if source in ("stream", "spool"):
        return False
    if {"router", *_SERVICE} & set(victims):
        return True
    return source == "nats" and "nats" in victims
