"""What a name in OSSIM tells: kingdom, category and what would be replaced in a title.

OSSIM keeps the kingdom and category of a directive in its database, not in the files.
"""

import re

_PREFIX = re.compile(r"AV\b[\w-]*\s")
"""`AV Network scan, …` and `AV-FREE-FEED Network scan, …`."""
_MAX_CATEGORY = 60
_SEARCHED = 200
"""Characters of a name in which to look for words."""
_KINGDOMS = (
    (re.compile(r"malware|trojan|botnet|worm|compromise", re.IGNORECASE), "System Compromise"),
    (
        re.compile(r"scan|recon|prob(e|ing)|discover", re.IGNORECASE),
        "Reconnaissance & Probing",
    ),
    (
        re.compile(r"attack|brute|exploit|dos\b|denial|injection|delivery", re.IGNORECASE),
        "Delivery & Attack",
    ),
)
_OTHER_KINGDOM = "Environmental Awareness"
_OTHER_CATEGORY = "OSSIM"
_NOT_REPLACED = re.compile(
    r"\b(?:SRC_PORT|DST_PORT|PROTOCOL|PLUGIN_ID|PLUGIN_SID|SENSOR|USERNAME|PASSWORD|FILENAME|"
    r"USERDATA[1-9])\b"
)


def kingdom_and_category(name: str) -> tuple[str, str]:
    """The kingdom and category that the name of a directive suggests."""
    name = name.strip()[:_SEARCHED]
    before, comma, _ = name.partition(",")
    category = before[_prefix_length(before) :].strip() if comma else ""
    category = category if len(category) <= _MAX_CATEGORY else ""
    text = category or name
    kingdoms = (kingdom for pattern, kingdom in _KINGDOMS if pattern.search(text))
    return next(kingdoms, _OTHER_KINGDOM), category or _OTHER_CATEGORY


def _prefix_length(text: str) -> int:
    found = _PREFIX.match(text)
    return found.end() if found else 0


def variables_not_replaced(name: str) -> list[str]:
    """The variables in a name that OSSIM replaces in the title of an alarm, and we do not."""
    return list(dict.fromkeys(_NOT_REPLACED.findall(name)))
