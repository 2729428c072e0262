"""The NATS source without a server. Real connections: test_cluster.py."""

import pytest
from nats.aio.client import Client

from shards.settings.settings import Settings
from shards.sources.nats_source import NatsSource


def test_a_client_that_takes_no_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events would pile up in a subscription that nobody reads."""
    monkeypatch.delattr(Client, "_read_loop")
    with pytest.raises(RuntimeError, match="use the pinned one"):
        NatsSource(lambda _: None, Settings(), 0.0)._make_client()
