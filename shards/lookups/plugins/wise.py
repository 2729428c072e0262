"""The plugin Wise: what Arkime's WISE knows of an address.

What may live here: its replies. They are lists in the form of JavaScript, sometimes true JSON.
"""

from itertools import islice
from typing import Any

import chompjs
import msgspec
from msgspec import Struct

from shards.lookups.plugins.api import BadReplyError, Fetch, Hit, fill_url

PROVIDER = "Wise"
_METADATA_BELOW = 5
"""Entries of fewer bytes say something of the reply, not of the address."""


class _Entry(Struct):
    field: str
    len: int
    value: str


_entries = msgspec.json.Decoder(list[_Entry])


class Wise:
    """Asks `url`, for each address."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        self._url: str = config["url"]
        self._fetch = fetch

    def check(self, ip: str) -> list[Hit]:
        """Return a hit for each entry that is no metadata."""
        entries = _read(self._fetch(fill_url(self._url, ip)).body)
        return [
            Hit(PROVIDER, ip, f"{entry.field}: {entry.value}")
            for entry in entries
            if entry.len >= _METADATA_BELOW
        ]


def _read(body: bytes) -> list[_Entry]:
    try:
        return _entries.decode(body)
    except msgspec.ValidationError as error:
        raise BadReplyError(f"is JSON, but no list of entries: {error}") from error
    except (msgspec.DecodeError, RecursionError):
        return _read_literal(body)


def _read_literal(body: bytes) -> list[_Entry]:
    """Read what is no JSON; whoever answers with a page in place of a list is not believed."""
    try:
        text = body.decode().strip()
        if not (text.startswith("[") and text.endswith("]")):
            raise BadReplyError("is no list, neither as JSON nor as an object literal")
        found = list(islice(chompjs.parse_js_objects(text, loader=str), 2))
        if len(found) != 1:
            raise BadReplyError("is no list that an object literal could be")
        return _entries.decode(found[0])
    except BadReplyError:
        raise
    except (ValueError, RecursionError) as error:  # those of msgspec and chompjs among them
        raise BadReplyError(f"is no list of entries: {error}") from error
