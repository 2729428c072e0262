"""Limits of lookups, and the lookup settings of a worker."""

from msgspec import Struct


class LookupLimits(Struct, frozen=True):
    """Limits of the lookups of one worker, for each source unless stated otherwise.

    They are documented in docs/lookups.md. Tests use smaller ones.
    """

    threads: int = 8
    """Threads; as many failures as open the breaker must be possible at the same time."""
    process_threads: int = 1024
    """Threads of the worker process, beyond which no lookup starts one: plugins may hang."""
    queued_terms: int = 4096
    """Terms that wait for a thread."""
    queued_requests: int = 16_384
    """Requests of alarms, for all sources together, whose terms are not started yet."""
    waiters: int = 65_536
    """Pairs of a term and a backlog that waits for it."""
    cached_answers: int = 65_536
    """Capacity of the cache."""
    breaker_failures: int = 5
    """Failures in a row that open the breaker."""
    breaker_open_seconds: float = 30.0
    """Time until an open breaker admits a trial."""
    request_seconds: float = 10.0
    """Time for one HTTP exchange, from connecting to the last byte."""
    grace_seconds: float = 2.0
    """Additional time until a plugin that has not returned is given up."""
    reply_bytes: int = 1 << 20
    """Length of the body of a reply."""
    answer_hits: int = 1000
    """Hits of one answer."""
    answer_characters: int = 1 << 16
    """Characters of all hits of one answer."""
    steps_per_turn: int = 64
    """Terms that are started, and waiters that are notified, per turn of the event loop."""
    queued_results: int = 1024
    """Results of all sources that wait for the worker; the service pauses when there are more."""
    retired_sources: int = 32
    """Sources that are gone and still have lookups in progress; those of the oldest are aborted."""
    former_sources: int = 64
    """Sources that are gone and still have counts of their own."""


class LookupOptions(Struct, frozen=True):
    """Lookup settings: --cache (minutes), --intel-private-ip, --lookup-proxy, --lookup-ca."""

    cache_minutes: int = 10
    private_addresses: bool = False
    proxy: str = ""
    ca: str = ""
