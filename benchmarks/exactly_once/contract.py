"""What a run promises, by its source and by what is killed: docs/reliability.md has the table."""

from collections.abc import Collection

CHILDREN = ("worker", "router")
"""Victims that the service starts again by itself, and only so often."""
PROCESSES = (*CHILDREN, "supervisor", "nats")
"""Victims of SIGKILL."""
HINDRANCES = ("pause", "disk", "rotate")
"""pause: SIGSTOP of any process for a while; disk: no room for a while; rotate: renamed files."""
VICTIMS = (*PROCESSES, *HINDRANCES)
SOURCES = ("http", "nats", "stream", "spool")

_LOSSES = frozenset({"missing", "events missing", "spurious"})
"""What events that were lost cause. Spurious: an event takes the place of one before it."""


def permitted_faults(source: str, victims: Collection[str]) -> frozenset[str]:
    """The faults of files (see judge.FAULTS) that these victims may cause; others never may be."""
    return _LOSSES if _loses_events(source, victims) else frozenset()


def counts_are_exact(source: str, victims: Collection[str]) -> bool:
    """Whether the ledger must have received as many events as were sent.

    Each life of a supervisor has a ledger of its own, and what a router had received since its last
    report dies with it.
    """
    return not {"supervisor", "router"} & set(victims) and not _loses_events(source, victims)


def _loses_events(source: str, victims: Collection[str]) -> bool:
    """Whether events in memory, or on their way from NATS, may be lost."""
    if source in ("stream", "spool"):
        return False
    return bool({"router", "supervisor"} & set(victims)) or (source == "nats" and "nats" in victims)
