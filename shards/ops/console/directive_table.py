"""Lets the history have the directives of the configuration that runs.

The workers tell which there are. They are asked when somebody looks, once for each configuration:
a service whose console nobody opens does nothing of it.
"""

import asyncio
from collections.abc import AsyncIterator

from shards.history import directive_rows
from shards.http_server import RETRY_HEADER, RequestRefusedError
from shards.ipc.queries import MAX_ROWS, DirectiveRow, DirectiveRows, ListDirectives
from shards.ops.console.backend import ConsoleBackend, ask_workers, read_history


class DirectiveTable:
    """The directives in the history."""

    def __init__(self, backend: ConsoleBackend) -> None:
        self._backend = backend
        self._updating = asyncio.Lock()

    async def update(self) -> None:
        """Update them if another configuration runs; RequestRefusedError if that fails."""
        backend = self._backend
        async with self._updating:
            config = f"{backend.run} {backend.overview().config_generation}"
            if config == await read_history(backend, directive_rows.config_of_directives):
                return
            rows = [row async for row in self._all_directives()]
            await read_history(
                backend, lambda db: directive_rows.replace_directives(db, rows, config)
            )

    async def _all_directives(self) -> AsyncIterator[tuple[int, DirectiveRow]]:
        """Each directive with its worker."""
        for worker in range(self._backend.settings.workers):
            start, total = 0, 1
            while start < total:
                query = ListDirectives(start, MAX_ROWS)
                answers = await ask_workers(self._backend, query, [worker])
                page = answers.decode(DirectiveRows).get(worker)
                if page is None:
                    reason = f"worker-{worker} does not answer"
                    raise RequestRefusedError(503, reason, RETRY_HEADER)
                for row in page.rows:
                    yield worker, row
                start, total = start + MAX_ROWS, page.total
