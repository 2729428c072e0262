"""The configurations of a run, one after the other, as far as a child may need them.

A child that is started again begins with what its deliveries since the last checkpoint were routed
by. So a generation is kept until the checkpoints of all workers are of a later one.
"""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from shards.config.generation import (
    ConfigParts,
    ConfigSummary,
    FormerDefinitions,
    GenerationStart,
    RunningConfig,
)
from shards.ipc.messages import AlarmLines, WorkerReport
from shards.ipc.shared_value import SharedValue

MAX_KEPT = 8
"""Generations that are kept; with so many, no other one begins."""


class Generation(Struct, frozen=True, eq=False):
    """A configuration that runs, has run, or is going to. `after`: see Switched."""

    number: int
    parts: ConfigParts
    summary: ConfigSummary
    after: int = 0


class _WorkerState(Struct):
    """What is known of a worker: the generation of its last checkpoint and of its last report.

    `former`: directives with backlogs under former definitions; None if that is not known.
    """

    saved: int = 0
    reported: int = 0
    former: frozenset[int] | None = None


class Generations:
    """The generation that runs, and those before it that are kept; the oldest first."""

    def __init__(
        self, first: Generation, workers: int, *, has_checkpoints: bool, has_stream: bool
    ) -> None:
        """`workers`: their number. Without checkpoints no child needs an older generation."""
        self._kept = [first]
        self.coming: Generation | None = None
        """The one that children prepare, or are switching to."""
        self._workers = [_WorkerState() for _ in range(workers)]
        self._has_checkpoints = has_checkpoints
        self._has_stream = has_stream
        self._restored: list[bytes] = []
        """Routing keys of former definitions that were restored at the start."""

    @property
    def current(self) -> Generation:
        """The one that runs."""
        return self._kept[-1]

    @property
    def are_too_many(self) -> bool:
        """Whether no other one may begin, since the checkpoints of workers are too old."""
        return len(self._kept) >= MAX_KEPT

    def worker_restored(self, former: bytes) -> None:
        """Note the routing keys of former definitions that a worker has restored at the start."""
        if former:
            self._restored.append(former)

    def of_worker(self, worker: int) -> tuple[GenerationStart, ...]:
        """What a worker is started with, the one that is coming included."""
        coming = [self.coming] if self.coming else []
        return tuple(
            GenerationStart(generation.number, generation.parts.workers[worker])
            for generation in (*self._kept, *coming)
        )

    def of_router(self) -> tuple[GenerationStart, ...]:
        """What a router is started with."""
        kept = self._kept if self._has_stream else self._kept[-1:]
        return tuple(
            GenerationStart(
                generation.number,
                generation.parts.router,
                generation.after,
                self._restored_value() if generation.number == 1 else None,
            )
            for generation in kept
        )

    def _restored_value(self) -> SharedValue | None:
        return SharedValue.of(self._restored) if self._restored else None

    def running(self) -> RunningConfig:
        """The current one, to be compared with another one."""
        restored = self._restored if self.current.number == 1 else []
        former = FormerDefinitions(self._former_in_use(), list(restored))
        return RunningConfig(self.current.parts, SharedValue.of(former))

    def _former_in_use(self) -> frozenset[int] | None:
        """The directives with backlogs under former definitions; None if that is not known."""
        found: set[int] = set()
        for state in self._workers:
            if state.former is None or state.reported < self.current.number:
                return None
            found |= state.former
        return frozenset(found)

    def switched(self, position: int) -> Generation:
        """The one that is coming runs, for all events after this position; returns it."""
        assert self.coming is not None
        begun = replace(self.coming, after=position)
        self.coming = None
        self._kept.append(begun)
        self._forget()
        return begun

    def confirm(self, summary: ConfigSummary) -> None:
        """The one that runs was loaded again, and is the same; files or a trouble may differ."""
        self._kept[-1] = replace(self.current, summary=summary)

    def take(self, worker: int, report: AlarmLines) -> None:
        """A worker has sent a report, whose lines are written."""
        if not isinstance(report, WorkerReport):
            return
        state = self._workers[worker]
        if report.details is not None:
            state.former = frozenset(report.details.former)
        elif report.generation > state.reported:
            state.former = None
        state.reported = report.generation
        if report.saved_generation > state.saved:
            state.saved = report.saved_generation
            self._forget()

    def _forget(self) -> None:
        """Forget the generations that no child needs any more."""
        needed = min(state.saved for state in self._workers)
        if not self._has_checkpoints:
            needed = self.current.number
        while len(self._kept) > 1 and self._kept[0].number < needed:
            for part in _all_parts(self._kept.pop(0).parts):
                part.close()


def _all_parts(parts: ConfigParts) -> Iterator[SharedValue]:
    yield from (parts.result, parts.known, parts.router, *parts.workers)
