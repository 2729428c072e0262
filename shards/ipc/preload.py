"""The modules that are imported before processes are forked, so that they share their memory."""

import gc
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module

from shards.settings.settings import Settings

_NATS = "nats.aio.client"
_WEBSOCKETS = "aiohttp"
"""nats-py imports this if it is there, although only WebSockets need it: it takes as long as all
other imports together."""
_SHARED = (
    "uvloop",
    "shards.checkpoint.store",
    "shards.config.generation",
    "shards.ipc.child",
)


def shared_modules(settings: Settings) -> list[str]:
    """Modules that the supervisor needs as well as its children."""
    if settings.mode != "cluster-backend":
        return [*_SHARED]
    servers = [part.strip().lower() for part in settings.msq.split(",")]
    uses_websockets = any(server.startswith(("ws:", "wss:")) for server in servers)
    return [*_SHARED, *([_WEBSOCKETS] if uses_websockets else []), _NATS]


def modules_of_children(settings: Settings) -> list[str]:
    """All modules that the children of a service need, as far as its mode needs them."""
    if settings.mode != "cluster-backend":
        source = "http_source"
    else:
        source = "stream_source" if settings.stream else "nats_source"
    processes = ["shards.worker.process", "shards.router.process", "shards.config.loader"]
    return [*shared_modules(settings), *processes, f"shards.sources.{source}"]


def import_modules(names: Iterable[str]) -> None:
    """Import these modules; garbage is not collected from then on, until memory.py says so."""
    gc.disable()
    for name in names:
        with _hidden(_WEBSOCKETS) if name == _NATS else nullcontext():
            import_module(name)
    gc.freeze()  # a collection would write to all pages that forked processes share


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Let imports of this module fail, unless it is imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
