"""The known differences of the alarms of peers, found by running them: not from their sources."""

from collections.abc import Collection

from msgspec import Struct

_COPIED_CONDITION = (
    "the peer copies the text of the condition that is referred to, not the event's value"
)


_OPENS_SECOND_BACKLOG = (
    "the peer opens a second backlog with an event whose sticky value was seen before"
)
_OPENS_NO_BACKLOG = (
    "the peer opens no backlog of a directive after one has finished, until those that were open "
    "then and are newer are gone, too"
)


class KnownDifference(Struct, frozen=True):
    """A known difference of these peers, in these fields of the alarms of a scenario, or of all."""

    peers: Collection[str]
    scenario: str | None
    reason: str
    fields: Collection[str] = ("events",)


KNOWN_DIFFERENCES = (
    KnownDifference(
        ("go", "rust"),
        "taxonomy with custom data",
        "the peer does not look at the custom data of taxonomy rules",
        ("events", "custom_data"),
    ),
    KnownDifference(
        ("go", "rust"),
        "both types of rule",
        "the peer never matches a directive that has rules of both types",
    ),
    KnownDifference(
        ("go", "rust"), "reference to a condition", _COPIED_CONDITION, ("events", "src_ips")
    ),
    KnownDifference(("go", "rust"), "port by reference to a condition", _COPIED_CONDITION),
    KnownDifference(
        ("go", "rust"),
        "custom data by reference to none",
        f"{_COPIED_CONDITION}; none matches all",
        ("events", "custom_data"),
    ),
    KnownDifference(
        ("go", "rust"),
        "reference to the second stage",
        "the peer takes the value of the event that opened the backlog, not of the second stage's",
        ("events", "risk", "rules"),
    ),
    KnownDifference(
        ("rust", "dsiem-rs"),
        "repeated event",
        "the peer counts an event that comes twice once, and writes two lines",
    ),
    KnownDifference(
        ("dsiem-rs",),
        "sticky and one signature",
        f"{_OPENS_SECOND_BACKLOG}; {_OPENS_NO_BACKLOG}",
    ),
    KnownDifference(("rust",), "sticky and one signature", _OPENS_SECOND_BACKLOG),
    KnownDifference(("dsiem-rs",), "occurrence without references", _OPENS_NO_BACKLOG),
    KnownDifference(
        ("rust",),
        "IPv6",
        "the peer does not match a reference to an IPv6 address",
        ("events", "risk", "rules"),
    ),
    KnownDifference(
        ("rust",), None, "the peer does not replace SRC_IP and DST_IP in titles", ("title",)
    ),
)


def known_reason(peer: str, scenario: str, field: str) -> str | None:
    """Why a difference is intended; None if it is not."""
    for known in KNOWN_DIFFERENCES:
        if peer in known.peers and known.scenario in (scenario, None) and field in known.fields:
            return known.reason
    return None
