"""The tables of a terminal: their style, and counts in words."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from shards.safe_text import escape_control

RISK_STYLES = {"High": "bold red", "Medium": "yellow", "Low": "green"}
"""The style of a risk class."""


def make_table(title: str, *, show_header: bool = True) -> Table:
    """An empty table with a title on the left."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        show_header=show_header,
        box=SIMPLE_HEAD,
    )


def list_counts(counts: Mapping[str, int]) -> str:
    """Counts by name in one line: `1,057 routed, 40 whitelisted`."""
    return ", ".join(f"{count:,} {escape_control(name)}" for name, count in counts.items())


def with_spaces(counts: Mapping[str, Any]) -> dict[str, Any]:
    """The counts with spaces for the underscores in their names."""
    return {name.replace("_", " "): count for name, count in counts.items()}


def nonzero_parts(counts: Mapping[str, Any], total: str) -> dict[str, int]:
    """The counts other than `total` and 0; those by reason as `invalid bad_json`."""
    parts: dict[str, int] = {}
    for name, value in counts.items():
        if isinstance(value, Mapping):
            parts |= {f"{name} {reason}": count for reason, count in value.items()}
        elif name != total:
            parts[name] = value
    return {name: count for name, count in parts.items() if count}


def count_stages(statuses: Sequence[str]) -> str:
    """Finished and all stages of an alarm: `2/3`."""
    return f"{statuses.count('finished')}/{len(statuses)}"


def format_moment(seconds: int) -> str:
    """A time in seconds since the epoch as `2025-03-04 08:00:00`, UTC."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):  # beyond the calendar, because of an offset
        return f"{seconds}"
