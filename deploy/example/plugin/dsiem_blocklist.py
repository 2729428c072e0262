"""A lookup plugin: asks a service on which blocklists an address is.

The service answers with the names of lists, one a line, or with 404 when the address is on none.
"""

from typing import Any

from shards.lookups.plugins.api import BadReplyError, Fetch, Hit, fill_url

NOT_FOUND = 404
LONGEST_NAME = 100


class Blocklist:
    """Takes of its source's config the `url`, and `lists`: the names that count, or all."""

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
        if any(len(name) > LONGEST_NAME for name in names):
            raise BadReplyError("has a line that is no name of a list")
        wanted = names if self.lists is None else [name for name in names if name in self.lists]
        return [Hit("Blocklist", ip, f"on {name}") for name in wanted]
