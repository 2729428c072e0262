"""What a row of the table of settings is made of, and how its value may be shown.

What may live here: the words of a row. What may not: any setting (settings.py).
"""

import re
from typing import Any, Literal

from msgspec import Struct

REPLAY = frozenset({"replay"})
SERVE = frozenset({"serve"})
BOTH = REPLAY | SERVE
TOP = frozenset({"top"})
EVERY_VERB = BOTH | TOP | {"validate"}

MASK = "***"
_LOGIN = re.compile(r"((?:^|,)\s*(?:[\w+.-]+://)?)(?:(?!,\s*[\w+.-]+://).)*@", re.DOTALL)
"""User and password of each URL in a list of them; rather too much than a part of a password."""


class Spec(Struct, frozen=True):
    """What a field's type and default do not say; an unnamed variable is DSIEM_ + the flag."""

    group: str
    help: str
    verbs: frozenset[str] = SERVE
    short: str = ""
    aliases: tuple[str, ...] = ()
    env: str = ""
    at_least: int = 0
    at_most: int | None = None
    pattern: str = ""  # of a whole text
    right: str = ""  # the pattern in words
    secret: Literal["", "login", "all"] = ""  # login: what stands before the @ of a URL

    def masked(self, value: Any) -> Any:
        """Return a value of the setting as it may be shown."""
        if not (self.secret and value):
            return value
        return MASK if self.secret == "all" else _LOGIN.sub(rf"\1{MASK}@", value)
