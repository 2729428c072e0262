"""Unknown fields of objects: a warning each, with the known field that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

from engine.errors import Finding

_LISTED = 20
"""Number of unknown fields of one object that get a warning of their own."""
_LONGEST = 64
"""Length of the longest name that is compared with the known ones."""
_NEAR = 0.65
"""The similarity, from 0 to 1, from which a known name is suggested."""
_NOTES = frozenset({"comment", "comments", "description"})
_NOTE_PREFIXES = ("$", "_", "#", "//")
"""How names begin that people use for notes, and `$schema` for editors."""
_OTHER_NAMES = {
    "stickydiff": "sticky_different",
    "enable": "disabled",
    "enabled": "disabled",
    "active": "disabled",
    "userdata1": "custom_data1",
    "userdata2": "custom_data2",
    "userdata3": "custom_data3",
    "srcip": "from",
    "dstip": "to",
    "srcport": "port_from",
    "dstport": "port_to",
    "sid": "plugin_sid",
    "count": "occurrence",
    "title": "name",
    "ip": "cidr",
    "address": "cidr",
    "network": "cidr",
    "url": "config",
}
"""Names in OSSIM, in events and in other programs: the fields that have their meaning here."""


def unknown_fields(names: Iterable[str], known: tuple[str, ...]) -> list[Finding]:
    """A warning for each of these fields that is not a known one; notes are passed over."""
    unknown = [name for name in names if name not in known and not _is_note(name)]
    findings = [_unknown(name, known) for name in unknown[:_LISTED]]
    if len(unknown) > _LISTED:
        more = f"has {len(unknown) - _LISTED} more unknown fields, which are ignored"
        findings.append(Finding("unknown-field", more, warning=True))
    return findings


def _is_note(name: str) -> bool:
    return name.startswith(_NOTE_PREFIXES) or name.lower() in _NOTES


def _unknown(name: str, known: tuple[str, ...]) -> Finding:
    meant = _nearest(name, known) if len(name) <= _LONGEST else None
    hint = f"; the nearest known one is {meant}" if meant else ""
    shown = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    message = f"is not a known field, and is ignored{hint}"
    return Finding("unknown-field", message, (name,), field=shown, warning=True)


@lru_cache(maxsize=1024)
def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    plain = _plain(name)
    other = _OTHER_NAMES.get(plain)
    if other in known:
        return other
    by_plain = {folded: field for field in known if _is_near(plain, folded := _plain(field))}
    near = get_close_matches(plain, by_plain, n=1, cutoff=_NEAR)
    return by_plain[near[0]] if near else None


def _is_near(plain: str, known: str) -> bool:
    """Whether names are worth a comparison, which takes a hundred times as long as this."""
    return plain[:1] == known[:1] or plain in known or known in plain


def _plain(name: str) -> str:
    """A name in small letters, without blanks, hyphens and underscores."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
