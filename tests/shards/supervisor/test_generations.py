"""Which configurations are kept, what a child is started with, and what a loader is told."""

from collections.abc import Sequence

import msgspec

from shards.config.generation import FormerDefinitions, GenerationStart
from shards.histograms import Timings
from shards.ipc.messages import AlarmLines, WorkerDetails, WorkerReport
from shards.supervisor.generations import MAX_KEPT, Generation, Generations
from tests.support.generations import generation
from tests.support.reports import worker_report

FIRST = generation([1, 3], [2])


def make(
    *later: int, first: Generation = FIRST, checkpoints: bool = True, stream: bool = False
) -> Generations:
    """Those of two workers, to which these numbers have switched one after the other."""
    made = Generations(first, 2, has_checkpoints=checkpoints, has_stream=stream)
    for number in later:
        switch(made, number)
    return made


def switch(generations: Generations, number: int, after: int = 0) -> Generation:
    generations.coming = generation([1, 3], [2], number=number)
    return generations.switched(after)


def report(generation: int, saved: int = 0, former: Sequence[int] | None = None) -> WorkerReport:
    """`former`: as in the details, None without details."""
    details = None
    if former is not None:
        details = WorkerDetails(Timings(), {}, {}, 0.0, former=list(former))
    return msgspec.structs.replace(
        worker_report(details=details), generation=generation, saved_generation=saved
    )


def numbers(starts: Sequence[GenerationStart]) -> list[int]:
    return [start.generation for start in starts]


# What children are started with.


def test_a_worker_gets_its_parts_also_of_what_is_coming() -> None:
    generations = make(2)
    generations.coming = coming = generation([1], [2], number=3)
    starts = generations.of_worker(1)
    assert numbers(starts) == [1, 2, 3]
    assert starts[0].config is FIRST.parts.workers[1]
    assert starts[2].config is coming.parts.workers[1]
    assert generations.current.number == 2


def test_a_router_gets_what_runs_and_no_more() -> None:
    generations = make(2)
    generations.coming = generation([1], [2], number=3)
    (start,) = generations.of_router()
    assert (start.generation, start.after) == (2, 0)
    assert start.config is generations.current.parts.router


def test_a_router_of_a_stream_gets_all_that_are_kept_with_their_positions() -> None:
    generations = make(stream=True)
    switch(generations, 2, after=70)
    assert switch(generations, 3, after=90) is generations.current
    generations.coming = generation([1], [2], number=4)
    assert [(start.generation, start.after) for start in generations.of_router()] == [
        (1, 0),
        (2, 70),
        (3, 90),
    ]


def test_a_router_knows_the_former_definitions_that_workers_have_restored() -> None:
    generations = make(stream=True)
    assert generations.of_router()[0].restored is None
    generations.worker_restored(b"")
    generations.worker_restored(b"a document")
    generations.worker_restored(b"another")
    switch(generations, 2, after=70)
    first, second = generations.of_router()
    assert first.restored is not None
    assert first.restored.load() == [b"a document", b"another"]
    assert second.restored is None, "its own document has them"


# What is kept.


def test_a_generation_is_kept_until_all_workers_have_a_later_checkpoint() -> None:
    first = generation([1, 3], [2])
    generations = make(2, 3, first=first)
    for worker, saved, kept in (
        (0, 2, [1, 2, 3]),
        (0, 3, [1, 2, 3]),
        (1, 1, [1, 2, 3]),
        (1, 2, [2, 3]),
        (0, 2, [2, 3]),  # a worker that was started again
        (1, 3, [3]),
    ):
        generations.take(worker, report(3, saved))
        assert numbers(generations.of_worker(0)) == kept
    assert first.parts.workers[0]._handle.closed


def test_the_present_one_is_kept_whatever_checkpoints_say() -> None:
    generations = make(2, first=generation([1], [2]))
    for worker in (0, 1):
        generations.take(worker, report(9, 9))
    assert numbers(generations.of_worker(0)) == [2]
    assert not generations.current.parts.router._handle.closed


def test_without_checkpoints_only_the_present_one_is_kept() -> None:
    generations = make(2, 3, first=generation([1], [2]), checkpoints=False)
    assert numbers(generations.of_worker(0)) == [3]


def test_there_are_too_many_until_checkpoints_are_newer() -> None:
    generations = make(*range(2, MAX_KEPT), first=generation([1], [2]))
    found = [generations.are_too_many]
    switch(generations, MAX_KEPT)
    for worker, sent in (
        (0, AlarmLines(b"", b"")),
        (0, report(MAX_KEPT, MAX_KEPT)),
        (1, report(MAX_KEPT, 1)),
        (1, report(MAX_KEPT, 2)),
    ):
        generations.take(worker, sent)
        found.append(generations.are_too_many)
    assert found == [False, True, True, True, False]


def test_what_was_loaded_again_and_is_the_same_may_have_other_files() -> None:
    generations = make(2)
    parts, summary = generations.current.parts, generations.current.summary
    generations.confirm(msgspec.structs.replace(summary, hash="def", trouble=""))
    assert (generations.current.number, generations.current.parts) == (2, parts)
    assert generations.current.summary.hash == "def"
    assert numbers(generations.of_worker(0)) == [1, 2]


# What a loader is told.


def former_of(generations: Generations) -> FormerDefinitions:
    former: FormerDefinitions = generations.running().former.load()
    return former


def test_a_loader_compares_with_what_runs() -> None:
    generations = make(2)
    assert generations.running().parts is generations.current.parts


def test_former_definitions_in_use_are_known_once_all_workers_have_told_them() -> None:
    generations = make(2)
    generations.take(0, report(2, former=[3, 1]))
    assert former_of(generations).directives is None
    generations.take(1, report(2))
    assert former_of(generations).directives is None
    generations.take(1, report(2, former=[2]))
    assert former_of(generations).directives == frozenset({1, 2, 3})
    generations.take(0, report(2, former=[]))
    assert former_of(generations).directives == frozenset({2})
    generations.take(1, report(2))
    assert former_of(generations).directives == frozenset({2}), "no reload, no others"


def test_former_definitions_in_use_are_unknown_again_after_a_switch() -> None:
    generations = make(2)
    for worker in (0, 1):
        generations.take(worker, report(2, former=[]))
    switch(generations, 3)
    assert former_of(generations).directives is None
    generations.take(0, report(3, former=[]))
    generations.take(1, report(2, former=[]))  # it has not begun it
    assert former_of(generations).directives is None
    generations.take(1, report(3))  # it has, and what it told is of the one before
    assert former_of(generations).directives is None
    generations.take(1, report(3, former=[2]))
    assert former_of(generations).directives == frozenset({2})


def test_former_definitions_in_use_are_unknown_after_the_death_of_a_worker() -> None:
    generations = make(2)
    for worker in (0, 1):
        generations.take(worker, report(2, former=[]))
    generations.take(0, report(1))
    assert former_of(generations).directives is None
    generations.take(0, report(2))
    assert former_of(generations).directives is None


def test_restored_former_definitions_are_told_until_a_configuration_has_them() -> None:
    generations = make()
    generations.worker_restored(b"a document")
    assert former_of(generations).restored == [b"a document"]
    switch(generations, 2)
    assert former_of(generations).restored == []
