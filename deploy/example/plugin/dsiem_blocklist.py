"""A lookup plugin that asks an HTTP service on which blocklists an address is.

The service answers with the names of the lists, one per line, or with status 404 if there are none.
"""

from typing import Any

from shards.lookups.plugins.api import BadReplyError, Fetch, Hit, fill_url

NOT_FOUND = 404
MAX_NAME_LENGTH = 100


class Blocklist:
    """Config: `url`, with `${ip}`; `lists`: names of the lists to report, all by default."""

    def __init__(self, config: dict[str, Any], fetch: Fetch) -> None:
        self.url = config["url"]
        self.lists = config.get("lists")
        if not isinstance(self.lists, list | None):
            raise ValueError("lists must be a list of names")
        self.fetch = fetch

    def check(self, ip: str) -> list[Hit]:
        """Return a hit for each list."""
        reply = self.fetch(fill_url(self.url, ip), also_accept=(NOT_FOUND,))
        if reply.status == NOT_FOUND:
            return []
        names = [line.strip() for line in reply.body.decode().splitlines() if line.strip()]
        if any(len(name) > MAX_NAME_LENGTH for name in names):
            raise BadReplyError("has a line that is no name of a list")
        wanted = names if self.lists is None else [name for name in names if name in self.lists]
        return [Hit("Blocklist", ip, f"on {name}") for name in wanted]
