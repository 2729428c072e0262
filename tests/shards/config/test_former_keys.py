"""Which routing keys of former definitions a configuration carries."""

import msgspec

from engine.directives.index import routing_keys_of
from shards.config.former_keys import former_routing_keys, read_routing_keys
from shards.config.generation import FormerDefinitions, RouterConfig
from tests.shards.router.test_routing_table import directive, keys

Found = list[tuple[int, tuple[int, ...]]]
"""Directives, each with the plugins of its former definition."""


def found(document: bytes) -> Found:
    return sorted(
        (each.id, tuple({rule.plugin_id for rule in each.rules}))
        for each, _ in read_routing_keys((document,))
    )


def former(
    running: RouterConfig,
    new: bytes,
    in_use: set[int] | None = None,
    restored: tuple[bytes, ...] = (),
) -> bytes:
    """`in_use`: directives that have former definitions, None if that is not known."""
    known = FormerDefinitions(None if in_use is None else frozenset(in_use), list(restored))
    return former_routing_keys(running, known, new)


def test_documents_are_read_one_after_the_other() -> None:
    first, second = directive(1, 1), directive(2, 2)
    read = list(read_routing_keys((keys(first), b"", keys(), keys(second))))
    assert [each for each, _ in read] == [routing_keys_of(first), routing_keys_of(second)]
    assert [raw for _, raw in read] == [
        msgspec.msgpack.encode(routing_keys_of(each)) for each in (first, second)
    ]


def test_a_configuration_with_the_same_keys_carries_none() -> None:
    running = RouterConfig(keys(directive(1, 1), directive(2, 2)), ())
    assert former(running, keys(directive(2, 2), directive(1, 1), directive(3, 3))) == b""


def test_the_keys_of_a_changed_directive_become_former_ones() -> None:
    running = RouterConfig(keys(directive(1, 1), directive(2, 2)), ())
    new = keys(directive(1, 1), directive(2, 9))
    assert found(former(running, new)) == [(2, (2,))]
    assert found(former(running, new, in_use=set())) == [(2, (2,))], "it was no former one yet"


def test_those_of_a_removed_directive_are_not_needed() -> None:
    running = RouterConfig(keys(directive(1, 1), directive(2, 2)), (), keys(directive(2, 3)))
    assert former(running, keys(directive(1, 1)), restored=(keys(directive(2, 4)),)) == b""


def test_former_ones_go_on_while_their_directive_has_some_in_use() -> None:
    former_ones = keys(directive(1, 5), directive(1, 6), directive(2, 7))
    running = RouterConfig(keys(directive(1, 1), directive(2, 2)), (), former_ones)
    same = running.routing_keys
    assert found(former(running, same)) == [(1, (5,)), (1, (6,)), (2, (7,))]
    assert found(former(running, same, in_use={1})) == [(1, (5,)), (1, (6,))]
    assert former(running, same, in_use=set()) == b""


def test_restored_ones_go_on_as_well() -> None:
    running = RouterConfig(keys(directive(1, 1)), ())
    restored = keys(directive(1, 5)), keys(directive(1, 6))
    new = keys(directive(1, 2))
    assert found(former(running, new, restored=restored)) == [(1, (1,)), (1, (5,)), (1, (6,))]


def test_one_that_was_there_several_times_is_carried_once() -> None:
    running = RouterConfig(keys(directive(1, 1)), (), keys(directive(1, 1), directive(1, 5)))
    new = keys(directive(1, 2))
    assert found(former(running, new, restored=(keys(directive(1, 5)),))) == [(1, (1,)), (1, (5,))]


def test_a_directive_that_is_changed_back_and_forth_keeps_all_that_are_in_use() -> None:
    one, two = keys(directive(1, 1)), keys(directive(1, 2))
    running, new = RouterConfig(one, ()), two
    for _ in range(3):
        running = RouterConfig(new, (), former(running, new))
        new = one if new == two else two
    assert found(running.former) == [(1, (1,)), (1, (2,))]
