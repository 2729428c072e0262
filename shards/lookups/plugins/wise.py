"""The plugin Wise: threat intelligence about an address, from Arkime's WISE.

WISE answers with a list of JavaScript object literals, which sometimes is valid JSON.
"""

from itertools import islice
from typing import Any

import chompjs
import msgspec
from msgspec import Struct

from shards.lookups.plugins.api import BadReplyError, Fetch, Hit, fill_url

PROVIDER = "Wise"
_METADATA_BELOW = 5
"""Entries with a `len` below this are metadata of the reply."""


class _Entry(Struct):
    field: str
    len: int
    value: str


_decoder = msgspec.json.Decoder(list[_Entry])


class Wise:
    """Config: `url`, with `${ip}`."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        self._url: str = config["url"]
        self._fetch = fetch

    def check(self, ip: str) -> list[Hit]:
        """Return a hit for each entry except metadata."""
        entries = _decode(self._fetch(fill_url(self._url, ip)).body)
        return [
            Hit(PROVIDER, ip, f"{entry.field}: {entry.value}")
            for entry in entries
            if entry.len >= _METADATA_BELOW
        ]


def _decode(body: bytes) -> list[_Entry]:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadReplyError(f"is JSON, but no list of entries: {error}") from error
    except (msgspec.DecodeError, RecursionError):
        return _decode_literal(body)


def _decode_literal(body: bytes) -> list[_Entry]:
    """Decode a JavaScript literal; reject all but one list, such as an HTML page with a list."""
    try:
        text = body.decode().strip()
        if not (text.startswith("[") and text.endswith("]")):
            raise BadReplyError("is no list, neither as JSON nor as an object literal")
        literals = list(islice(chompjs.parse_js_objects(text, loader=str), 2))
        if len(literals) != 1:
            raise BadReplyError("is no list that an object literal could be")
        return _decoder.decode(literals[0])
    except BadReplyError:
        raise
    except (ValueError, RecursionError) as error:  # msgspec and chompjs raise ValueErrors
        raise BadReplyError(f"is no list of entries: {error}") from error
